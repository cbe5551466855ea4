//! Cancel requests: a connection of their own, whose key is the server's own key, so they are
//! handed on as they came.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::upstream::Upstream;

/// The server answers nothing and closes once the signal is sent; it does so at once.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends the request on and waits for the server to close, which tells the client that its
/// cancel has arrived.
pub async fn forward(packet: &[u8], upstream: &Upstream) -> io::Result<()> {
    let mut server = upstream.connect().await?;
    server.write_all(packet).await?;
    server.flush().await?;
    let mut nothing = [0; 16];
    let closed = async { while server.read(&mut nothing).await.is_ok_and(|n| n > 0) {} };
    // If it does not close, the request has been made all the same.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
    Ok(())
}
