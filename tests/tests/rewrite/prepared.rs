//! Statements prepared by SQL, straight to a database that has only the legacy table's truth and
//! through Crossfade: in each phase, and from each phase into the next.

use std::time::Duration;

use anyhow::ensure;
use crossfade_tests::answer::comparable;
use crossfade_tests::raw::RawClient;
use crossfade_tests::sides::{AS_LEGACY, state};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;

const BOOKS: &str =
    "SELECT name, parameter_types::text, from_sql FROM pg_prepared_statements ORDER BY name";

/// In order; one that holds several statements goes by the simple protocol only.
const STATEMENTS: &[&str] = &[
    "PREPARE r (text) AS SELECT email, role FROM iso_agents WHERE role::text = $1 ORDER BY email LIMIT 3",
    "EXECUTE r('operator')",
    "PREPARE \"U p\" AS UPDATE iso_agents SET full_name = $1, role = $2 WHERE email = $3",
    "EXECUTE \"U p\"('Ann', 'admin', 'agent.1@example.com')",
    "EXECUTE \"U p\"('Ann', 'no such role', 'agent.1@example.com')",
    "EXECUTE \"U p\"('Ann')",
    "PREPARE ur AS UPDATE public.iso_agents AS t SET margin_value = t.margin_value + $1 WHERE role = 'admin' RETURNING t.email, role, margin_value",
    "EXECUTE ur(1)",
    "PREPARE i (text, text) AS INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ($1, $2, 'I')",
    "EXECUTE i('ci1', 'i1@example.com')",
    "EXECUTE i('ci2', 'i1@example.com')",
    "EXECUTE i('ci2', 'not an address')",
    "PREPARE ir AS INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ($1, $2, 'I', DEFAULT) ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name || '!' RETURNING email, role, full_name",
    "EXECUTE ir('ci3', 'i3@example.com')",
    "EXECUTE ir('ci3', 'i3@example.com')",
    "PREPARE d AS DELETE FROM iso_agents WHERE email = $1",
    "EXECUTE d('i1@example.com')",
    "EXECUTE d('i1@example.com')",
    BOOKS,
    "CREATE TEMP TABLE made AS EXECUTE r('operator')",
    "SELECT count(*) FROM made",
    "DROP TABLE made",
    "CREATE TEMP TABLE made AS EXECUTE ur(1)",
    // What goes wrong.
    "PREPARE d AS SELECT 1",
    "PREPARE bad AS SELECT nothing FROM iso_agents",
    "EXECUTE bad",
    "PREPARE bad AS UPDATE iso_agents SET email = $1 WHERE id = 'x'",
    "EXECUTE d((SELECT email FROM made))",
    "EXECUTE never('x')",
    "PREPARE plain AS SELECT 1 AS one",
    "EXECUTE plain",
    // Transactions.
    "BEGIN",
    "EXECUTE \"U p\"('In', 'operator', 'agent.2@example.com')",
    "SAVEPOINT a",
    "EXECUTE i('x', 'bad')",
    "EXECUTE r('admin')",
    "ROLLBACK TO a",
    "EXECUTE ur(2)",
    "PREPARE late AS DELETE FROM iso_agents WHERE email = 'agent.3@example.com' RETURNING email",
    "ROLLBACK",
    "EXECUTE late",
    "EXECUTE late",
    // Several in one text.
    "PREPARE m AS UPDATE iso_agents SET full_name = 'm' WHERE email = $1; EXECUTE m('agent.4@example.com'); SELECT 'é'; EXECUTE m('agent.5@example.com'); DEALLOCATE m",
    "EXECUTE m('agent.4@example.com')",
    "PREPARE m AS DELETE FROM iso_agents WHERE email = $1; EXECUTE m('agent.4@example.com'); EXECUTE m(1 / 0)",
    "EXECUTE m('agent.5@example.com')",
    "DEALLOCATE d; PREPARE d AS SELECT email FROM iso_agents WHERE email = $1",
    "EXECUTE d('agent.6@example.com')",
    "DEALLOCATE PREPARE d",
    "EXECUTE d('agent.6@example.com')",
    BOOKS,
    "DEALLOCATE ALL",
    "EXECUTE r('operator')",
    BOOKS,
];

async fn run_in(phase: Phase, simple: bool) -> anyhow::Result<()> {
    let world = World::start().await?;
    world.database("straight").await?;
    let proxy = world.in_phase("moved", phase).await?;
    let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
    let mut through = RawClient::connect(proxy.port, "moved").await?;
    for sql in STATEMENTS {
        if !simple && sql.contains("; ") {
            continue;
        }
        let (expected, got) = if simple {
            (straight.simple(sql).await?, through.simple(sql).await?)
        } else {
            (
                straight.extended(sql, &[]).await?,
                through.extended(sql, &[]).await?,
            )
        };
        let context = format!("{phase}: {sql}\n{got:?}\nproxy log:\n{}", proxy.log());
        let (mut expected, mut got) = (comparable(&expected), comparable(&got));
        // An UPDATE's rows have no order.
        if sql.starts_with("EXECUTE ur") {
            expected.sort();
            got.sort();
        }
        // A refusal comes with the first message, an error of the server's perhaps with a later one.
        if expected.iter().any(|line| line.starts_with("E ")) {
            for answer in [&mut expected, &mut got] {
                answer.retain(|line| line.starts_with(['C', 'E', 'Z']));
            }
        }
        assert_eq!(got, expected, "{context}");
    }
    let legacy = world.postgres.connect("straight").await?;
    let moved = world.postgres.connect("moved").await?;
    let truth = state(&legacy, "iso_agents").await;
    if phase.writes_both() || phase == Phase::LegacyOnly {
        assert_eq!(state(&moved, "iso_agents").await, truth, "{phase}");
    }
    if phase != Phase::LegacyOnly {
        assert_eq!(state(&moved, AS_LEGACY).await, truth, "{phase}");
    }
    Ok(())
}

macro_rules! phases {
    ($($test:ident: $phase:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() -> anyhow::Result<()> {
            run_in(Phase::$phase, true).await?;
            run_in(Phase::$phase, false).await
        }
    )*};
}

phases! {
    legacy_only_executes_as_postgresql_does: LegacyOnly,
    dual_write_executes_as_postgresql_does: DualWrite,
    shadow_read_executes_as_postgresql_does: ShadowRead,
    dual_read_executes_as_postgresql_does: DualRead,
    unified_read_executes_as_postgresql_does: UnifiedRead,
    unified_only_executes_as_postgresql_does: UnifiedOnly,
    retired_executes_as_postgresql_does: Retired,
}

/// The proxy serves another phase from now on.
async fn step(proxy: &Proxy, phase: Phase) -> anyhow::Result<()> {
    let loaded = |log: &str| log.matches("rules in force").count();
    let before = loaded(&proxy.log());
    proxy.turn_to("iso_agents", phase).await?;
    for _ in 0..500 {
        if loaded(&proxy.log()) > before {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("the rules are not taken over:\n{}", proxy.log())
}

const PREPARED: &[&str] = &[
    "PREPARE r (text) AS SELECT email, role, full_name FROM iso_agents WHERE email = $1",
    "PREPARE u (text, numeric) AS UPDATE iso_agents SET full_name = $1 WHERE email = 'agent.1@example.com' AND $2 > 0",
    "PREPARE ur AS UPDATE iso_agents SET role = $1 WHERE email = 'agent.2@example.com' RETURNING email, role",
    "PREPARE other AS SELECT $1::int + 1 AS next",
];

const EXECUTED: &[&str] = &[
    "EXECUTE u('Name', 1)",
    "EXECUTE r('agent.1@example.com')",
    "EXECUTE ur('operator')",
    "EXECUTE other(1)",
    "EXECUTE r('agent.2@example.com')",
];

/// Prepared in the first phase and executed in all, each time in the other protocol.
async fn carried_through(phases: &[Phase]) -> anyhow::Result<()> {
    let world = World::start().await?;
    world.database("straight").await?;
    let proxy = world.in_phase("moved", phases[0]).await?;
    let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
    let mut through = RawClient::connect(proxy.port, "moved").await?;
    for sql in PREPARED {
        straight.simple(sql).await?;
        let answer = comparable(&through.simple(sql).await?);
        ensure!(answer.iter().any(|line| line == "C PREPARE"), "{answer:?}");
    }
    for (turn, phase) in phases.iter().enumerate() {
        if turn > 0 {
            step(&proxy, *phase).await?;
        }
        // A transaction begun now ends under the same rules.
        for sql in [&["BEGIN"], EXECUTED, &["COMMIT", BOOKS], EXECUTED].concat() {
            let (expected, got) = if turn % 2 == 0 {
                (straight.simple(sql).await?, through.simple(sql).await?)
            } else {
                (
                    straight.extended(sql, &[]).await?,
                    through.extended(sql, &[]).await?,
                )
            };
            let context = format!("{phase}: {sql}\n{got:?}\nproxy log:\n{}", proxy.log());
            assert_eq!(comparable(&got), comparable(&expected), "{context}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_prepared_in_one_phase_is_executed_as_the_next_demands() -> anyhow::Result<()> {
    use Phase::{DualRead, DualWrite, ShadowRead, UnifiedOnly, UnifiedRead};
    carried_through(&[DualWrite, ShadowRead, DualRead, UnifiedRead, UnifiedOnly]).await?;
    carried_through(&[UnifiedOnly, UnifiedRead, DualRead, ShadowRead, DualWrite]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_prepared_before_the_first_step_reaches_both_sides_after_it() -> anyhow::Result<()>
{
    let world = World::start().await?;
    let proxy = world.in_phase("moved", Phase::DualWrite).await?;
    step(&proxy, Phase::LegacyOnly).await?;
    let mut session = RawClient::connect(proxy.port, "moved").await?;
    session.simple(PREPARED[1]).await?;
    step(&proxy, Phase::DualWrite).await?;
    let answer = comparable(&session.simple("EXECUTE u('Both', 1)").await?);
    assert_eq!(answer[0], "C UPDATE 1", "{answer:?}");
    let direct = world.postgres.connect("moved").await?;
    let row = direct
        .query_one(
            "SELECT l.full_name, u.full_name FROM iso_agents l JOIN users u USING (email) WHERE email = 'agent.1@example.com'",
            &[],
        )
        .await?;
    assert_eq!((row.get(0), row.get(1)), ("Both", "Both"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_prepared_anew_is_dropped_as_if_it_were_there() -> anyhow::Result<()> {
    let world = World::start().await?;
    let proxy = world.in_phase("moved", Phase::ShadowRead).await?;
    let mut session = RawClient::connect(proxy.port, "moved").await?;
    session.simple(PREPARED[0]).await?;
    session.simple("PREPARE r2 AS TABLE iso_agents").await?;
    step(&proxy, Phase::DualRead).await?;
    // Behind the step, which is not taken by rules that do not fit; it is prepared anew at its next use.
    let direct = world.postgres.connect("moved").await?;
    direct
        .batch_execute("ALTER TABLE users RENAME TO gone")
        .await?;
    for (name, simple) in [("r('x')", true), ("r2", false)] {
        let told = comparable(&session.simple(&format!("EXECUTE {name}")).await?);
        assert!(told[0].starts_with("E ERROR | 42P01"), "{told:?}");
        let drop = format!("DEALLOCATE {}", name.trim_end_matches("('x')"));
        for dropped in [true, false] {
            let told = if simple {
                session.simple(&drop).await?
            } else {
                session.extended(&drop, &[]).await?
            };
            let told = comparable(&told);
            let has = |start: &str| told.iter().any(|line| line.starts_with(start));
            assert!(
                has(if dropped {
                    "C DEALLOCATE"
                } else {
                    "E ERROR | 26000"
                }),
                "{told:?}"
            );
        }
    }
    Ok(())
}
