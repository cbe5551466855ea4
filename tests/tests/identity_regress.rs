use crossfade::testbed::iso_agents;
use crossfade_tests::tap::Tap;
use crossfade_tests::{Proxy, World, regress};
use rewrite_rules::Phase;
use std::collections::BTreeMap;

const DATABASE: &str = "regression";

async fn prepared() -> (World, Proxy) {
    let world = World::start().await.unwrap();
    world.database(DATABASE).await.unwrap();
    let operator = world.client(&world.postgres.url(DATABASE)).await.unwrap();
    iso_agents::carry_over(&operator).await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, DATABASE, Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    (world, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explore() {
    let (straight, _p) = prepared().await;
    let (through, proxy) = prepared().await;
    let inner = Tap::on(through.postgres.port).await.unwrap();
    proxy.detach(inner.port).unwrap();
    let proxy = proxy.serve().await.unwrap();
    let outer = Tap::on(proxy.port).await.unwrap();
    let beside = Tap::on(straight.postgres.port).await.unwrap();
    inner.take();
    let psql = straight.postgres.bin("psql");
    let mut total = BTreeMap::<char, usize>::new();
    for script in regress::scripts().unwrap() {
        let t = std::time::Instant::now();
        let name = script.file_name().unwrap().to_string_lossy().into_owned();
        let a = regress::run(&psql, &script, beside.port, DATABASE)
            .await
            .unwrap();
        let ta = t.elapsed();
        let b = regress::run(&psql, &script, outer.port, DATABASE)
            .await
            .unwrap();
        let (ca, co, ci) = (beside.take(), outer.take(), inner.take());
        if co != ci {
            println!("!!! {name}: proxy altered bytes, {} {}", co.len(), ci.len());
            for (o, i) in co.iter().zip(&ci) {
                for (what, o, i) in [
                    ("client", o.requests(), i.requests()),
                    ("server", i.answers(), o.answers()),
                ] {
                    if let Some((o, i)) = o.iter().zip(&i).find(|(o, i)| o != i) {
                        println!("   {what} {o:?}\n      -> {i:?}");
                    }
                }
            }
        }
        let mut differ = 0;
        let mut messages = 0;
        if ca.len() != co.len() {
            println!("{name}: connections {} {}", ca.len(), co.len());
        }
        for (x, y) in ca.iter().zip(&co) {
            let (x, y) = (x.answers(), y.answers());
            if x.len() != y.len() {
                println!("{name}: {} {} messages", x.len(), y.len());
            }
            messages += x.len();
            for (x, y) in x.iter().zip(&y) {
                *total.entry(x.tag as char).or_default() += 1;
                if x != y && x.tag != b'K' {
                    differ += 1;
                    if differ < 4 {
                        println!(
                            "{name}:\n   {:.300}\n   {:.300}",
                            format!("{x:?}"),
                            format!("{y:?}")
                        );
                    }
                }
            }
        }
        println!(
            "{name}: {messages} messages, {differ} differ, same text: {} {:?} {:?}",
            a == b,
            ta,
            t.elapsed()
        );
    }
    println!("{total:?}");
    let log = proxy.log();
    println!("{}", &log[log.len().saturating_sub(3000)..]);
}
