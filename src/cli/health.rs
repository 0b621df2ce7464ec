//! `health`: asks the daemon on this machine whether it is ready; the container's health check.

use super::error::failed;
use super::output::say;
use super::session::{self, Globals};
use anyhow::Context;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks, prints the answer, fails when it is not 200.
pub async fn run(globals: &Globals) -> anyhow::Result<()> {
    let settings = session::settings(globals.config.as_deref())?;
    let address = here(settings.public.listen);
    let asked = tokio::time::timeout(PATIENCE, ready(address)).await;
    let (status, words) = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            return Err(failed(
                format!("no daemon answers on {address} (public.listen): {error:#}"),
                "start it with deskbridge serve",
            ));
        }
        Err(_) => {
            return Err(failed(
                format!("the daemon on {address} (public.listen) did not answer within 5 s"),
                "look at its log",
            ));
        }
    };
    match status {
        200 => {
            say(words);
            Ok(())
        }
        _ => Err(failed(
            format!("the daemon on {address} is not ready: {words}"),
            "look at its log, and run deskbridge check",
        )),
    }
}

/// The address under which a listener is reached from its own machine.
pub fn here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Status and first line of what `/health/ready` answers.
pub async fn ready(address: SocketAddr) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).await?;
    parse(&String::from_utf8_lossy(&answer)).context("it does not speak HTTP")
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let status = answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Some((status, body.lines().next().unwrap_or("").to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        assert_eq!(parse("HTTP/1.1 200 OK\r\nx: y\r\n\r\nready\n"), Some((200, "ready".into())));
        assert_eq!(parse("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some((503, String::new())));
        assert_eq!(parse("SSH-2.0-OpenSSH"), None);
        assert_eq!(parse("HTTP/1.1 2"), None);
    }

    #[test]
    fn every_address_is_asked_from_here() {
        for (listen, expected) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:80", "[::1]:80"), ("10.1.2.3:81", "10.1.2.3:81")]
        {
            assert_eq!(here(listen.parse().expect("an address")).to_string(), expected);
        }
    }
}
