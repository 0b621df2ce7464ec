//! Bytes written to a connection past the server: what no HTTP server would send.
use super::Reply;
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use std::fmt::Write;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// A second handle on a request's connection.
#[derive(Clone)]
pub struct Tap(Option<Arc<std::net::TcpStream>>);

impl Connected<IncomingStream<'_, TcpListener>> for Tap {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        let second = stream.io().as_fd().try_clone_to_owned();
        Self(second.ok().map(|handle| Arc::new(handle.into())))
    }
}

/// How a connection ends after the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Close,
    /// With a reset.
    Reset,
    /// It does not: nothing more comes, or in chunks, spaces do.
    Never,
}

/// What is written to a connection.
pub struct Raw {
    bytes: Vec<u8>,
    /// How many of them are written at once, before the pace.
    at_once: usize,
    /// The pace of the others, byte by byte.
    every: Option<Duration>,
    end: End,
    chunks: bool,
}

impl Raw {
    /// Nothing at all, for ever.
    pub fn nothing() -> Self {
        Self { bytes: Vec::new(), at_once: 0, every: None, end: End::Never, chunks: false }
    }

    /// An answer that promises its whole body and brings `sent` bytes of it.
    pub fn of(reply: &Reply, sent: usize, end: End) -> Self {
        let mut bytes = head(reply, Some(reply.body.len()));
        let at_once = bytes.len();
        bytes.extend_from_slice(&reply.body[..sent]);
        Self { bytes, at_once, every: None, end, chunks: false }
    }

    /// A whole answer, its body a byte at a time.
    pub fn paced(reply: &Reply, every: Duration) -> Self {
        Self { every: Some(every), ..Self::of(reply, reply.body.len(), End::Close) }
    }

    /// `sent` bytes of an answer in one chunk, and no last one.
    pub fn chunked(reply: &Reply, sent: usize, end: End) -> Self {
        let mut bytes = head(reply, None);
        bytes.extend_from_slice(format!("{sent:x}\r\n").as_bytes());
        bytes.extend_from_slice(&reply.body[..sent]);
        bytes.extend_from_slice(b"\r\n");
        Self { at_once: bytes.len(), bytes, every: None, end, chunks: true }
    }

    /// Writes all this to a request's connection, and never comes back: the server must not add to it. It is dropped when
    /// the connection is gone.
    pub async fn write(self, tap: Option<&Tap>) -> ! {
        if let Some(second) = tap.and_then(|tap| tap.0.as_ref()) {
            // Fails only when the client is gone, and then there is nobody to tell.
            let _ = self.write_to(second).await;
        }
        std::future::pending().await
    }

    async fn write_to(self, second: &std::net::TcpStream) -> std::io::Result<()> {
        let mut stream = TcpStream::from_std(second.try_clone()?)?;
        let at_once = if self.every.is_some() { self.at_once } else { self.bytes.len() };
        stream.write_all(&self.bytes[..at_once]).await?;
        for byte in &self.bytes[at_once..] {
            tokio::time::sleep(self.every.unwrap_or_default()).await;
            stream.write_all(&[*byte]).await?;
        }
        match self.end {
            End::Close => second.shutdown(std::net::Shutdown::Both),
            End::Reset => {
                stream.set_zero_linger()?;
                // The server sees an end of reading, closes its handle, and the last one to close resets.
                second.shutdown(std::net::Shutdown::Read)
            }
            End::Never if self.chunks => loop {
                stream.write_all(b"10\r\n                \r\n").await?;
            },
            End::Never => Ok(()),
        }
    }
}

fn head(reply: &Reply, length: Option<usize>) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Said\r\n", reply.status);
    let given = |name: &str| reply.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    let mut line = |name: &str, value: &str| {
        let _ = write!(head, "{name}: {value}\r\n");
    };
    if !given("content-type") {
        line("content-type", reply.kind);
    }
    match length {
        Some(length) if !given("content-length") => line("content-length", &length.to_string()),
        Some(_) => {}
        None => line("transfer-encoding", "chunked"),
    }
    for (name, value) in &reply.headers {
        line(name, value);
    }
    head.push_str("\r\n");
    head.into_bytes()
}
