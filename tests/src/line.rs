//! A proxy between two taps: what it makes of every byte.

use crossfade_testbed::iso_agents;
use crossfade_testbed::process::Signal;
use rewrite_rules::Phase;

use crate::tap::{Conversation, Tap};
use crate::{Proxy, World};

/// A client's tap, the proxy with `iso_agents` in `dual_write`, the server's tap, the server.
pub struct Line {
    pub client_side: Tap,
    server_side: Tap,
    pub proxy: Proxy,
    pub world: World,
}

fn ended_by_server(conversation: &Conversation) -> bool {
    let last = conversation.answers().pop();
    last.is_some_and(|last| last.tag == b'E' && last.field(b'V').is_some_and(|v| v == "FATAL"))
}

/// A database that is ready for `dual_write`, on a server of its own.
pub async fn ready_to_write_both(database: &str) -> anyhow::Result<(World, Proxy)> {
    let world = World::start().await?;
    world.database(database).await?;
    let operator = world.client(&world.postgres.url(database)).await?;
    iso_agents::carry_over(&operator).await?;
    let proxy = Proxy::with_rules(&world.postgres, database, Phase::DualWrite)?;
    proxy.crossfade(&["prepare"]).await?;
    Ok((world, proxy))
}

impl Line {
    /// Without the cache, which prepares statements of its own on the server.
    pub async fn lay(database: &str) -> anyhow::Result<Line> {
        Line::lay_with(database, 0).await
    }

    pub async fn lay_with(database: &str, cached_statements: usize) -> anyhow::Result<Line> {
        let (world, proxy) = ready_to_write_both(database).await?;
        let server_side = Tap::on(world.postgres.port).await?;
        proxy.detach(server_side.port, cached_statements)?;
        let proxy = proxy.serve().await?;
        let client_side = Tap::on(proxy.port).await?;
        // What it took to see that the proxy answers.
        server_side.take().await;
        Ok(Line {
            client_side,
            server_side,
            proxy,
            world,
        })
    }

    /// What passed since the last call. Fails unless every byte came out as it had gone in; what
    /// a client still says to a server that has ended the session may be lost.
    pub async fn passed_unaltered(&self, what: &str) -> Vec<Conversation> {
        let mut outside = self.client_side.take().await;
        let mut inside = self.server_side.take().await;
        // Of connections that come one right behind the other the later one may reach the server first.
        for side in [&mut outside, &mut inside] {
            side.sort_by(|one, other| one.from_client.cmp(&other.from_client));
        }
        assert_eq!(outside.len(), inside.len(), "{what}: connections");
        for (outside, inside) in outside.iter().zip(&inside) {
            let ended = ended_by_server(inside);
            for (sent, came, whose) in [
                (outside.requests(), inside.requests(), "the client's"),
                (inside.answers(), outside.answers(), "the server's"),
            ] {
                let differing = sent.iter().zip(&came).find(|(sent, came)| sent != came);
                if let Some((sent, came)) = differing {
                    panic!("{what}: {whose} message was altered\n sent: {sent:?}\n came: {came:?}");
                }
                let lost = sent.len() - came.len().min(sent.len());
                assert!(
                    ended || lost == 0,
                    "{what}: {lost} of {whose} messages were lost\nbefore: {:?}\nthen: {:?}\nanswered: {:?}\nlog:\n{}",
                    sent.iter().rev().skip(lost).take(6).collect::<Vec<_>>(),
                    &sent[sent.len() - lost..],
                    outside.answers().iter().rev().take(6).collect::<Vec<_>>(),
                    self.proxy.log()
                );
                assert!(
                    came.len() <= sent.len(),
                    "{what}: {whose} messages became more"
                );
            }
            // Startup packets, and all that is not cut into messages.
            assert!(
                ended || outside == inside,
                "{what}: the bytes differ\noutside: {outside:?}\ninside: {inside:?}"
            );
        }
        outside
    }

    /// Ends the proxy; what it logged.
    #[must_use]
    pub fn end(mut self) -> String {
        let _over = self.proxy.signal(Signal::Terminate);
        self.proxy.stop();
        self.proxy.log()
    }
}
