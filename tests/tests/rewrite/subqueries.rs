//! Queries inside the clauses of a write: of ON CONFLICT, SET and RETURNING. Straight to a database
//! that has only the legacy table's truth, and through Crossfade in every phase: same answers, same
//! rows afterwards.

use std::sync::LazyLock;

use std::time::Duration;

use crossfade_tests::World;
use crossfade_tests::answer::comparable;
use crossfade_tests::control::until_blocked;
use crossfade_tests::corpus::{self, Statement};
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::sides::{AS_LEGACY, differences, state};
use rewrite_rules::Phase;

static ON_CONFLICT: LazyLock<Vec<Statement>> = LazyLock::new(|| {
    corpus::statements(include_str!(
        "../../data/statements/subqueries_on_conflict.sql"
    ))
});

static SET: LazyLock<Vec<Statement>> =
    LazyLock::new(|| corpus::statements(include_str!("../../data/statements/subqueries_set.sql")));

static RETURNING: LazyLock<Vec<Statement>> = LazyLock::new(|| {
    corpus::statements(include_str!(
        "../../data/statements/subqueries_returning.sql"
    ))
});

/// An answer whose rows have no order.
fn answer(messages: &[Message]) -> Vec<String> {
    let mut lines = comparable(messages);
    if let Some(first) = lines.iter().position(|line| line.starts_with("D ")) {
        let rows = lines[first..].iter();
        let count = rows.take_while(|line| line.starts_with("D ")).count();
        lines[first..first + count].sort();
    }
    lines
}

async fn run_in(phase: Phase, statements: &[Statement], simple: bool) -> anyhow::Result<()> {
    let world = World::start().await?;
    world.database("straight").await?;
    let proxy = world.in_phase("moved", phase).await?;
    let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
    let mut through = RawClient::connect(proxy.port, "moved").await?;
    let legacy = world.postgres.connect("straight").await?;
    let moved = world.postgres.connect("moved").await?;
    for (sql, parameters) in statements {
        let (expected, got) = if simple && parameters.is_empty() {
            (straight.simple(sql).await?, through.simple(sql).await?)
        } else {
            (
                straight.extended(sql, parameters).await?,
                through.extended(sql, parameters).await?,
            )
        };
        let context = format!("{phase}: {sql}\nproxy log:\n{}", proxy.log());
        assert_eq!(answer(&got), answer(&expected), "{context}");
        let truth = state(&legacy, "iso_agents").await;
        if phase.writes_both() || phase == Phase::LegacyOnly {
            let rows = state(&moved, "iso_agents").await;
            assert_eq!(rows, truth, "legacy rows after {context}");
        }
        if phase != Phase::LegacyOnly {
            let rows = state(&moved, AS_LEGACY).await;
            assert_eq!(rows, truth, "unified rows after {context}");
        }
        if phase.writes_both() {
            assert_eq!(differences(&moved).await, 0, "after {context}");
        }
    }
    Ok(())
}

macro_rules! phases {
    ($($statements:ident { $($test:ident: $phase:ident),* $(,)? })*) => {$($(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() -> anyhow::Result<()> {
            run_in(Phase::$phase, &$statements, true).await?;
            run_in(Phase::$phase, &$statements, false).await
        }
    )*)*};
}

phases! {
    ON_CONFLICT {
        in_dual_write_on_conflict_has_queries: DualWrite,
        in_dual_read_on_conflict_has_queries: DualRead,
        in_unified_read_on_conflict_has_queries: UnifiedRead,
        in_unified_only_on_conflict_has_queries: UnifiedOnly,
    }
    SET {
        in_dual_write_set_has_queries: DualWrite,
        in_unified_read_set_has_queries: UnifiedRead,
        in_unified_only_set_has_queries: UnifiedOnly,
    }
    RETURNING {
        in_dual_write_returning_has_queries: DualWrite,
        in_dual_read_returning_has_queries: DualRead,
        in_unified_read_returning_has_queries: UnifiedRead,
        in_unified_only_returning_has_queries: UnifiedOnly,
    }
}

/// The query sees the row as it is when the lock is granted, as PostgreSQL's does.
#[tokio::test(flavor = "multi_thread")]
async fn two_queries_that_count_up_one_row_lose_nothing() -> anyhow::Result<()> {
    const UPDATES: [&str; 2] = [
        "UPDATE iso_agents SET (margin_value, full_name) = (SELECT margin_value + v.n, v.x) \
         FROM (VALUES (1, 'x')) AS v(n, x) WHERE email = 'agent.5@example.com' RETURNING margin_value",
        "UPDATE iso_agents SET (margin_value, full_name) = (SELECT margin_value + n, k) \
         FROM (VALUES ('agent.5@example.com', 1)) AS v(k, n) FULL JOIN (VALUES ('agent.5@example.com')) AS w(k) \
         USING (k) WHERE email = k RETURNING margin_value",
    ];
    let world = World::start().await?;
    for (phase, number) in [
        (Phase::UnifiedRead, 0),
        (Phase::UnifiedOnly, 0),
        (Phase::UnifiedRead, 1),
        (Phase::UnifiedOnly, 1),
    ] {
        let update = UPDATES[number];
        let database = format!("in_{phase}_{number}");
        let proxy = world.in_phase(&database, phase).await?;
        let moved = world.postgres.connect(&database).await?;
        let mut first = RawClient::connect(proxy.port, &database).await?;
        let mut other = RawClient::connect(proxy.port, &database).await?;
        let zero = "UPDATE iso_agents SET margin_value = 0 WHERE email = 'agent.5@example.com'";
        first.simple(zero).await?;
        let pid = other.simple("SELECT pg_backend_pid()").await?;
        let pid = pid.iter().find(|message| message.tag == b'D');
        let pid: String = pid
            .map(Message::values)
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        first.simple("BEGIN").await?;
        first.simple(update).await?;
        let waiting = tokio::spawn(async move { other.simple(update).await });
        until_blocked(&moved, pid.parse()?).await?;
        first.simple("COMMIT").await?;
        let told = tokio::time::timeout(Duration::from_secs(20), waiting).await???;
        let told = comparable(&told);
        assert!(
            told.contains(&"D [\"2.00\"]".to_owned()),
            "{phase}: {told:?}"
        );
    }
    Ok(())
}
