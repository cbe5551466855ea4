//! Writers around the proxies while these keep both sides in step: seen, told, and held against the
//! steps at which what they wrote would be missed.

use crossfade_tests::control::{number, pid, run, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;

const WRITE: &str = "UPDATE iso_agents SET full_name = 'around' WHERE clerk_user_id = 'user_1'";

async fn serving_in(world: &World, name: &str, phase: Phase) -> Proxy {
    let proxy = world.unsealed(name, phase).await.unwrap();
    proxy.serve().await.unwrap()
}

async fn status(proxy: &Proxy) -> String {
    proxy.crossfade(&["status", "iso_agents"]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_around_the_proxies_is_named_and_stops_the_step_until_a_clean_verify() {
    let world = World::start().await.unwrap();
    let proxy = serving_in(&world, "direct", Phase::LegacyOnly).await;
    let second = proxy
        .beside(&world.postgres)
        .unwrap()
        .serve()
        .await
        .unwrap();
    let client = world.client(&world.postgres.url("direct")).await.unwrap();
    for command in ["advance", "backfill", "verify", "advance", "advance"] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
    }
    until(
        &client,
        "SELECT count(*) = 2 AND bool_and(looked_at IS NOT NULL) FROM crossfade.instances",
    )
    .await
    .unwrap();
    let told = status(&proxy).await;
    let nobody = "nobody was seen to write around the proxies, which look once a second";
    assert!(told.contains(nobody), "{told}");

    let writer = world.client(&world.direct_url("direct")).await.unwrap();
    let pid = pid(&writer).await.unwrap();
    writer.batch_execute("BEGIN").await.unwrap();
    writer.batch_execute(WRITE).await.unwrap();
    // Sessions of both proxies do the same meanwhile, and one of them ends at once.
    let mut through = Vec::new();
    for (proxy, user) in [(&proxy, "user_2"), (&second, "user_3"), (&second, "user_4")] {
        let session = proxy.client().await.unwrap();
        let sql = format!("BEGIN; {}", WRITE.replace("user_1", user));
        session.batch_execute(&sql).await.unwrap();
        through.push(session);
    }
    until(
        &client,
        "SELECT EXISTS (SELECT FROM crossfade.writers_asked)",
    )
    .await
    .unwrap();
    through.pop();
    until(
        &client,
        "SELECT EXISTS (SELECT FROM crossfade.direct_writers)",
    )
    .await
    .unwrap();
    writer.batch_execute("COMMIT").await.unwrap();
    for session in &through {
        session.batch_execute("COMMIT").await.unwrap();
    }
    // What else was put down is decided as well.
    until(
        &client,
        "SELECT NOT EXISTS (SELECT FROM crossfade.writers_asked)",
    )
    .await
    .unwrap();
    let others = format!("SELECT count(*) FROM crossfade.direct_writers WHERE pid <> {pid}");
    assert_eq!(number(&client, &others).await.unwrap(), 0);

    let who =
        "user app, application test, from 127.0.0.1 wrote public.iso_agents around the proxies";
    let told = status(&proxy).await;
    assert!(told.contains(who), "{told}");
    // Which statement it was, and nothing of what the application put into it.
    let said = format!("as pid {pid}: UPDATE iso_agents SET full_name = ");
    assert!(told.contains(&said) && !told.contains("user_1"), "{told}");
    let kept = "SELECT count(*) FROM crossfade.direct_writers WHERE query ~ 'user_1'";
    assert_eq!(number(&client, kept).await.unwrap(), 0);
    let advance = ["advance", "iso_agents"];
    let refused = run(&proxy.config(), &advance).await.unwrap();
    assert!(!refused.status.success(), "{refused:#?}");
    for text in [
        "around the proxies     NOT met",
        who,
        "send them through a proxy, then `crossfade verify iso_agents`",
    ] {
        assert!(refused.errors.contains(text), "`{text}`: {refused:#?}");
    }
    // It finds what was written, and is the way on.
    let unclean = run(&proxy.config(), &["verify", "iso_agents"])
        .await
        .unwrap();
    assert_eq!(unclean.status.code(), Some(1), "{unclean:#?}");
    let refused = run(&proxy.config(), &advance).await.unwrap();
    assert!(refused.errors.contains(who), "{refused:#?}");
    proxy
        .crossfade(&["verify", "iso_agents", "--repair"])
        .await
        .unwrap();
    proxy.crossfade(&advance).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_around_the_proxies_is_told_before_reads_turn_as_well() {
    let world = World::start().await.unwrap();
    let proxy = serving_in(&world, "early", Phase::DualWrite).await;
    let client = world.client(&world.postgres.url("early")).await.unwrap();
    let writer = world.client(&world.direct_url("early")).await.unwrap();
    // The unified table has sides to miss as well.
    writer
        .batch_execute("BEGIN; UPDATE users SET full_name = 'x' WHERE clerk_user_id = 'user_1'")
        .await
        .unwrap();
    until(
        &client,
        "SELECT EXISTS (SELECT FROM crossfade.direct_writers)",
    )
    .await
    .unwrap();
    writer.batch_execute("COMMIT").await.unwrap();
    let ended = run(&proxy.config(), &["advance", "iso_agents"])
        .await
        .unwrap();
    assert!(ended.status.success(), "{ended:#?}");
    let warning = "warning: user app, application test, from 127.0.0.1 wrote public.users around";
    assert!(ended.errors.contains(warning), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_proxy_may_have_served_is_held_against_nobody() {
    let world = World::start().await.unwrap();
    let proxy = serving_in(&world, "killed", Phase::DualWrite).await;
    let mut second = proxy
        .beside(&world.postgres)
        .unwrap()
        .serve()
        .await
        .unwrap();
    let client = world.client(&world.postgres.url("killed")).await.unwrap();
    until(
        &client,
        "SELECT count(*) = 2 AND bool_and(looked_at IS NOT NULL) FROM crossfade.instances",
    )
    .await
    .unwrap();
    // Its session waits for a lock, so that the server does not notice that nobody listens.
    let holder = world.client(&world.postgres.url("killed")).await.unwrap();
    holder
        .batch_execute("BEGIN; SELECT FROM iso_agents WHERE clerk_user_id = 'user_1' FOR UPDATE")
        .await
        .unwrap();
    let session = second.client().await.unwrap();
    let waits = tokio::spawn(async move { session.batch_execute(WRITE).await });
    until(
        &client,
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)",
    )
    .await
    .unwrap();
    second.kill();
    assert!(waits.await.unwrap().is_err());
    until(
        &client,
        "SELECT EXISTS (SELECT FROM crossfade.writers_asked)",
    )
    .await
    .unwrap();
    // The other proxy has looked again since, as often as it takes to accuse somebody.
    let looked = "SELECT max(i.looked_at) > min(a.at) + interval '6 s' \
                  FROM crossfade.instances AS i, crossfade.writers_asked AS a";
    until(&client, looked).await.unwrap();
    let accused = "SELECT count(*) FROM crossfade.direct_writers";
    assert_eq!(number(&client, accused).await.unwrap(), 0);
    holder.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_a_killed_proxy_may_have_served_leaves_the_gate_unmet_and_a_verify_settles_it() {
    let world = World::start().await.unwrap();
    let mut proxy = serving_in(&world, "leftover", Phase::LegacyOnly).await;
    let second = proxy
        .beside(&world.postgres)
        .unwrap()
        .serve()
        .await
        .unwrap();
    let client = world.client(&world.postgres.url("leftover")).await.unwrap();
    for command in ["advance", "backfill", "verify", "advance", "advance"] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
    }
    until(
        &client,
        "SELECT count(*) = 2 AND bool_and(looked_at IS NOT NULL) FROM crossfade.instances",
    )
    .await
    .unwrap();
    proxy.kill();
    let writer = world.client(&world.direct_url("leftover")).await.unwrap();
    writer.batch_execute("BEGIN").await.unwrap();
    writer.batch_execute(WRITE).await.unwrap();
    until(
        &client,
        "SELECT EXISTS (SELECT FROM crossfade.writers_asked)",
    )
    .await
    .unwrap();
    writer.batch_execute("COMMIT").await.unwrap();
    let advance = ["advance", "iso_agents", "--drain-timeout-seconds", "60"];
    let refused = run(&second.config(), &advance).await.unwrap();
    assert!(!refused.status.success(), "{refused:#?}");
    for text in [
        "around the proxies     NOT met",
        "a proxy that may have served them is silent",
    ] {
        assert!(refused.errors.contains(text), "`{text}`: {refused:#?}");
    }

    // Nor can anybody tell of a time in which none looked.
    let mut second = second;
    second.kill();
    let gap = "UPDATE crossfade.watches SET until = until - interval '1 minute', since = since - interval '1 hour'; \
               DELETE FROM crossfade.writers_asked";
    client.batch_execute(gap).await.unwrap();
    let third = proxy
        .beside(&world.postgres)
        .unwrap()
        .serve()
        .await
        .unwrap();
    until(
        &client,
        "SELECT until > clock_timestamp() - interval '5 s' FROM crossfade.watches",
    )
    .await
    .unwrap();
    let refused = run(&third.config(), &advance).await.unwrap();
    let told = "it cannot be told whether somebody wrote there: no proxy looked before";
    assert!(refused.errors.contains(told), "{refused:#?}");

    let repaired = run(&third.config(), &["verify", "iso_agents", "--repair"]).await;
    let repaired = repaired.unwrap();
    for text in [
        "legacy decides in dual_read, and is believed: 0 rows that unified lacks are put there, \
         0 that only unified has are removed, 1 that differ are overwritten in unified",
        "of these, 0 were written last in unified alone",
    ] {
        assert!(repaired.errors.contains(text), "`{text}`: {repaired:#?}");
    }
    let taken = run(&third.config(), &advance).await.unwrap();
    assert!(taken.status.success(), "{taken:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_says_what_it_will_overwrite_before_it_does() {
    let world = World::start().await.unwrap();
    let proxy = serving_in(&world, "lost", Phase::DualWrite).await;
    let writer = world.client(&world.direct_url("lost")).await.unwrap();
    writer
        .batch_execute(
            "UPDATE users SET full_name = 'x' WHERE clerk_user_id IN ('user_1', 'user_2'); \
             UPDATE iso_agents SET full_name = 'y' WHERE clerk_user_id = 'user_3'; \
             DELETE FROM iso_agents WHERE clerk_user_id = 'user_4'; \
             DELETE FROM users WHERE clerk_user_id = 'user_5'",
        )
        .await
        .unwrap();
    let repaired = run(&proxy.config(), &["verify", "iso_agents", "--repair"]).await;
    let repaired = repaired.unwrap();
    for text in [
        "legacy decides in dual_write, and is believed: 1 rows that unified lacks are put there, \
         1 that only unified has are removed, 3 that differ are overwritten in unified",
        "of these, 2 were written last in unified alone, around the proxies: what was written there is lost",
    ] {
        assert!(repaired.errors.contains(text), "`{text}`: {repaired:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_proxy_ever_looked_or_one_cannot_tell_the_gate_is_not_met() {
    let world = World::start().await.unwrap();
    let proxy = world.unsealed("unseen", Phase::UnifiedRead).await.unwrap();
    let client = world.client(&world.postgres.url("unseen")).await.unwrap();
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    let refused = async |proxy: &Proxy, why: &str| {
        let advance = ["advance", "iso_agents", "--drain-timeout-seconds", "1"];
        let refused = run(&proxy.config(), &advance).await.unwrap();
        assert!(!refused.status.success(), "{refused:#?}");
        for text in ["around the proxies     NOT met", why, "--force"] {
            assert!(refused.errors.contains(text), "`{text}`: {refused:#?}");
        }
    };
    refused(&proxy, "no proxy has ever looked").await;

    let proxy = proxy.serve().await.unwrap();
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    // One that is behind another pooler, where no session bears a number of the server's.
    client
        .batch_execute(
            "INSERT INTO crossfade.instances (instance, migration, phase, generation, drained, epoch, rules_hash, \
             address, seen_at) SELECT gen_random_uuid(), migration, phase, generation, drained, epoch, rules_hash, \
             'pooled', clock_timestamp() + interval '1 hour' FROM crossfade.instances",
        )
        .await
        .unwrap();
    let blind = "a proxy does not find its own sessions among the server's";
    refused(&proxy, blind).await;
    let told = status(&proxy).await;
    assert!(told.contains(blind), "{told}");
}
