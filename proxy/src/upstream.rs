//! Connections to the PostgreSQL server.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// Connects within the time given; the error's text is meant for the client.
pub async fn connect(address: &str, timeout_ms: u64) -> io::Result<TcpStream> {
    let connecting = TcpStream::connect(address);
    let Ok(connected) = tokio::time::timeout(Duration::from_millis(timeout_ms), connecting).await
    else {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {timeout_ms} ms"),
        ));
    };
    let stream = connected?;
    // Small messages in both directions wait for each other: Nagle's algorithm would add 40 ms.
    stream.set_nodelay(true)?;
    Ok(stream)
}
