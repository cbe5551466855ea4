//! `crossfade check` finds what would go wrong before anything is moved.

use crossfade_tests::{Proxy, World, control};
use rewrite_rules::Phase;

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_rules_fit_their_schema_and_what_no_proxy_sees_is_listed() -> anyhow::Result<()>
{
    let world = World::start().await?;
    let proxy = world.in_phase("fits", Phase::LegacyOnly).await?;
    let operator = world.postgres.connect("fits").await?;
    operator
        .batch_execute(
            "CREATE VIEW agent_mails AS SELECT email FROM iso_agents; \
             CREATE FUNCTION agents() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM iso_agents'; \
             CREATE FUNCTION goes(path text) RETURNS text LANGUAGE sql \
             AS $$ SELECT set_config('search_path', path, false) $$; \
             CREATE FUNCTION turns() RETURNS trigger LANGUAGE plpgsql \
             AS $$ BEGIN SET LOCAL ROLE app; RETURN new; END $$; \
             CREATE TABLE moving (a text DEFAULT goes('other')); \
             CREATE TRIGGER turns BEFORE INSERT ON moving FOR EACH ROW EXECUTE FUNCTION turns(); \
             CREATE FUNCTION lower(a int) RETURNS text LANGUAGE plpgsql \
             AS $$ BEGIN SET SCHEMA 'other'; RETURN a; END $$; \
             CREATE FUNCTION called() RETURNS text LANGUAGE sql \
             AS $$ SELECT setting FROM pg_settings $$; \
             CREATE TABLE log (email text); \
             CREATE RULE forwarded AS ON INSERT TO log DO ALSO DELETE FROM iso_agents WHERE false; \
             CREATE FUNCTION shouted() RETURNS void LANGUAGE plpgsql AS \
             'BEGIN UPDATE Public.ISO_AGENTS SET full_name = full_name; END'; \
             CREATE PROCEDURE escaped() LANGUAGE plpgsql AS \
             $$ BEGIN EXECUTE E'DELETE FROM iso\\x5fagents'; END $$; \
             CREATE FUNCTION typed(iso_agents) RETURNS int LANGUAGE sql AS 'SELECT 1'; \
             CREATE FUNCTION another() RETURNS void LANGUAGE plpgsql AS \
             $$ BEGIN DELETE FROM \"ISO_AGENTS\"; RAISE NOTICE 'iso_agents'; END $$; \
             CREATE FUNCTION puts_together(t text) RETURNS void LANGUAGE plpgsql AS \
             $$ BEGIN EXECUTE format('DELETE FROM %I', t); END $$",
        )
        .await?;
    let checked = control::run(&proxy.config(), &["check", "iso_agents"]).await?;
    let said = &checked.output;
    assert_eq!(checked.status.code(), Some(0), "{said}\n{}", checked.errors);
    assert!(said.contains("iso_agents: 0 errors"), "{said}");
    assert!(
        said.contains("foreign key client_profiles_iso_agent_id_fkey"),
        "{said}"
    );
    assert!(said.contains("view agent_mails"), "{said}");
    assert!(!said.contains("function crossfade."), "our own: {said}");
    for (function, runs) in [
        ("goes(text)", "default value for column a of table moving"),
        ("turns()", "trigger turns of moving"),
        ("lower(integer)", "the name of a function of PostgreSQL's"),
        ("called()", "followed where a statement calls it"),
    ] {
        let told = said
            .lines()
            .any(|line| line.contains(function) && line.contains(runs));
        assert!(told, "{function}: {said}");
    }
    for named in [
        "function agents()",
        "function shouted()",
        "function escaped()",
        "function typed(iso_agents)",
        "rule forwarded of log",
        "may so name the table unseen: puts_together(text)",
    ] {
        assert!(said.contains(named), "{named}: {said}");
    }
    assert!(!said.contains("another()"), "{said}");
    assert!(
        said.contains("301 rows read back as they were put"),
        "{said}"
    );
    assert!(
        said.contains("role = customer do not exist for legacy readers"),
        "{said}"
    );
    let moved = control::number(&operator, "SELECT count(*) FROM users").await?;
    assert_eq!(moved, 0, "the trial is rolled back");
    Ok(())
}

/// Each planted fault, and the words that must tell of it.
const FAULTS: [(&str, &str); 14] = [
    (
        "ALTER TABLE users RENAME CONSTRAINT users_email_key TO users_mail_key",
        "public.users has no constraint users_email_key, which [table.constraints] names",
    ),
    (
        "ALTER TABLE iso_agents ADD forgotten int",
        "column forgotten is not in `columns`",
    ),
    (
        "ALTER TABLE iso_agents ALTER margin_value TYPE numeric(12,4)",
        "column margin_value has type numeric(12,4)",
    ),
    (
        "ALTER TABLE iso_agents ALTER is_active SET DEFAULT false",
        "column is_active has the default false",
    ),
    (
        "ALTER TABLE users DROP COLUMN full_name",
        "public.users has no column full_name",
    ),
    (
        "ALTER TABLE users ADD must int NOT NULL",
        "public.users.must is NOT NULL without a default",
    ),
    (
        "ALTER TABLE users DROP CONSTRAINT users_pkey",
        "public.users has no unique index on exactly (id)",
    ),
    (
        "UPDATE iso_agents SET role = 'sales_rep' WHERE email = 'agent.1@example.com'",
        "rows have role = sales_rep, which has no unified value",
    ),
    (
        "UPDATE iso_agents SET metadata = '{\"phone\": \"123456789012345678901\"}'",
        "at least 20 of 301 sampled rows cannot be put into \"public\".\"users\": value too long",
    ),
    (
        "CREATE ROLE by_column; GRANT SELECT (email), UPDATE (email) ON iso_agents TO by_column",
        "role by_column may write the legacy table but lacks INSERT, SELECT, UPDATE on",
    ),
    (
        "ALTER TABLE iso_agents DROP CONSTRAINT iso_agents_pkey CASCADE; \
         ALTER TABLE iso_agents ALTER id DROP NOT NULL; CREATE UNIQUE INDEX ON iso_agents (id)",
        "key column id may be NULL",
    ),
    (
        "CREATE ROLE reader; GRANT SELECT ON iso_agents, users TO reader; \
         REVOKE USAGE ON SCHEMA public FROM PUBLIC",
        "role reader may read the legacy table but lacks USAGE on SCHEMA public",
    ),
    (
        "CREATE ROLE writer; GRANT INSERT ON iso_agents TO writer",
        "role writer may write the legacy table but lacks SELECT, UPDATE on public.iso_agents",
    ),
    (
        "ALTER TABLE users ALTER role DROP NOT NULL",
        "the rule file says NOT NULL of role, and `visible` needs it: public.users.role may be NULL, and such a row is hidden",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_planted_fault_is_found() -> anyhow::Result<()> {
    let world = World::start().await?;
    for (number, (fault, words)) in FAULTS.into_iter().enumerate() {
        let database = format!("fault{number}");
        let proxy = world.in_phase(&database, Phase::LegacyOnly).await?;
        world
            .postgres
            .connect(&database)
            .await?
            .batch_execute(fault)
            .await?;
        let checked = control::run(&proxy.config(), &["check", "iso_agents"]).await?;
        assert_eq!(
            checked.status.code(),
            Some(1),
            "{fault}\n{}\n{}",
            checked.output,
            checked.errors
        );
        assert!(
            checked.output.contains(words),
            "{fault}\n{}",
            checked.output
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_collide_are_counted_before_the_first_is_moved() -> anyhow::Result<()> {
    let world = World::start().await?;
    let proxy = world.in_phase("collide", Phase::LegacyOnly).await?;
    let operator = world.postgres.connect("collide").await?;
    operator
        .batch_execute(
            "INSERT INTO users (clerk_user_id, email, full_name, role) \
             SELECT 'c' || n, 'agent.' || n || '@example.com', 'Customer', 'customer' \
             FROM generate_series(11, 12) n; \
             CREATE UNIQUE INDEX one_name ON users (lower(full_name), role) WHERE role = 'sales_rep'; \
             UPDATE iso_agents SET full_name = upper(full_name) WHERE full_name = 'Agent 2'; \
             UPDATE iso_agents SET full_name = 'agent 2', role = 'iso_agent' WHERE full_name = 'Agent 3'; \
             INSERT INTO users (id, clerk_user_id, email, full_name, role) \
             SELECT id, 'user_4', 'agent.5@example.com', 'there already', 'sales_rep' \
             FROM iso_agents WHERE clerk_user_id = 'user_4'",
        )
        .await?;
    let checked = control::run(&proxy.config(), &["check", "iso_agents"]).await?;
    let said = &checked.output;
    assert_eq!(checked.status.code(), Some(1), "{said}{}", checked.errors);
    let told = |words: &str| assert!(said.contains(words), "{words}\n{said}");
    told(
        "2 rows collide with others in users_email_key of public.users: (agent.11@example.com), (agent.12@example.com)",
    );
    told("2 rows collide with others in one_name of public.users: (\"agent 2\",sales_rep)");
    // Put in the order of the key, agent 5 comes before the row that keeps its e-mail is overwritten.
    told("4 of 301 sampled rows cannot be put into");
    told("\"users_email_key\" (3, the first is ");
    told("\"one_name\" (1, the first is ");
    told("297 rows read back as they were put");
    // What user 4 has there now is overwritten by its own row.
    assert!(!said.contains("agent.5@"), "{said}");
    Ok(())
}

/// What the legacy table refuses and the unified one does not, and the words that must tell of it.
const LOOSER: [(&str, &str); 7] = [
    (
        "ALTER TABLE users ALTER full_name DROP NOT NULL",
        "column full_name is NOT NULL, public.users.full_name is not",
    ),
    (
        "ALTER TABLE users DROP CONSTRAINT valid_margin_value",
        "public.users has nothing like valid_margin_value: CHECK ((margin_value >= (0)::numeric))",
    ),
    (
        "ALTER TABLE iso_agents ADD CONSTRAINT one_name UNIQUE (full_name, role)",
        "public.users has nothing like one_name: btree (full_name, role)",
    ),
    (
        "CREATE UNIQUE INDEX one_admin ON iso_agents (margin_type) WHERE role = 'admin'",
        "public.users has nothing like one_admin: btree (margin_type) WHERE",
    ),
    (
        "CREATE TABLE names (name text PRIMARY KEY); INSERT INTO names SELECT DISTINCT full_name FROM iso_agents; \
         ALTER TABLE iso_agents ADD CONSTRAINT known FOREIGN KEY (full_name) REFERENCES names",
        "public.users has nothing like known: FOREIGN KEY (full_name) REFERENCES names(name)",
    ),
    (
        "ALTER TABLE iso_agents ADD CONSTRAINT ranges EXCLUDE (margin_value WITH =) WHERE (role = 'admin')",
        "public.users has nothing like ranges: EXCLUDE",
    ),
    (
        "ALTER TABLE iso_agents ADD CONSTRAINT one_name UNIQUE (full_name, role); \
         ALTER TABLE users ADD CONSTRAINT users_one_name UNIQUE (role, full_name)",
        "write one_name = \"users_one_name\" in [table.constraints]",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_legacy_alone_refuses_is_told_before_legacy_is_left() -> anyhow::Result<()> {
    let world = World::start().await?;
    for (number, (looser, words)) in LOOSER.into_iter().enumerate() {
        let database = format!("looser{number}");
        let proxy = world.in_phase(&database, Phase::LegacyOnly).await?;
        let before = control::run(&proxy.config(), &["check", "iso_agents"]).await?;
        assert!(!before.output.contains(words), "{}", before.output);
        let operator = world.postgres.connect(&database).await?;
        operator
            .batch_execute("DELETE FROM iso_agents WHERE role = 'admin'")
            .await?;
        operator.batch_execute(looser).await?;
        let checked = control::run(&proxy.config(), &["check", "iso_agents"]).await?;
        let said = &checked.output;
        assert_eq!(checked.status.code(), Some(0), "{said}{}", checked.errors);
        assert!(said.contains(words), "{looser}\n{said}");
    }
    Ok(())
}

/// A mapped text, and names as long as PostgreSQL takes.
const LONG: &str = "[migration]\nname = \"long\"\nphase = \"legacy_only\"\n\
    [[table]]\nlegacy = \"public.old\"\nunified = \"public.new\"\nkey = [\"id\"]\n[table.columns]\n\
    id = \"integer NOT NULL\"\n\
    state = { type = \"text\", values = { a = \"b\" } }\nLONG_1 = \"text\"\nLONG_2 = \"integer\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn long_names_and_values_of_a_text_are_checked_as_well() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.database("long").await?;
    let client = world.postgres.connect("long").await?;
    let long = "x".repeat(62);
    let columns =
        format!("id int PRIMARY KEY, state text, {long}a text DEFAULT 'said', {long}b bigint");
    client
        .batch_execute(&format!(
            "CREATE TABLE old ({columns}); CREATE TABLE new ({columns}); \
             INSERT INTO old (id, state) VALUES (1, 'a'), (2, 'forgotten')"
        ))
        .await?;
    let proxy = Proxy::with_config(&world.postgres, "long", "")?;
    let rules = LONG.replace("LONG_1", &format!("{long}a"));
    proxy.write_rules("long", &rules.replace("LONG_2", &format!("{long}b")))?;
    let checked = control::run(&proxy.config(), &["check", "long"]).await?;
    assert_eq!(checked.status.code(), Some(1), "{checked:#?}");
    for text in [
        "rows have state = forgotten, which has no unified value".to_owned(),
        format!("column {long}a has the default 'said'::text, the rule file says none"),
        format!("column {long}b has type bigint, the rule file says integer"),
    ] {
        assert!(checked.output.contains(&text), "`{text}`: {checked:#?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_application_has_locked_are_not_waited_for() -> anyhow::Result<()> {
    let world = World::start().await?;
    let proxy = world.in_phase("locked", Phase::DualWrite).await?;
    let client = world.postgres.connect("locked").await?;
    client
        .batch_execute("BEGIN; SELECT FROM users FOR UPDATE")
        .await?;
    let checked = control::run(&proxy.config(), &["check", "iso_agents"]).await?;
    assert_eq!(checked.status.code(), Some(0), "{checked:#?}");
    let told = "the mapping was not tried: of 301 sampled rows others lock some";
    assert!(checked.output.contains(told), "{checked:#?}");
    Ok(())
}
