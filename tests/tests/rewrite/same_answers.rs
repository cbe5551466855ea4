//! The same statements straight to a database that has only the legacy table's truth, and through
//! Crossfade in every phase: same answers, same rows afterwards.

use std::sync::LazyLock;

use crossfade_tests::World;
use crossfade_tests::answer::comparable;
use crossfade_tests::corpus::{self, Statement};
use crossfade_tests::raw::RawClient;
use crossfade_tests::sides::{AS_LEGACY, differences, state};
use rewrite_rules::Phase;

/// Each block of statements runs in order; the states are compared after each statement.
static STATEMENTS: LazyLock<Vec<Statement>> =
    LazyLock::new(|| corpus::statements(include_str!("../../data/statements/same_answers.sql")));

/// `COPY … FROM STDIN…` and the data behind the first tab.
fn copied(sql: &'static str) -> Option<(&'static str, &'static str)> {
    sql.split_once('\t')
        .filter(|(copy, _)| copy.contains("FROM STDIN"))
}

async fn run_in(phase: Phase, simple: bool) -> anyhow::Result<()> {
    let world = World::start().await?;
    world.database("straight").await?;
    let proxy = world.in_phase("moved", phase).await?;
    let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
    let mut through = RawClient::connect(proxy.port, "moved").await?;
    let legacy = world.postgres.connect("straight").await?;
    let moved = world.postgres.connect("moved").await?;
    let mut in_transaction = false;
    for (sql, parameters) in STATEMENTS.iter() {
        let by_query = simple && parameters.is_empty();
        if !by_query && sql.contains("; ") {
            continue;
        }
        let (expected, got) = if let Some((copy, data)) = copied(sql) {
            if !by_query {
                continue;
            }
            (
                straight.copy_in(copy, data).await?,
                through.copy_in(copy, data).await?,
            )
        } else if by_query {
            (straight.simple(sql).await?, through.simple(sql).await?)
        } else {
            (
                straight.extended(sql, parameters).await?,
                through.extended(sql, parameters).await?,
            )
        };
        let context = format!("{phase}: {sql}\n{got:?}\nproxy log:\n{}", proxy.log());
        assert_eq!(comparable(&got), comparable(&expected), "{context}");
        in_transaction = expected.last().is_some_and(|ready| ready.body != b"I");
        if in_transaction {
            continue;
        }
        let truth = state(&legacy, "iso_agents").await;
        if phase.writes_both() || phase == Phase::LegacyOnly {
            assert_eq!(
                state(&moved, "iso_agents").await,
                truth,
                "legacy rows after {context}"
            );
        }
        if phase.writes_both() || phase.reads_unified() {
            assert_eq!(
                state(&moved, AS_LEGACY).await,
                truth,
                "unified rows after {context}"
            );
        }
        if phase.writes_both() {
            assert_eq!(
                differences(&moved).await,
                0,
                "the sides differ after {context}"
            );
        }
    }
    assert!(!in_transaction);
    Ok(())
}

/// A row that a cursor is at gets another key, for as long as cursors read legacy.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_changes_where_a_cursor_is_while_legacy_leads() -> anyhow::Result<()> {
    let statements = [
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT * FROM iso_agents WHERE email IN ('agent.2@example.com', 'agent.3@example.com') ORDER BY email FOR UPDATE",
        "FETCH c",
        "UPDATE iso_agents SET id = ('00000000-0000-4000-8000-0000000000c1') WHERE CURRENT OF c RETURNING id, email, iso_agents.role",
        "FETCH c",
        "UPDATE iso_agents a SET (full_name, id) = (a.full_name || a.email, md5(a.email)::uuid), role = DEFAULT WHERE CURRENT OF c",
        "FETCH c",
        "UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000c2' WHERE CURRENT OF c",
        "ROLLBACK",
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT * FROM iso_agents WHERE email = 'agent.2@example.com'",
        "FETCH c",
        "UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000c1', margin_value = 1 FROM (VALUES (7)) v(n) WHERE CURRENT OF c RETURNING id, n",
        "CLOSE c",
        "DECLARE c CURSOR FOR SELECT * FROM iso_agents WHERE email = 'agent.3@example.com'",
        "FETCH c",
        "UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000c1' WHERE CURRENT OF c",
        "ROLLBACK",
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT * FROM iso_agents WHERE email = 'agent.4@example.com'",
        "FETCH c",
        "UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000c1' WHERE CURRENT OF c",
        "COMMIT",
    ];
    for phase in [Phase::LegacyOnly, Phase::DualWrite, Phase::ShadowRead] {
        let world = World::start().await?;
        world.database("straight").await?;
        let proxy = world.in_phase("moved", phase).await?;
        let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
        let mut through = RawClient::connect(proxy.port, "moved").await?;
        let moved = world.postgres.connect("moved").await?;
        for sql in statements {
            let expected = comparable(&straight.simple(sql).await?);
            let got = comparable(&through.simple(sql).await?);
            assert_eq!(got, expected, "{phase}: {sql}");
        }
        let legacy = world.postgres.connect("straight").await?;
        let truth = state(&legacy, "iso_agents").await;
        assert_eq!(state(&moved, "iso_agents").await, truth, "{phase}");
        if phase != Phase::LegacyOnly {
            assert_eq!(state(&moved, AS_LEGACY).await, truth, "{phase}");
            assert_eq!(differences(&moved).await, 0, "{phase}");
        }
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
    legacy_only_answers_as_postgresql_does: LegacyOnly,
    dual_write_answers_as_postgresql_does: DualWrite,
    shadow_read_answers_as_postgresql_does: ShadowRead,
    dual_read_answers_as_postgresql_does: DualRead,
    unified_read_answers_as_postgresql_does: UnifiedRead,
    unified_only_answers_as_postgresql_does: UnifiedOnly,
}
