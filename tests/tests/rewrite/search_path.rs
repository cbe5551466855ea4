//! Unqualified names mean what PostgreSQL says that they mean, whatever was done to `search_path`:
//! straight to a database and through Crossfade, where another schema has a table of that name.

use crossfade_tests::World;
use crossfade_tests::answer::comparable;
use crossfade_tests::raw::RawClient;
use rewrite_rules::Phase;

const OTHER: &str = "CREATE SCHEMA other;
    CREATE TABLE other.iso_agents (email text, full_name text);
    INSERT INTO other.iso_agents VALUES ('other@example.com', 'Other');
    CREATE SCHEMA empty;
    GRANT ALL ON SCHEMA other, empty TO PUBLIC;
    GRANT ALL ON other.iso_agents TO PUBLIC;
    DO $$ BEGIN
        IF to_regrole('tenant') IS NULL THEN CREATE ROLE tenant; GRANT tenant TO app; END IF;
    END $$;
    CREATE SCHEMA tenant;
    CREATE TABLE tenant.iso_agents (email text, full_name text);
    GRANT ALL ON SCHEMA tenant TO PUBLIC;
    GRANT ALL ON tenant.iso_agents TO PUBLIC";

const READ: &str = "SELECT count(*), min(email) FROM iso_agents";
const WRITE: &str = "UPDATE iso_agents SET full_name = 'changed' WHERE email IN ('other@example.com', 'agent.1@example.com') RETURNING email";

/// The name in escapes; another one that is none of ours.
const ESCAPED: &str = "SELECT count(*), min(email) FROM U&\"iso\\005fagents\"";
const NOT_OURS: &str = "SELECT 1 AS U&\"\\0061\"";

const STATEMENTS: &[&str] = &[
    NOT_OURS,
    ESCAPED,
    READ,
    // The path begins with "$user".
    "SET ROLE tenant",
    READ,
    WRITE,
    "RESET ROLE",
    READ,
    "BEGIN",
    "SET LOCAL ROLE tenant",
    READ,
    "COMMIT",
    READ,
    "SELECT set_config('role', 'tenant', false)",
    READ,
    "SET SESSION AUTHORIZATION DEFAULT",
    "RESET ROLE",
    READ,
    "SET search_path = other, public",
    NOT_OURS,
    ESCAPED,
    READ,
    WRITE,
    "SHOW search_path",
    "SET search_path = empty, public",
    ESCAPED,
    READ,
    WRITE,
    "SET search_path = empty",
    READ,
    "SET search_path TO DEFAULT",
    READ,
    "SET SESSION search_path = \"other\"",
    READ,
    "RESET search_path",
    READ,
    "SET search_path = other",
    "RESET ALL",
    READ,
    "SET search_path = other",
    "DISCARD ALL",
    READ,
    // Within transactions.
    "BEGIN",
    "SET LOCAL search_path = other",
    READ,
    WRITE,
    "COMMIT",
    READ,
    "BEGIN",
    READ,
    "SAVEPOINT a",
    "SET search_path = other",
    READ,
    "SAVEPOINT b",
    "SET LOCAL search_path = public",
    WRITE,
    "ROLLBACK TO b",
    READ,
    "ROLLBACK TO a",
    READ,
    WRITE,
    "COMMIT",
    READ,
    "BEGIN",
    "SELECT set_config('search_path', 'other', true)",
    READ,
    "ROLLBACK",
    READ,
    "SELECT set_config('search_path', 'other', false)",
    READ,
    "BEGIN",
    "RESET search_path",
    READ,
    "SELECT 1 / 0",
    READ,
    "ROLLBACK",
    READ,
    "RESET search_path",
    // Prepared statements are analysed anew.
    "PREPARE p AS SELECT count(*), min(email) FROM iso_agents",
    "PREPARE w AS UPDATE iso_agents SET full_name = $1 WHERE email IN ('other@example.com', 'agent.1@example.com') RETURNING email",
    "EXECUTE p",
    "SET search_path = other",
    "EXECUTE p",
    "EXECUTE w('w')",
    "RESET search_path",
    "EXECUTE p",
    "EXECUTE w('w')",
    // Set by what was prepared.
    "PREPARE s AS SELECT set_config('search_path', $1, false)",
    "EXECUTE s('other')",
    READ,
    "EXECUTE s('public')",
    READ,
    // Temporary tables come first.
    "SET search_path = empty, public",
    "CREATE TEMP TABLE made AS SELECT email, full_name FROM iso_agents WHERE email = 'agent.2@example.com'",
    "ALTER TABLE made RENAME TO made_2",
    READ,
];

async fn run_in(phase: Phase) -> anyhow::Result<()> {
    let world = World::start_filled(30, OTHER).await?;
    world.database("straight").await?;
    let proxy = world.in_phase("moved", phase).await?;
    for simple in [true, false] {
        let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
        let mut through = RawClient::connect(proxy.port, "moved").await?;
        for sql in STATEMENTS {
            let (expected, got) = if simple {
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
    // A default of the database counts from the session's first statement on.
    let superuser = world.postgres.connect("postgres").await?;
    for database in ["straight", "moved"] {
        superuser
            .batch_execute(&format!(
                "ALTER DATABASE {database} SET search_path = other, public"
            ))
            .await?;
    }
    let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
    let mut through = RawClient::connect(proxy.port, "moved").await?;
    for sql in [
        READ,
        WRITE,
        "SET search_path = public",
        READ,
        "RESET search_path",
        READ,
    ] {
        let (expected, got) = (straight.simple(sql).await?, through.simple(sql).await?);
        assert_eq!(comparable(&got), comparable(&expected), "{phase}: {sql}");
    }
    // What changes in the middle of a text is not guessed.
    let answer = through
        .simple(&format!("SET search_path = empty, public; {READ}"))
        .await?;
    let answer = comparable(&answer);
    assert!(
        answer[0].starts_with("E ERROR | 0A000 | table \"iso_agents\" is named"),
        "{answer:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_mean_what_postgresql_says_under_dual_write() -> anyhow::Result<()> {
    run_in(Phase::DualWrite).await
}

#[tokio::test(flavor = "multi_thread")]
async fn names_mean_what_postgresql_says_once_unified_leads() -> anyhow::Result<()> {
    run_in(Phase::UnifiedRead).await?;
    run_in(Phase::UnifiedOnly).await
}

#[tokio::test(flavor = "multi_thread")]
async fn names_mean_what_postgresql_says_without_the_legacy_table() -> anyhow::Result<()> {
    let world = World::start_filled(30, OTHER).await?;
    let proxy = world.in_phase("moved", Phase::Retired).await?;
    let mut session = RawClient::connect(proxy.port, "moved").await?;
    for (sql, expected) in [
        (READ, "D [\"31\""),
        ("SET search_path = empty", "C SET"),
        (READ, "E ERROR | 42P01"),
        ("RESET search_path", "C RESET"),
        (READ, "D [\"31\""),
        ("SET search_path = other", "C SET"),
        (READ, "D [\"1\""),
        // As if the dropped table were still there.
        ("SET search_path = other, public", "C SET"),
        (READ, "D [\"1\""),
        ("SET search_path = public, other", "C SET"),
        (READ, "D [\"31\""),
    ] {
        let answer = comparable(&session.simple(sql).await?);
        let has = answer.iter().any(|line| line.starts_with(expected));
        assert!(has, "{sql}: {answer:?}");
    }
    Ok(())
}
