//! A step that ends at any point, as in a power cut: what the rule file says, what `status` makes of
//! it, and how it goes on.

use crossfade::fault;
use crossfade_tests::control::{self, Running, number, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

const UNTIE: &str = "\
    ALTER TABLE client_profiles DROP CONSTRAINT client_profiles_iso_agent_id_fkey; \
    ALTER TABLE requests DROP CONSTRAINT requests_iso_agent_id_fkey";

/// What the database has in force.
async fn phase(client: &Client) -> Phase {
    let newest = "SELECT phase FROM crossfade.epochs ORDER BY epoch DESC LIMIT 1";
    let row = client.query_one(newest, &[]).await.unwrap();
    row.get::<_, String>(0).parse().unwrap()
}

async fn ends_at_each_point(
    (proxy, client): (&Proxy, &Client),
    (forward, from): (&str, Phase),
    (back, to): (&str, Phase),
) {
    for (number, point) in fault::STEP.into_iter().enumerate() {
        // Counting begins only where legacy is left, but the point is passed by each step.
        let killed = Running::start_with(
            &proxy.config(),
            &[forward, "iso_agents"],
            &[(fault::VARIABLE, point)],
        );
        let killed = killed.unwrap().end().await.unwrap();
        assert_eq!(killed.status.code(), None, "{point}: {killed:#?}");
        let expected = if number < fault::OPENED { from } else { to };
        let found = phase(client).await;
        assert_eq!(found, expected, "{forward}, {point}");

        let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
        let drained = if expected == from {
            "drained"
        } else {
            "NOT drained"
        };
        let line = status.lines().nth(1).unwrap();
        let is = line.contains(expected.name()) && line.ends_with(&format!("), {drained}"));
        assert!(is, "{forward}, {point}: {status}");
        let told = match (point, expected == from) {
            ("step: alone" | "step: gates", _) => "",
            (_, true) => "interrupted before the phase was changed",
            (_, false) => "its drain was not seen to end",
        };
        assert!(status.contains(told), "{forward}, {point}: {status}");

        // Whoever comes next goes on from there, or takes it back.
        if expected == from {
            proxy.crossfade(&[forward, "iso_agents"]).await.unwrap();
        }
        assert_eq!(phase(client).await, to);
        proxy.crossfade(&[back, "iso_agents"]).await.unwrap();
        assert_eq!(phase(client).await, from, "{forward}, {point}");
    }
    let open = "SELECT count(*) FROM crossfade.events WHERE to_phase IS NOT NULL \
                AND drained_at IS NULL AND id = (SELECT max(id) FROM crossfade.events)";
    assert_eq!(control::number(client, open).await.unwrap(), 0);
}

#[tokio::test]
async fn a_step_that_ends_at_any_point_leaves_the_old_phase_or_the_new_one() {
    let world = World::start().await.unwrap();
    world.database("killed").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "killed", Phase::LegacyOnly).unwrap();
    let client = world.client(&world.postgres.url("killed")).await.unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    let both = (&proxy, &client);
    ends_at_each_point(
        both,
        ("advance", Phase::LegacyOnly),
        ("rollback", Phase::DualWrite),
    )
    .await;
    for command in ["advance", "backfill", "verify", "advance", "advance"] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
    }
    ends_at_each_point(
        both,
        ("advance", Phase::DualRead),
        ("rollback", Phase::UnifiedRead),
    )
    .await;
    ends_at_each_point(
        both,
        ("rollback", Phase::DualRead),
        ("advance", Phase::ShadowRead),
    )
    .await;
}

const VERIFIED: &str = "INSERT INTO crossfade.verifications \
    (migration, started_at, clean, missing, extra, different, report) \
    VALUES ('iso_agents', clock_timestamp(), true, 0, 0, 0, '{}')";

#[tokio::test]
async fn a_step_to_unified_only_that_ends_at_any_point_leaves_legacy_marked_as_stale() {
    let world = World::start().await.unwrap();
    world.database("leaves").await.unwrap();
    let client = world.client(&world.postgres.url("leaves")).await.unwrap();
    client.batch_execute(UNTIE).await.unwrap();
    for (at, point) in fault::STEP.into_iter().enumerate() {
        let proxy = Proxy::with_rules(&world.postgres, "leaves", Phase::UnifiedRead).unwrap();
        proxy.crossfade(&["prepare"]).await.unwrap();
        let back = proxy.turn_to("iso_agents", Phase::UnifiedRead);
        back.await.unwrap();
        let mut proxy = proxy.serve().await.unwrap();
        client
            .batch_execute("UPDATE crossfade.migrations SET legacy_stale_since = NULL")
            .await
            .unwrap();
        // Nobody has looked for writers around the proxies while there was none.
        let looks = "EXISTS (SELECT FROM crossfade.watches WHERE until > clock_timestamp() - interval '3 s')";
        until(&client, looks).await.unwrap();
        client.batch_execute(VERIFIED).await.unwrap();
        let killed = Running::start_with(
            &proxy.config(),
            &["advance", "iso_agents"],
            &[(fault::VARIABLE, point)],
        );
        let killed = killed.unwrap().end().await.unwrap();
        assert_eq!(killed.status.code(), None, "{point}: {killed:#?}");
        let replaced = at >= fault::OPENED;
        let now = phase(&client).await;
        assert_eq!(now == Phase::UnifiedOnly, replaced, "{point}");
        let stale =
            "SELECT count(*) FROM crossfade.migrations WHERE legacy_stale_since IS NOT NULL";
        let stale = number(&client, stale).await.unwrap() == 1;
        // Before it could happen at the latest; a moment too early costs a reverse backfill.
        assert!(stale || !replaced, "{point}");
        if !replaced {
            proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
        }
        // The next step finds the counting begun, whoever was to begin it.
        let next = control::run(&proxy.config(), &["advance", "iso_agents"])
            .await
            .unwrap();
        assert!(next.status.success(), "{point}: {next:#?}");
        let counting = "SELECT count(*) FROM crossfade.left_behind";
        assert_eq!(number(&client, counting).await.unwrap(), 1, "{point}");
        proxy.stop();
    }
}

/// What `doctor` says, and whether all is well.
async fn doctor(proxy: &Proxy, more: &[&str]) -> (bool, String) {
    let mut args = vec!["doctor", "iso_agents"];
    args.extend(more);
    let ended = control::run(&proxy.config(), &args).await.unwrap();
    (ended.status.success(), ended.output + &ended.errors)
}

/// No proxy is waited for that might be starting.
const NOBODY_SERVES: [&str; 2] = ["--drain-timeout-seconds", "0"];

/// Kills a command at a point, and holds what `doctor` makes of it against what it left.
async fn is_put_right((proxy, client): (&Proxy, &Client), command: &str, point: &str) {
    let from = phase(client).await;
    let ends = [(fault::VARIABLE, point)];
    let args = [command, "iso_agents", NOBODY_SERVES[0], NOBODY_SERVES[1]];
    let killed = Running::start_with(&proxy.config(), &args, &ends).unwrap();
    let killed = killed.end().await.unwrap();
    assert_eq!(killed.status.code(), None, "{point}: {killed:#?}");
    let now = phase(client).await;
    let (well, told) = doctor(proxy, &[]).await;
    // A step that has not opened its epoch has changed nothing yet, but for what it forbids and watches over.
    let left = match point {
        "step: remembered" if from == Phase::LegacyOnly => "DDL on its tables is refused",
        "step: alone" | "step: gates" | "step: event" | "step: remembered" => "nothing is left",
        "step: drained" | "step: counting" | fault::RENAMED => "was not seen to its end",
        fault::READS_TURN => "may not be recorded",
        fault::BACKFILL_BEGUN => "backfill of public.iso_agents was interrupted",
        _ => "is still open",
    };
    assert!(told.contains(left), "{command}, {point}: {told}");
    assert_eq!(well, left == "nothing is left", "{point}: {told}");
    let [option, seconds] = NOBODY_SERVES;
    let (well, told) = doctor(proxy, &["--mend", option, seconds]).await;
    assert_eq!(
        well,
        point != fault::BACKFILL_BEGUN,
        "{command}, {point}: {told}"
    );
    assert_eq!(phase(client).await, now, "{command}, {point}");
    let fences = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^crossfade_(closed_)?e[0-9]'";
    assert_eq!(
        number(client, fences).await.unwrap(),
        1,
        "{command}, {point}"
    );
}

async fn goes(proxy: &Proxy, command: &str) {
    let [option, seconds] = NOBODY_SERVES;
    let args = [command, "iso_agents", option, seconds];
    proxy.crossfade(&args).await.unwrap();
}

#[tokio::test]
async fn what_a_killed_command_leaves_is_named_and_put_right_by_doctor_wherever_it_was() {
    let world = World::start().await.unwrap();
    world.database("doctor").await.unwrap();
    // Nobody serves: no proxy puts anything right.
    let proxy = Proxy::with_rules(&world.postgres, "doctor", Phase::LegacyOnly).unwrap();
    let client = world.client(&world.postgres.url("doctor")).await.unwrap();
    let both = (&proxy, &client);
    proxy.crossfade(&["prepare"]).await.unwrap();
    for point in fault::STEP.into_iter().chain(fault::CLOSE) {
        is_put_right(both, "advance", point).await;
        if phase(&client).await == Phase::LegacyOnly {
            goes(&proxy, "advance").await;
        }
        is_put_right(both, "rollback", point).await;
        if phase(&client).await == Phase::DualWrite {
            goes(&proxy, "rollback").await;
        }
    }
    goes(&proxy, "advance").await;
    is_put_right(both, "backfill", fault::BACKFILL_BEGUN).await;
    goes(&proxy, "backfill").await;
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    goes(&proxy, "advance").await;
    is_put_right(both, "advance", fault::READS_TURN).await;
    goes(&proxy, "advance").await;
}
