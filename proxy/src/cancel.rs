//! Cancel requests: a connection of their own, whose key is the server's own key, so they are
//! handed on as they came.
//!
//! Which host gave a key out, nobody here knows: a session may have begun on a host that is not in use any more, or behind
//! another proxy. So each host is sent the request. One whose key it is not ignores it.

use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::upstream::Upstream;

/// The server answers nothing and closes once the signal is sent; it does so at once.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Once one host has the request, the client waits so long for hosts that are perhaps not there.
const OTHERS_GRACE: Duration = Duration::from_secs(1);

/// Sends the request on and waits for the server to close, which tells the client that its
/// cancel has arrived. An error if no host could be sent it: of one of them.
pub async fn forward(packet: &[u8], upstream: &Upstream) -> io::Result<()> {
    let hosts = 0..upstream.addresses().len();
    let mut asked: FuturesUnordered<_> = hosts.map(|host| ask(packet, upstream, host)).collect();
    let mut failed = Ok(());
    while let Some(result) = asked.next().await {
        match result {
            Ok(()) => {
                let others = async { while asked.next().await.is_some() {} };
                // Whoever is not there has no session either.
                let _ = tokio::time::timeout(OTHERS_GRACE, others).await;
                return Ok(());
            }
            Err(error) => failed = Err(error),
        }
    }
    failed
}

async fn ask(packet: &[u8], upstream: &Upstream, host: usize) -> io::Result<()> {
    let mut server = upstream.connect(host).await?;
    server.write_all(packet).await?;
    server.flush().await?;
    let mut nothing = [0; 16];
    let closed = async { while server.read(&mut nothing).await.is_ok_and(|n| n > 0) {} };
    // If it does not close, the request has been made all the same.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
    Ok(())
}
