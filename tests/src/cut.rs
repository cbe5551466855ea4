//! A line that can be cut: relays connections to another port, ends them all at once, and takes no others until it is
//! mended. It understands nothing of what passes.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Dropping it cuts it for good.
pub struct Cuttable {
    pub port: u16,
    whole: Arc<watch::Sender<bool>>,
    listening: JoinHandle<()>,
}

impl Cuttable {
    pub async fn to(target: u16) -> anyhow::Result<Cuttable> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let whole = Arc::new(watch::Sender::new(true));
        let listening = tokio::spawn(listen(listener, target, whole.subscribe()));
        Ok(Cuttable {
            port,
            whole,
            listening,
        })
    }

    /// Whoever speaks over it loses the connection; whoever comes is turned away.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Cuttable {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, target: u16, whole: watch::Receiver<bool>) {
    let mut relays = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if *whole.borrow() {
            relays.spawn(relay(client, target, whole.clone()));
        }
        while relays.try_join_next().is_some() {}
    }
}

async fn relay(mut client: TcpStream, target: u16, mut whole: watch::Receiver<bool>) {
    // A server that is away is the same to whoever calls: the connection ends.
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    tokio::select! {
        _ended = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _cut = whole.wait_for(|whole| !whole) => {}
    }
}
