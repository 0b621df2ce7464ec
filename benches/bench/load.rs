//! A small generator of load: keep-alive connections, each sending the next request once it has its answer.

use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What a burst came to.
pub struct Burst {
    /// Requests answered 200.
    pub acknowledged: usize,
    /// Others.
    pub refused: usize,
    /// Acknowledgements a second.
    pub per_second: f64,
    /// The time under which 99 of 100 were answered, in milliseconds.
    pub p99_ms: f64,
    /// The time under which half were answered, in milliseconds.
    pub p50_ms: f64,
}

/// Sends requests for a time over so many connections. Each request once, unless `again`.
pub async fn burst(
    to: SocketAddr,
    requests: &Arc<Vec<Vec<u8>>>,
    connections: usize,
    time: Duration,
    again: bool,
) -> Result<Burst> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for stream in streams {
        tasks.spawn(client(stream, requests.clone(), next.clone(), begun + time, again));
    }
    let (mut took, mut refused) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (mine, not) = done??;
        took.extend(mine);
        refused += not;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    ensure!(!took.is_empty(), "nothing was acknowledged");
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
    Ok(Burst {
        acknowledged: took.len(),
        refused,
        per_second: took.len() as f64 / elapsed,
        p99_ms: at(0.99),
        p50_ms: at(0.5),
    })
}

async fn client(
    mut stream: TcpStream,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    until: Instant,
    again: bool,
) -> Result<(Vec<u32>, usize)> {
    let (mut took, mut refused) = (Vec::new(), 0);
    let mut buffer = vec![0; 4096];
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if Instant::now() >= until || (index >= requests.len() && !again) {
            return Ok((took, refused));
        }
        let begun = Instant::now();
        stream.write_all(&requests[index % requests.len()]).await?;
        match answer(&mut stream, &mut buffer).await? {
            200 => took.push(begun.elapsed().as_micros() as u32),
            _ => refused += 1,
        }
    }
}

/// Reads one answer and gives its status.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<u16> {
    let mut have = 0;
    loop {
        let read = stream.read(&mut buffer[have..]).await?;
        ensure!(read > 0, "the connection was closed");
        have += read;
        let head = buffer[..have].windows(4).position(|end| end == b"\r\n\r\n");
        let Some(head) = head else { continue };
        let text = std::str::from_utf8(&buffer[..head])?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let whole = head + 4 + length.context("an answer has a length")?;
        if have >= whole {
            return Ok(text.get(9..12).context("a status")?.parse()?);
        }
    }
}
