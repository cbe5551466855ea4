//! MERGE into either name, on a server that has MERGE … RETURNING: the same answers and the same
//! rows as straight on a database that has only that name's table.

use std::sync::LazyLock;

use std::time::Duration;

use crossfade_testbed::iso_agents;
use crossfade_tests::answer::comparable;
use crossfade_tests::control::until_blocked;
use crossfade_tests::corpus::{self, Statement};
use crossfade_tests::newer;
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::sides::{AS_LEGACY, differences, state};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

const B: &str = "00000000-0000-4000-8000-00000000000b";

/// Whole rows, for as long as their type exists. Of updated ones, which a trigger gives the time, only
/// the type shows.
static WHOLE_ROWS: LazyLock<Vec<Statement>> = LazyLock::new(|| {
    corpus::statements(include_str!("../../data/statements/merge_whole_rows.sql"))
});

/// Under the legacy name, in their order.
static STATEMENTS: LazyLock<Vec<Statement>> =
    LazyLock::new(|| corpus::statements(include_str!("../../data/statements/merge.sql")));

/// Under the unified name, in their order.
static UNIFIED: LazyLock<Vec<Statement>> =
    LazyLock::new(|| corpus::statements(include_str!("../../data/statements/merge_unified.sql")));

/// An answer whose rows have no order.
fn answer(messages: &[Message]) -> Vec<String> {
    let mut lines = comparable(messages);
    let rows = lines.iter().position(|line| line.starts_with("D "));
    if let Some(first) = rows {
        let count = lines[first..]
            .iter()
            .take_while(|line| line.starts_with("D "))
            .count();
        lines[first..first + count].sort();
    }
    lines
}

/// A database without Crossfade, and one that is in a phase.
struct Two {
    _world: World,
    proxy: Proxy,
    straight: RawClient,
    through: RawClient,
    alone: Client,
    moved: Client,
}

impl Two {
    async fn start(phase: Phase) -> anyhow::Result<Option<Two>> {
        let Some(binaries) = newer::postgresql() else {
            return Ok(None);
        };
        let world = World::start_from(binaries).await?;
        world.database("straight").await?;
        let proxy = world.in_phase("moved", phase).await?;
        Ok(Some(Two {
            straight: RawClient::connect(world.postgres.port, "straight").await?,
            through: RawClient::connect(proxy.port, "moved").await?,
            alone: world.postgres.connect("straight").await?,
            moved: world.postgres.connect("moved").await?,
            proxy,
            _world: world,
        }))
    }

    /// Both answer alike; whether a transaction is open then.
    async fn same(&mut self, (sql, values): Statement, simple: bool) -> anyhow::Result<bool> {
        let (expected, got) = if simple {
            let expected = self.straight.simple(sql).await?;
            (expected, self.through.simple(sql).await?)
        } else {
            let expected = self.straight.extended(sql, values).await?;
            (expected, self.through.extended(sql, values).await?)
        };
        let log = self.proxy.log();
        assert_eq!(answer(&got), answer(&expected), "{sql}\nproxy log:\n{log}");
        Ok(expected.last().is_some_and(|ready| ready.body != b"I"))
    }
}

async fn legacy_name_in(phase: Phase, simple: bool) -> anyhow::Result<()> {
    let Some(mut two) = Two::start(phase).await? else {
        return Ok(());
    };
    let whole_rows = WHOLE_ROWS.iter().filter(|_| phase != Phase::Retired);
    for (sql, values) in whole_rows.chain(STATEMENTS.iter()) {
        let by_query = simple && values.is_empty();
        if !by_query && sql.contains("; ") {
            continue;
        }
        if two.same((sql, values), by_query).await? {
            continue;
        }
        let truth = state(&two.alone, "iso_agents").await;
        if phase.writes_both() || phase == Phase::LegacyOnly {
            let rows = state(&two.moved, "iso_agents").await;
            assert_eq!(rows, truth, "{phase}: legacy rows after {sql}");
        }
        if phase != Phase::LegacyOnly {
            let rows = state(&two.moved, AS_LEGACY).await;
            assert_eq!(rows, truth, "{phase}: unified rows after {sql}");
        }
        if phase.writes_both() {
            assert_eq!(differences(&two.moved).await, 0, "{phase}: after {sql}");
        }
    }
    Ok(())
}

async fn unified_name_in(phase: Phase) -> anyhow::Result<()> {
    let Some(mut two) = Two::start(phase).await? else {
        return Ok(());
    };
    iso_agents::carry_over(&two.alone).await?;
    if phase == Phase::LegacyOnly {
        iso_agents::carry_over(&two.moved).await?;
    }
    for (sql, values) in UNIFIED.iter() {
        two.same((sql, values), false).await?;
        let truth = state(&two.alone, "users").await;
        let rows = state(&two.moved, "users").await;
        assert_eq!(rows, truth, "{phase}: unified rows after {sql}");
        if phase.writes_both() {
            assert_eq!(differences(&two.moved).await, 0, "{phase}: after {sql}");
        }
    }
    Ok(())
}

macro_rules! phases {
    ($($legacy:ident, $unified:ident: $phase:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $legacy() -> anyhow::Result<()> {
            legacy_name_in(Phase::$phase, true).await?;
            legacy_name_in(Phase::$phase, false).await
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $unified() -> anyhow::Result<()> {
            unified_name_in(Phase::$phase).await
        }
    )*};
}

phases! {
    in_legacy_only_a_merge_is_postgresqls_own, in_legacy_only_one_of_users_is_too: LegacyOnly,
    in_dual_write_a_merge_reaches_both_sides, in_dual_write_one_of_users_does_too: DualWrite,
    in_shadow_read_a_merge_reaches_both_sides, in_shadow_read_one_of_users_does_too: ShadowRead,
    in_dual_read_a_merge_reaches_both_sides, in_dual_read_one_of_users_does_too: DualRead,
    in_unified_read_a_merge_reaches_both_sides, in_unified_read_one_of_users_does_too: UnifiedRead,
    in_unified_only_a_merge_finds_its_rows_there, in_unified_only_one_of_users_passes: UnifiedOnly,
    in_retired_a_merge_finds_its_rows_there, in_retired_one_of_users_passes: Retired,
}

const MOVING: &str = r#"[migration]
name = "moving"
phase = "PHASE"
[[table]]
in_place = "public.t"
key = ["id"]
[table.columns]
id = "int DEFAULT 7"
old = { type = "text", unified = "new" }
n = "int DEFAULT 3"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_into_a_table_whose_column_moves_sets_both() -> anyhow::Result<()> {
    let Some(binaries) = newer::postgresql() else {
        return Ok(());
    };
    let world = World::start_from(binaries).await?;
    let rows = "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)";
    let table = "CREATE TABLE t (id int PRIMARY KEY DEFAULT 7, old text, n int DEFAULT 3)";
    let merges = [
        "MERGE INTO t USING (VALUES (1, 'x'), (2, 'y'), (9, 'z')) AS v(i, o) ON t.id = v.i \
         WHEN MATCHED AND t.n = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET old = v.o, n = t.n + 1 \
         WHEN NOT MATCHED THEN INSERT (id, old) VALUES (i, o) \
         WHEN NOT MATCHED BY SOURCE THEN UPDATE SET old = old || '!' RETURNING merge_action(), t.*, v.o",
        "MERGE INTO t USING (VALUES (9)) AS v(i) ON t.id = v.i AND t.old = 'z' WHEN MATCHED THEN UPDATE SET old = NULL RETURNING *",
        "SELECT * FROM t ORDER BY id",
    ];
    for phase in [
        Phase::DualWrite,
        Phase::DualRead,
        Phase::UnifiedRead,
        Phase::UnifiedOnly,
    ] {
        let (alone, moving) = (format!("alone_{phase}"), format!("moving_{phase}"));
        for database in [&alone, &moving] {
            world.database(database).await?;
            let direct = world.postgres.connect(database).await?;
            direct.batch_execute(table).await?;
            direct.batch_execute(rows).await?;
        }
        let direct = world.postgres.connect(&moving).await?;
        direct
            .batch_execute("ALTER TABLE t ADD COLUMN new text; UPDATE t SET new = old")
            .await?;
        let proxy = Proxy::with_config(&world.postgres, &moving, "")?;
        proxy.write_rules("moving", &MOVING.replace("PHASE", phase.name()))?;
        proxy.crossfade(&["prepare"]).await?;
        let proxy = proxy.serve().await?;
        let mut straight = RawClient::connect(world.postgres.port, &alone).await?;
        let mut through = RawClient::connect(proxy.port, &moving).await?;
        for sql in merges {
            let expected = answer(&straight.simple(sql).await?);
            let got = answer(&through.simple(sql).await?);
            assert_eq!(got, expected, "{phase}: {sql}\nproxy log:\n{}", proxy.log());
        }
        let apart = "SELECT count(*) FROM t WHERE old IS DISTINCT FROM new";
        let apart: i64 = direct.query_one(apart, &[]).await?.get(0);
        assert_eq!(apart, 0, "{phase}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_merges_of_one_row_lose_nothing() -> anyhow::Result<()> {
    const MERGE: &str = "MERGE INTO iso_agents a USING (VALUES ('agent.5@example.com')) AS v(e) ON a.email = v.e \
         WHEN MATCHED THEN UPDATE SET margin_value = margin_value + 1 RETURNING margin_value";
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        let Some(mut two) = Two::start(phase).await? else {
            return Ok(());
        };
        let margin = "UPDATE iso_agents SET margin_value = 0 WHERE email = 'agent.5@example.com'";
        two.through.simple(margin).await?;
        let mut other = RawClient::connect(two.proxy.port, "moved").await?;
        let pid = other.simple("SELECT pg_backend_pid()").await?;
        let pid = pid.iter().find(|message| message.tag == b'D');
        let pid: i32 = pid
            .map(Message::values)
            .into_iter()
            .flatten()
            .flatten()
            .collect::<String>()
            .parse()?;
        two.through.simple("BEGIN").await?;
        two.through.simple(MERGE).await?;
        let waiting = tokio::spawn(async move { other.simple(MERGE).await });
        until_blocked(&two.moved, pid).await?;
        two.through.simple("COMMIT").await?;
        let answered = tokio::time::timeout(Duration::from_secs(20), waiting).await???;
        let told = comparable(&answered);
        assert!(
            told.contains(&"D [\"2.00\"]".to_owned()),
            "{phase}: {told:?}"
        );
        let truth = state(&two.moved, AS_LEGACY).await;
        if phase.writes_both() {
            assert_eq!(state(&two.moved, "iso_agents").await, truth, "{phase}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_merge_cannot_be_rewritten_to_is_refused() -> anyhow::Result<()> {
    let Some(mut two) = Two::start(Phase::UnifiedRead).await? else {
        return Ok(());
    };
    let head = "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.margin_value = n";
    for (sql, says) in [
        (format!("{head} WHEN MATCHED THEN UPDATE SET id = '{B}'"), "MERGE that updates the key"),
        (format!("{head} WHEN MATCHED THEN DELETE RETURNING old.email"), "OLD and NEW"),
        (format!("{head} AND a.ctid IS NULL WHEN MATCHED THEN DELETE"), "ctid"),
        (
            "MERGE INTO iso_agents a USING unnest(ARRAY[1, 2]) AS g(n) ON a.margin_value = g WHEN MATCHED THEN DELETE".to_owned(),
            "what has no row of columns",
        ),
    ] {
        let told = comparable(&two.through.simple(&sql).await?).join("\n");
        assert!(told.contains("0A000") && told.contains(says), "{sql}: {told}");
    }
    assert_eq!(differences(&two.moved).await, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn before_version_17_a_merge_is_refused_with_the_servers_version() -> anyhow::Result<()> {
    let world = World::start().await?;
    let proxy = world.in_phase("moved", Phase::DualWrite).await?;
    let moved = world.postgres.connect("moved").await?;
    let version: String = moved
        .query_one("SHOW server_version_num", &[])
        .await?
        .get(0);
    let major = version.parse::<u32>()? / 10_000;
    if major >= 17 {
        println!("skipped: the server here is of version {major}");
        return Ok(());
    }
    let mut client = RawClient::connect(proxy.port, "moved").await?;
    let merge = "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.margin_value = n WHEN MATCHED THEN DELETE";
    for told in [
        client.simple(merge).await?,
        client.extended(merge, &[]).await?,
    ] {
        let told = comparable(&told).join("\n");
        let words = format!("this is version {major}");
        assert!(told.contains("0A000") && told.contains(&words), "{told}");
    }
    assert_eq!(differences(&moved).await, 0);
    Ok(())
}
