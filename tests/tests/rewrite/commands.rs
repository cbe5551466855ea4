//! What an application's release does beside its queries, in every phase: what passes answers as
//! PostgreSQL does, and what is refused is refused by Crossfade, with nothing done.

use crossfade_tests::World;
use crossfade_tests::answer::comparable;
use crossfade_tests::raw::RawClient;
use rewrite_rules::Phase;

/// A statement, and for each phase from `legacy_only` on: `.` answers as PostgreSQL does, `x` is refused,
/// `m` misses the table, which was dropped without a stand-in, and `-` is left out, since what it needs was refused.
type Case = (&'static str, &'static str);

const PASSES: &str = ".......";
const READ: &str = "SELECT count(*), min(email), max(full_name) FROM iso_agents";

const SETUP: &str = "CREATE TABLE projects (id int); GRANT ALL ON projects TO PUBLIC; ALTER TABLE projects OWNER TO app";

/// Names of other objects, and what changes no managed table.
const RELEASE: &[Case] = &[
    (
        "ALTER TABLE projects ADD COLUMN iso_agents jsonb, ADD users text",
        PASSES,
    ),
    ("ALTER TABLE projects RENAME COLUMN users TO other", PASSES),
    (
        "CREATE INDEX iso_agents_index ON projects (iso_agents)",
        PASSES,
    ),
    (
        "COMMENT ON COLUMN projects.iso_agents IS 'iso_agents'",
        PASSES,
    ),
    (
        "ALTER TABLE projects DROP COLUMN iso_agents, DROP other",
        PASSES,
    ),
    ("CREATE TYPE plan AS ENUM ('users', 'iso_agents')", PASSES),
    ("DROP TYPE plan", PASSES),
    ("LISTEN iso_agents", PASSES),
    ("UNLISTEN iso_agents", PASSES),
    ("NOTIFY users, 'iso_agents'", PASSES),
    ("BEGIN", PASSES),
    ("SAVEPOINT iso_agents", PASSES),
    (
        "DECLARE iso_agents CURSOR FOR SELECT id FROM projects",
        PASSES,
    ),
    ("FETCH ALL FROM iso_agents", PASSES),
    ("CLOSE iso_agents", PASSES),
    ("ROLLBACK TO iso_agents", PASSES),
    ("RELEASE iso_agents", PASSES),
    ("COMMIT", PASSES),
    ("PREPARE iso_agents AS SELECT 1", PASSES),
    ("EXECUTE iso_agents", PASSES),
    ("DEALLOCATE iso_agents", PASSES),
    ("COMMENT ON TABLE iso_agents IS 'x'", "......x"),
    ("COMMENT ON COLUMN iso_agents.email IS 'x'", "......x"),
    ("ANALYZE iso_agents", "......x"),
    ("VACUUM iso_agents", "......x"),
    ("REINDEX TABLE iso_agents", "......x"),
    (
        "CREATE INDEX CONCURRENTLY made ON iso_agents (lower(email))",
        "......x",
    ),
    ("DROP INDEX made", "......-"),
    (
        "CREATE STATISTICS made ON email, full_name FROM iso_agents",
        "......x",
    ),
    ("DROP STATISTICS made", "......-"),
    ("GRANT SELECT ON iso_agents TO PUBLIC", "...xxxx"),
    ("REVOKE SELECT ON iso_agents FROM PUBLIC", "...xxxx"),
    ("CREATE TABLE IF NOT EXISTS iso_agents (id int)", "......-"),
    ("CREATE TABLE iso_agents (id int)", "......x"),
    ("SELECT xmlelement(name x, 'iso_agents')", PASSES),
    (
        "SELECT 'iso_agents'::name, has_table_privilege('projects', 'SELECT')",
        PASSES,
    ),
    (
        "SELECT length(query_to_xml('SELECT email FROM Iso_Agents ORDER BY 1', true, true, '')::text)",
        "...xxxx",
    ),
    (
        "SELECT length(table_to_xml('iso_agents', true, true, '')::text) > 0",
        "...xxxx",
    ),
    (
        "SELECT length(schema_to_xml('public', true, true, '')::text) > 0",
        "...xxxx",
    ),
    (
        "SELECT nentry > 0 FROM ts_stat('SELECT to_tsvector(full_name) FROM iso_agents') LIMIT 1",
        "...xxxx",
    ),
    // What would change one side only.
    (
        "DO $$ BEGIN UPDATE ISO_AGENTS SET full_name = 'Do' WHERE email = 'agent.4@example.com'; END $$",
        ".xxxxxx",
    ),
    (
        "DO $$ BEGIN EXECUTE E'UPDATE iso\\x5fagents SET full_name = ''Do'' WHERE email = ''agent.5@example.com'''; END $$",
        ".xxxxxx",
    ),
    ("DO $$ BEGIN PERFORM 1 FROM projects; END $$", PASSES),
    (
        "CREATE FUNCTION made() RETURNS void LANGUAGE sql AS 'UPDATE Iso_Agents SET full_name = full_name'",
        ".xxxxxx",
    ),
    ("DROP FUNCTION made()", ".------"),
    (
        "ALTER TABLE iso_agents ALTER email SET STATISTICS 100",
        ".xxxxxx",
    ),
    (READ, PASSES),
];

/// The usual bulk load: a staging table shaped like the legacy one.
const BULK: &[Case] = &[
    ("BEGIN", "......-"),
    (
        "CREATE TEMP TABLE staging (LIKE iso_agents INCLUDING DEFAULTS) ON COMMIT DROP",
        "......m",
    ),
    (
        "INSERT INTO staging (clerk_user_id, email, full_name) VALUES ('x', 'agent.1@example.com', 'Bulk'), ('y', 'bulk@example.com', 'New')",
        "......-",
    ),
    (
        "INSERT INTO iso_agents SELECT * FROM staging ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name",
        "......-",
    ),
    ("COMMIT", "......-"),
    (
        "SELECT email, full_name, role, margin_type FROM iso_agents WHERE full_name IN ('Bulk', 'New') ORDER BY 1",
        PASSES,
    ),
    (READ, PASSES),
];

/// Temporary tables of the name come before it.
const TEMPORARY: &[Case] = &[
    (READ, PASSES),
    (
        "CREATE TEMP TABLE iso_agents (email text, full_name text)",
        PASSES,
    ),
    ("INSERT INTO iso_agents VALUES ('temporary', 'T')", PASSES),
    (READ, PASSES),
    ("UPDATE iso_agents SET full_name = 'U' RETURNING *", PASSES),
    ("ALTER TABLE iso_agents ADD more int", PASSES),
    ("COMMENT ON TABLE iso_agents IS 'x'", PASSES),
    ("SELECT * FROM iso_agents", PASSES),
    (
        "UPDATE public.iso_agents SET full_name = 'Qualified' WHERE email = 'agent.3@example.com'",
        PASSES,
    ),
    (
        "SELECT full_name FROM public.iso_agents WHERE email = 'agent.3@example.com'",
        PASSES,
    ),
    (
        "DO $$ BEGIN UPDATE iso_agents SET full_name = 'Do'; END $$",
        PASSES,
    ),
    ("TRUNCATE iso_agents", PASSES),
    (READ, PASSES),
    ("DROP TABLE iso_agents", PASSES),
    (READ, PASSES),
    (
        "UPDATE iso_agents SET full_name = 'Permanent' WHERE email = 'agent.2@example.com'",
        PASSES,
    ),
    // Until the transaction ends, in one way or another.
    ("BEGIN", PASSES),
    (
        "CREATE TEMP TABLE iso_agents (email text, full_name text) ON COMMIT DROP",
        PASSES,
    ),
    ("INSERT INTO iso_agents VALUES ('temporary', 'T')", PASSES),
    (READ, PASSES),
    ("COMMIT", PASSES),
    (READ, PASSES),
    ("BEGIN", PASSES),
    (
        "CREATE TEMP TABLE iso_agents AS SELECT 'as'::text AS email, 'x'::text AS full_name",
        PASSES,
    ),
    (READ, PASSES),
    ("ROLLBACK", PASSES),
    (READ, PASSES),
    ("BEGIN", PASSES),
    ("SAVEPOINT s", PASSES),
    (
        "SELECT 'into'::text AS email, 'x'::text AS full_name INTO TEMP iso_agents",
        PASSES,
    ),
    (READ, PASSES),
    ("ROLLBACK TO s", PASSES),
    (READ, PASSES),
    ("COMMIT", PASSES),
    (
        "CREATE TEMP TABLE iso_agents (email text, full_name text)",
        PASSES,
    ),
    (READ, PASSES),
    ("DISCARD TEMP", PASSES),
    (READ, PASSES),
    (
        "CREATE TEMP VIEW iso_agents AS SELECT 'view'::text AS email, 'x'::text AS full_name",
        PASSES,
    ),
    (READ, PASSES),
    ("DROP VIEW iso_agents", PASSES),
    (READ, PASSES),
];

async fn run(cases: &[Case]) -> anyhow::Result<()> {
    let world = World::start_filled(30, SETUP).await?;
    for (number, phase) in Phase::ALL.into_iter().enumerate() {
        let straight_name = format!("straight_{number}");
        world.database(&straight_name).await?;
        let proxy = world.in_phase(&format!("moved_{number}"), phase).await?;
        for simple in [true, false] {
            let mut straight = RawClient::connect(world.postgres.port, &straight_name).await?;
            let mut through = RawClient::connect(proxy.port, &format!("moved_{number}")).await?;
            for (sql, outcomes) in cases {
                let outcome = outcomes.as_bytes()[number];
                if outcome == b'-' {
                    continue;
                }
                let got = match simple {
                    true => through.simple(sql).await?,
                    false => through.extended(sql, &[]).await?,
                };
                let got = comparable(&got);
                let context = format!("{phase}: {sql}\nproxy log:\n{}", proxy.log());
                let said: &[&str] = match outcome {
                    b'x' => &["E ERROR | 55000 | ", "E ERROR | 0A000 | "],
                    b'm' => &["E ERROR | 42P01 | "],
                    _ => &[],
                };
                if !said.is_empty() {
                    let told = got.iter().any(|line| {
                        said.iter().any(|start| line.starts_with(start))
                            && line.contains("iso_agents")
                    });
                    assert!(told, "{got:?}\n{context}");
                } else {
                    let expected = match simple {
                        true => straight.simple(sql).await?,
                        false => straight.extended(sql, &[]).await?,
                    };
                    assert_eq!(got, comparable(&expected), "{context}");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_the_application_goes_through_unless_it_changes_a_managed_table()
-> anyhow::Result<()> {
    run(RELEASE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staging_table_like_the_legacy_one_serves_a_bulk_upsert() -> anyhow::Result<()> {
    run(BULK).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_table_of_the_name_is_what_the_name_means_until_it_is_gone()
-> anyhow::Result<()> {
    run(TEMPORARY).await
}
