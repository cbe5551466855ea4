//! Some sessions read as in the next phase, and go back by themselves when that does harm.

use crossfade_tests::control::{self, a_moment, number, until};
use crossfade_tests::world::CLERK;
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::{Client, SimpleQueryMessage};

const NAME: &str = "SELECT full_name FROM iso_agents WHERE clerk_user_id = 'user_2'";
const OTHERWISE: &str = "UPDATE users SET full_name = 'other' WHERE clerk_user_id = 'user_2'";

/// A migration in a phase with all its gates met, but for what time brings; no read is compared unless `more` says so.
async fn migration(world: &World, name: &str, phase: Phase, more: &str) -> Proxy {
    world.database(name).await.unwrap();
    let config = if more.is_empty() {
        "[shadow]\nsample = 0.0\n"
    } else {
        more
    };
    let proxy = Proxy::with_config(&world.postgres, name, config).unwrap();
    proxy.write_phase(Phase::DualWrite).unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    proxy.turn_to("iso_agents", phase).await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    proxy
}

async fn canary(proxy: &Proxy, args: &[&str]) {
    let all = [&["canary", "iso_agents"], args].concat();
    proxy.crossfade(&all).await.unwrap();
}

async fn simple(client: &Client, text: &str) -> Option<String> {
    first(&client.simple_query(text).await.unwrap())
}

/// The first value of the first row.
fn first(messages: &[SimpleQueryMessage]) -> Option<String> {
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

/// Until a read is answered so. What is expected comes, and stays; a proxy that has not heard yet may fail it.
async fn until_read(client: &Client, expected: &str) {
    loop {
        let answered = client.simple_query(NAME).await.unwrap_or_default();
        if first(&answered).as_deref() == Some(expected) {
            return;
        }
        a_moment().await;
    }
}

/// Why it went back by itself, once it has; `busy` is what goes on meanwhile.
async fn went_back(operator: &Client, mut busy: impl AsyncFnMut()) -> String {
    let why = "SELECT reason FROM crossfade.events WHERE kind = 'canary_back'";
    loop {
        busy().await;
        if let Some(row) = operator.query_opt(why, &[]).await.unwrap() {
            let running = "SELECT count(*) FROM crossfade.canary WHERE ended_at IS NULL";
            assert_eq!(number(operator, running).await.unwrap(), 0);
            return row.get(0);
        }
    }
}

#[tokio::test]
async fn a_canary_is_answered_as_in_the_next_phase_by_either_protocol_and_nobody_else_is() {
    let world = World::start().await.unwrap();
    let proxy = migration(&world, "asnext", Phase::ShadowRead, "").await;
    let operator = world.postgres.connect("asnext").await.unwrap();
    let (app, clerk) = (
        proxy.client().await.unwrap(),
        proxy.client_of(CLERK).await.unwrap(),
    );
    // Prepared before it begins, by the protocol and by SQL.
    let prepared = clerk.prepare(NAME).await.unwrap();
    clerk
        .batch_execute(&format!("PREPARE by_sql AS {NAME}"))
        .await
        .unwrap();
    let answers = async || {
        let row = clerk.query_one(&prepared, &[]).await.unwrap();
        let by_sql = simple(&clerk, "EXECUTE by_sql").await.unwrap();
        let plain = simple(&clerk, NAME).await.unwrap();
        [row.get(0), by_sql, plain]
    };
    assert_eq!(answers().await, ["Agent 2"; 3]);
    canary(&proxy, &["--user", CLERK]).await;
    // As nobody would find it: behind the gates.
    operator.batch_execute(OTHERWISE).await.unwrap();
    until_read(&clerk, "other").await;
    assert_eq!(answers().await, ["other"; 3]);
    assert_eq!(simple(&app, NAME).await.as_deref(), Some("Agent 2"));
    // What locks or writes goes by the phase that it is in, and so does what follows in a cursor.
    let locked = format!("{NAME} FOR UPDATE");
    assert_eq!(simple(&clerk, &locked).await.as_deref(), Some("Agent 2"));
    let cursor = format!("BEGIN; DECLARE c CURSOR FOR {NAME}; FETCH c");
    assert_eq!(simple(&clerk, &cursor).await.as_deref(), Some("Agent 2"));
    let both = "COMMIT; WITH w AS (UPDATE iso_agents SET email = email WHERE clerk_user_id = 'user_2' RETURNING full_name) \
                SELECT full_name FROM w";
    assert_eq!(simple(&clerk, both).await.as_deref(), Some("Agent 2"));
    // The write has put the row that legacy has to unified: both agree again.
    assert_eq!(answers().await, ["Agent 2"; 3]);
    operator.batch_execute(OTHERWISE).await.unwrap();
    // Its reads carry the fence of the epoch.
    let held = "SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation \
                WHERE c.relname = 'fence' AND l.mode = 'RowShareLock'";
    clerk
        .batch_execute(&format!("BEGIN; {NAME}"))
        .await
        .unwrap();
    assert_eq!(number(&operator, held).await.unwrap(), 1);
    // Whoever began a transaction as one ends it as one.
    canary(&proxy, &["off"]).await;
    while !proxy.log().contains("no canary runs") {
        a_moment().await;
    }
    assert_eq!(answers().await, ["other"; 3]);
    clerk.batch_execute("COMMIT").await.unwrap();
    assert_eq!(answers().await, ["Agent 2"; 3]);
    let events = proxy.crossfade(&["events", "iso_agents"]).await.unwrap();
    for word in ["canary\n", "canary_end", CLERK, "an operator ended it"] {
        assert!(events.contains(word), "{word}: {events}");
    }
}

#[tokio::test]
async fn a_share_is_kept_by_each_session_and_lets_others_in_when_it_grows() {
    let world = World::start().await.unwrap();
    let proxy = migration(&world, "share", Phase::ShadowRead, "").await;
    let operator = world.postgres.connect("share").await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..24 {
        sessions.push(proxy.client().await.unwrap());
    }
    let inside = async || {
        let mut inside = Vec::new();
        for session in &sessions {
            inside.push(simple(session, NAME).await.as_deref() == Some("other"));
        }
        inside
    };
    canary(&proxy, &["50%"]).await;
    operator.batch_execute(OTHERWISE).await.unwrap();
    // Of twenty-four sessions all are alike once in eight million times.
    let mut half = inside().await;
    while half.iter().all(|is| !is) {
        half = inside().await;
    }
    assert!(half.iter().any(|is| !is));
    for _ in 0..3 {
        assert_eq!(inside().await, half);
    }
    canary(&proxy, &["80%"]).await;
    while !proxy.log().contains("80 % of the sessions") {
        a_moment().await;
    }
    let more = inside().await;
    let stays = half.iter().zip(&more).all(|(was, is)| *is || !was);
    assert!(stays, "{half:?} {more:?}");
    canary(&proxy, &["100%"]).await;
    while inside().await.iter().any(|is| !is) {
        a_moment().await;
    }
    let shown = proxy.crossfade(&["canary"]).await.unwrap();
    assert!(
        shown.contains("100 % of the sessions read as in dual_read"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_canary_that_does_no_harm_goes_on() {
    let world = World::start().await.unwrap();
    let proxy = migration(&world, "good", Phase::DualRead, "[shadow]\nsample = 1.0\n").await;
    let operator = world.postgres.connect("good").await.unwrap();
    let (app, clerk) = (
        proxy.client().await.unwrap(),
        proxy.client_of(CLERK).await.unwrap(),
    );
    canary(&proxy, &["--user", CLERK]).await;
    while !proxy.log().contains("a canary runs") {
        a_moment().await;
    }
    let counted = |group: &str| {
        format!(
            "(SELECT sum((counted->'{group}'->>'answered')::bigint) FROM crossfade.canary_counts)"
        )
    };
    // Errors of both, as many here as there.
    let wrong = "SELECT full_name::int FROM iso_agents LIMIT 1";
    loop {
        for client in [&app, &clerk] {
            assert!(simple(client, NAME).await.is_some());
            let _ = client.simple_query(wrong).await;
        }
        let enough = format!(
            "SELECT coalesce({} > 200 AND {} > 200, false)",
            counted("canary"),
            counted("rest")
        );
        if operator.query_one(&enough, &[]).await.unwrap().get(0) {
            break;
        }
    }
    // Judged with all that: each look is written down before it is judged.
    let looks = "SELECT count(*) FROM (SELECT DISTINCT at FROM crossfade.canary_counts) AS l";
    assert_eq!(number(&operator, looks).await.unwrap(), 1);
    let last: String = operator
        .query_one("SELECT at::text FROM crossfade.canary_counts", &[])
        .await
        .unwrap()
        .get(0);
    until(
        &operator,
        &format!(
            "(SELECT at > '{last}'::timestamptz + interval '2 s' FROM crossfade.canary_counts)"
        ),
    )
    .await
    .unwrap();
    let running = "SELECT count(*) FROM crossfade.canary WHERE ended_at IS NULL";
    assert_eq!(number(&operator, running).await.unwrap(), 1);
    let shown = proxy.crossfade(&["canary", "iso_agents"]).await.unwrap();
    for word in [
        "users teller read as in unified_read",
        "errors",
        "p = ",
        "p99",
        "divergence",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let json = proxy.crossfade(&["canary", "--json"]).await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["users"][0], CLERK);
    assert!(
        json[0]["counted"]["canary"]["failed"].as_u64() > Some(0),
        "{json}"
    );
}

#[tokio::test]
async fn reads_that_fail_bring_it_back() {
    let world = World::start().await.unwrap();
    let proxy = migration(&world, "fails", Phase::ShadowRead, "").await;
    let operator = world.postgres.connect("fails").await.unwrap();
    let clerk = proxy.client_of(CLERK).await.unwrap();
    canary(&proxy, &["--user", CLERK]).await;
    operator
        .batch_execute("REVOKE SELECT ON users FROM teller")
        .await
        .unwrap();
    let why = went_back(&operator, async || {
        let _ = clerk.simple_query(NAME).await;
    })
    .await;
    assert!(why.contains("errors: ") && why.contains("p = "), "{why}");
    until_read(&clerk, "Agent 2").await;
    assert!(proxy.log().contains("a canary goes back"));
}

#[tokio::test]
async fn reads_that_differ_bring_it_back() {
    let world = World::start().await.unwrap();
    let proxy = migration(
        &world,
        "differs",
        Phase::ShadowRead,
        "[shadow]\nsample = 1.0\n",
    )
    .await;
    let operator = world.postgres.connect("differs").await.unwrap();
    let clerk = proxy.client_of(CLERK).await.unwrap();
    canary(&proxy, &["--user", CLERK]).await;
    operator.batch_execute(OTHERWISE).await.unwrap();
    // It is the canary's own reads that are compared: nobody else reads.
    let why = went_back(&operator, async || {
        simple(&clerk, NAME).await;
    })
    .await;
    assert!(
        why.contains("divergence: ") && why.contains("compared reads differ"),
        "{why}"
    );
    until_read(&clerk, "Agent 2").await;
}

#[tokio::test]
async fn rows_that_others_have_to_read_from_legacy_bring_it_back() {
    let world = World::start().await.unwrap();
    let proxy = migration(&world, "missing", Phase::DualRead, "").await;
    let operator = world.postgres.connect("missing").await.unwrap();
    let (app, clerk) = (
        proxy.client().await.unwrap(),
        proxy.client_of(CLERK).await.unwrap(),
    );
    canary(&proxy, &["--user", CLERK]).await;
    while !proxy.log().contains("a canary runs") {
        a_moment().await;
    }
    operator
        .batch_execute("DELETE FROM users WHERE clerk_user_id = 'user_2'")
        .await
        .unwrap();
    assert_eq!(simple(&clerk, NAME).await, None, "as in unified_read");
    let why = went_back(&operator, async || {
        let found = simple(&app, NAME).await;
        assert_eq!(found.as_deref(), Some("Agent 2"), "as in dual_read");
    })
    .await;
    assert!(why.contains("rows were read from legacy alone"), "{why}");
    until_read(&clerk, "Agent 2").await;
}

#[tokio::test]
async fn reads_that_take_much_longer_than_those_of_others_bring_it_back() {
    let world = World::start().await.unwrap();
    let proxy = migration(&world, "slow", Phase::ShadowRead, "").await;
    let operator = world.postgres.connect("slow").await.unwrap();
    let (app, clerk) = (
        proxy.client().await.unwrap(),
        proxy.client_of(CLERK).await.unwrap(),
    );
    canary(&proxy, &["--user", CLERK]).await;
    while !proxy.log().contains("a canary runs") {
        a_moment().await;
    }
    // Unified answers the clerk late: half a second for each statement.
    operator
        .batch_execute(
            "ALTER TABLE users ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY late ON users FOR SELECT TO teller USING ((SELECT true FROM pg_sleep(0.5)))",
        )
        .await
        .unwrap();
    let why = went_back(&operator, async || {
        for _ in 0..50 {
            simple(&app, NAME).await;
        }
        simple(&clerk, NAME).await;
    })
    .await;
    assert!(
        why.contains("latency: p99 ") && !why.contains("errors"),
        "{why}"
    );
    until_read(&clerk, "Agent 2").await;
}

#[tokio::test]
async fn two_proxies_have_the_same_canary_and_each_finds_the_harm_that_the_other_saw() {
    let world = World::start().await.unwrap();
    let one = migration(&world, "two", Phase::ShadowRead, "").await;
    let other = one.beside(&world.postgres).unwrap();
    let other = other.serve().await.unwrap();
    let operator = world.postgres.connect("two").await.unwrap();
    canary(&one, &["--user", CLERK]).await;
    operator.batch_execute(OTHERWISE).await.unwrap();
    let (here, there) = (
        one.client_of(CLERK).await.unwrap(),
        other.client_of(CLERK).await.unwrap(),
    );
    until_read(&here, "other").await;
    until_read(&there, "other").await;
    operator
        .batch_execute("REVOKE SELECT ON users FROM teller")
        .await
        .unwrap();
    let why = went_back(&operator, async || {
        let _ = there.simple_query(NAME).await;
    })
    .await;
    assert!(why.contains("errors"), "{why}");
    until_read(&here, "Agent 2").await;
    until_read(&there, "Agent 2").await;
    // One of them did it.
    let back = "SELECT count(*) FROM crossfade.events WHERE kind = 'canary_back'";
    assert_eq!(number(&operator, back).await.unwrap(), 1);
}

#[tokio::test]
async fn a_step_ends_it_and_its_gates_are_those_of_the_next_phase() {
    let world = World::start().await.unwrap();
    let proxy = migration(&world, "ends", Phase::DualRead, "").await;
    let operator = world.postgres.connect("ends").await.unwrap();
    canary(&proxy, &["5%", "--application", "report"]).await;
    proxy.crossfade(&["rollback", "iso_agents"]).await.unwrap();
    let ended = "SELECT count(*) FROM crossfade.canary WHERE ended_why = 'rollback'";
    assert_eq!(number(&operator, ended).await.unwrap(), 1);
    let shown = proxy.crossfade(&["canary"]).await.unwrap();
    assert!(shown.contains("no canary runs"), "{shown}");
    // A row of unified that is known to be wrong would be read.
    operator
        .batch_execute(
            "SELECT crossfade.record_divergence('iso_agents', '\"public\".\"iso_agents\"', jsonb_build_array(a.id), 'w', '23505') \
             FROM iso_agents AS a WHERE clerk_user_id = 'user_2'",
        )
        .await
        .unwrap();
    operator.batch_execute(OTHERWISE).await.unwrap();
    let refused = control::run(&proxy.config(), &["canary", "iso_agents", "5%"])
        .await
        .unwrap();
    assert!(refused.errors.contains("divergence ledger"), "{refused:?}");
    let forced = ["5%", "--force", "--reason", "a look"];
    canary(&proxy, &forced).await;
    let event = "SELECT count(*) FROM crossfade.events WHERE kind = 'canary' AND forced AND reason = 'a look'";
    assert_eq!(number(&operator, event).await.unwrap(), 1);
    // Other rules are another epoch.
    let rules = std::fs::read_to_string(proxy.rule_file()).unwrap();
    std::fs::write(proxy.rule_file(), rules + "\n# said otherwise\n").unwrap();
    until(
        &operator,
        "EXISTS (SELECT FROM crossfade.canary WHERE ended_why = 'a rule file was changed')",
    )
    .await
    .unwrap();
    proxy.crossfade(&["rollback", "iso_agents"]).await.unwrap();
    let refused = control::run(&proxy.config(), &["canary", "iso_agents", "5%"])
        .await
        .unwrap();
    assert!(
        refused
            .errors
            .contains("in shadow_read and in dual_read alone"),
        "{refused:?}"
    );
}
