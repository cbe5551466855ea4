//! What is left of a retired table in the catalog: an empty table of its name and shape, which whoever looks the table up
//! takes for it, and which nobody reads or writes in silence.

use crossfade_tests::control::{Ended, number, run};
use crossfade_tests::retired::{Retired, words};
use crossfade_tests::{Proxy, World, newer};
use tokio_postgres::Client;

#[track_caller]
fn says(ended: &Ended, code: i32, texts: &[&str]) {
    assert_eq!(ended.status.code(), Some(code), "{ended:#?}");
    for text in texts {
        let said = ended.output.contains(text) || ended.errors.contains(text);
        assert!(said, "`{text}`: {ended:#?}");
    }
}

async fn fails(client: &Client, sql: &str, sqlstate: &str, says: &str) {
    let error = client.batch_execute(sql).await.unwrap_err();
    let said = error.as_db_error().unwrap();
    assert_eq!(said.code().code(), sqlstate, "{sql}: {said:?}");
    assert!(said.message().contains(says), "{sql}: {said:?}");
}

async fn the_catalog_says_the_same(world: World) {
    let it = Retired::start(&world, "shape").await.unwrap();
    let before = it.catalog().await.unwrap();
    assert!(before.lines().count() > 25, "{before}");
    let aside = it.retire(&[]).await.unwrap();
    says(
        &aside,
        0,
        &["what is called public.agents is an empty stand-in"],
    );
    assert!(!aside.output.contains("left out"), "{aside:#?}");
    assert_eq!(it.catalog().await.unwrap(), before);
    let through = it.proxy.client().await.unwrap();
    let rows = "SELECT count(*) FROM agents";
    assert_eq!(number(&through, rows).await.unwrap(), 20);

    it.a_week_passes().await.unwrap();
    let said = it.retire(&[]).await.unwrap();
    says(&said, 0, &["DROP TABLE public.cf_retired_agents;"]);
    // The serial column's sequence has the stand-in's column as its owner: there is nothing to be kept of it.
    assert!(!said.output.contains("OWNED BY NONE"), "{said:#?}");
    it.operator
        .batch_execute(&words(&said.output))
        .await
        .unwrap();
    assert_eq!(it.catalog().await.unwrap(), before);
    let shown = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'agents'";
    assert_eq!(number(&it.owner, shown).await.unwrap(), 8);
    it.operator
        .batch_execute("SET ROLE reporter")
        .await
        .unwrap();
    assert_eq!(number(&it.operator, shown).await.unwrap(), 8);
    it.operator.batch_execute("RESET ROLE").await.unwrap();

    // An id is drawn from where it was drawn before.
    let inserted = "INSERT INTO agents (email) VALUES ('late@example.com') RETURNING id::bigint";
    assert_eq!(number(&through, inserted).await.unwrap(), 21);
    assert_eq!(number(&through, rows).await.unwrap(), 21);
    let drawn = "SELECT nextval(pg_get_serial_sequence('agents', 'id'))";
    assert_eq!(number(&it.operator, drawn).await.unwrap(), 22);
    let drawn = "SELECT nextval(pg_get_serial_sequence('agents', 'nr'))";
    fails(&it.operator, drawn, "2200H", "reached maximum value").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_the_catalog_is_answered_as_before_on_probation_and_after_the_drop() {
    the_catalog_says_the_same(World::start().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_the_catalog_is_answered_as_before_by_postgresql_18() {
    let Some(binaries) = newer::postgresql() else {
        return;
    };
    the_catalog_says_the_same(World::start_from(binaries).await.unwrap()).await;
}

const WRITES: &[&str] = &[
    "INSERT INTO agents (email) VALUES ('x')",
    "INSERT INTO agents (email) SELECT 'x' WHERE false",
    "INSERT INTO agents (id, email) VALUES (1, 'x') ON CONFLICT DO NOTHING",
    "UPDATE agents SET name = 'x'",
    "UPDATE ONLY agents SET name = 'x' WHERE id = 1",
    "DELETE FROM agents WHERE id = 1",
    "WITH gone AS (DELETE FROM agents RETURNING id) SELECT 1",
    "TRUNCATE agents",
    "TRUNCATE companies, agents",
    "DO $$ BEGIN UPDATE agents SET name = 'x'; END $$",
    "DO $$ BEGIN TRUNCATE agents; END $$",
    "INSERT INTO noisy VALUES (1)",
    "SET session_replication_role = replica; DELETE FROM agents",
];

const READS: &[&str] = &[
    "SELECT count(*) FROM agents",
    "SELECT c.id FROM companies AS c LEFT JOIN agents AS a ON a.company_id = c.id",
    "SELECT id FROM companies AS c WHERE EXISTS (SELECT FROM agents WHERE company_id = c.id)",
    "SELECT (SELECT name FROM agents WHERE id = 1)",
    "SELECT * FROM agents WHERE id = 1 FOR UPDATE SKIP LOCKED",
    "SELECT 1 UNION SELECT id FROM agents",
    "SELECT * FROM agents WHERE false",
    "TABLE agents",
    "COPY agents TO STDOUT",
    "COPY (SELECT id FROM agents) TO STDOUT",
    "CREATE TABLE copied AS SELECT * FROM agents",
    "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM agents",
    "PREPARE one AS SELECT name FROM agents WHERE id = $1; SET plan_cache_mode = force_generic_plan; EXECUTE one(1)",
    "SET row_security = on; SELECT id FROM agents",
];

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_or_writes_a_stand_in_in_silence() {
    let world = World::start().await.unwrap();
    let it = Retired::start(&world, "silence").await.unwrap();
    it.owner
        .batch_execute(
            "CREATE TABLE noisy (id integer); \
             CREATE FUNCTION noise() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN DELETE FROM agents WHERE id = NEW.id; RETURN NULL; END $$; \
             CREATE TRIGGER noise AFTER INSERT ON noisy FOR EACH ROW EXECUTE FUNCTION noise(); \
             GRANT INSERT ON noisy TO seller; GRANT SELECT, TRUNCATE ON companies TO seller",
        )
        .await
        .unwrap();
    says(&it.retire(&[]).await.unwrap(), 0, &[]);
    let (member, superuser) = (
        world.postgres.connect("silence").await.unwrap(),
        world.postgres.connect("silence").await.unwrap(),
    );
    let seller = "SET SESSION AUTHORIZATION seller";
    member.batch_execute(seller).await.unwrap();
    for sql in WRITES {
        fails(&superuser, sql, "55000", "migration agents has retired").await;
        if sql.starts_with("SET session_replication_role") {
            continue;
        }
        fails(&it.owner, sql, "55000", "migration agents has retired").await;
        fails(&member, sql, "55000", "migration agents has retired").await;
    }
    for sql in READS {
        fails(&it.owner, sql, "55000", "is not read").await;
        if sql.starts_with("CREATE TABLE") {
            continue;
        }
        fails(&member, sql, "55000", "is not read").await;
    }
    // A superuser's reads find nothing; that is said.
    let rows = "SELECT count(*) FROM agents";
    assert_eq!(number(&superuser, rows).await.unwrap(), 0);
    // Data is not copied from it, nor into it, by whoever row security holds for.
    let copied = "SET row_security = off; COPY agents TO STDOUT";
    fails(&it.owner, copied, "42501", "row-level security").await;
    fails(
        &it.owner,
        "COPY agents FROM STDIN",
        "0A000",
        "row-level security",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_the_tables_that_it_refers_to_is_hindered_by_neither_table() {
    let world = World::start().await.unwrap();
    let it = Retired::start(&world, "refers").await.unwrap();
    says(&it.retire(&[]).await.unwrap(), 0, &[]);
    it.owner
        .batch_execute(
            "DELETE FROM companies WHERE id = 1; UPDATE companies SET id = 20 WHERE id = 2; \
             DELETE FROM regions WHERE id = 1; UPDATE regions SET id = 20 WHERE id = 9; \
             TRUNCATE companies CASCADE; DO $$ BEGIN EXECUTE 'TRUNCATE regions CASCADE'; END $$",
        )
        .await
        .unwrap();
    let held = "SELECT count(*) FROM cf_retired_agents WHERE company_id IS NOT NULL AND region_id IS NOT NULL";
    assert_eq!(number(&it.operator, held).await.unwrap(), 20);
    // What they referred to is gone: the foreign keys come back, and are not valid.
    let back = it.retire(&["--undo"]).await.unwrap();
    says(
        &back,
        0,
        &["public.agents has its name and its rights back"],
    );
    assert!(!back.output.contains("left out"), "{back:#?}");
    let keys = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'agents'::regclass AND contype = 'f' AND NOT convalidated";
    assert_eq!(number(&it.operator, keys).await.unwrap(), 2);
    fails(
        &it.owner,
        "UPDATE agents SET company_id = 77 WHERE id = 1",
        "23503",
        "agents_company",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undone_the_table_is_what_it_was_and_only_our_empty_stand_in_is_dropped_for_it() {
    let world = World::start().await.unwrap();
    let it = Retired::start(&world, "undone").await.unwrap();
    let before = it.catalog().await.unwrap();
    let oid = "SELECT 'agents'::regclass::oid::bigint";
    let table = number(&it.operator, oid).await.unwrap();
    let dry = it.retire(&["--dry-run"]).await.unwrap();
    says(
        &dry,
        0,
        &[
            "ALTER INDEX \"public\".\"agents_lower\" RENAME TO \"cf_retired_agents_lower\";",
            "LIKE \"public\".\"cf_retired_agents\" INCLUDING ALL",
            "FORCE ROW LEVEL SECURITY;",
        ],
    );
    assert_eq!(number(&it.operator, oid).await.unwrap(), table);
    for _ in 0..2 {
        says(&it.retire(&[]).await.unwrap(), 0, &["stand-in"]);
        assert_ne!(number(&it.operator, oid).await.unwrap(), table);
        let dry = it.retire(&["--undo", "--dry-run"]).await.unwrap();
        says(&dry, 0, &["DROP TABLE \"public\".\"agents\";"]);
        says(&it.retire(&["--undo"]).await.unwrap(), 0, &["back"]);
        assert_eq!(number(&it.operator, oid).await.unwrap(), table);
        assert_eq!(it.catalog().await.unwrap(), before);
    }
    let left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'cf\\_retired%'";
    assert_eq!(number(&it.operator, left).await.unwrap(), 0);

    says(&it.retire(&["--without-stand-in"]).await.unwrap(), 0, &[]);
    let there = "SELECT count(*) FROM pg_class WHERE relname = 'agents'";
    assert_eq!(number(&it.operator, there).await.unwrap(), 0);
    // Somebody else's table is nobody's to drop.
    let other = "CREATE TABLE agents (id integer)";
    it.operator.batch_execute(other).await.unwrap();
    says(
        &it.retire(&["--undo"]).await.unwrap(),
        1,
        &["is the name of another table by now", "nothing was changed"],
    );
    let gone = "DROP TABLE agents";
    it.operator.batch_execute(gone).await.unwrap();
    says(&it.retire(&["--undo"]).await.unwrap(), 0, &["back"]);
    assert_eq!(it.catalog().await.unwrap(), before);

    says(&it.retire(&[]).await.unwrap(), 0, &[]);
    says(&run(&it.proxy.config(), &["doctor"]).await.unwrap(), 0, &[]);
    let filled = "ALTER TABLE agents DISABLE TRIGGER ALL; INSERT INTO agents (id, nr, email) VALUES (1, 1, 'x')";
    it.operator.batch_execute(filled).await.unwrap();
    says(
        &it.retire(&["--undo"]).await.unwrap(),
        1,
        &["has held rows"],
    );
    let kept = "SELECT count(*) FROM agents";
    assert_eq!(number(&it.operator, kept).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_table_that_it_refers_to_is_not_waited_for_and_nothing_is_changed() {
    let world = World::start().await.unwrap();
    let it = Retired::start(&world, "held").await.unwrap();
    let before = it.catalog().await.unwrap();
    let hold = "BEGIN; INSERT INTO companies VALUES (50)";
    it.owner.batch_execute(hold).await.unwrap();
    let refused = it.retire(&[]).await.unwrap();
    says(&refused, 1, &["nothing was changed; run it again"]);
    assert_eq!(it.catalog().await.unwrap(), before);
    it.owner.batch_execute("COMMIT").await.unwrap();
    says(&it.retire(&[]).await.unwrap(), 0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_in_is_not_taken_for_the_table_come_back() {
    let world = World::start().await.unwrap();
    let it = Retired::start(&world, "back").await.unwrap();
    let rollback = async || {
        let ended = run(&it.proxy.config(), &["rollback", "agents"]).await;
        ended.unwrap()
    };
    says(&it.retire(&[]).await.unwrap(), 0, &[]);
    let refused = rollback().await;
    says(
        &refused,
        1,
        &[
            "what bears the name is an empty stand-in",
            "retire agents --undo",
        ],
    );
    it.retire(&["--undo"]).await.unwrap();
    it.drop_table().await.unwrap();
    says(&rollback().await, 1, &["it was retired and is dropped"]);
    says(
        &it.retire(&["--undo"]).await.unwrap(),
        1,
        &["only a backup has them"],
    );

    let prepared = it.proxy.crossfade(&["prepare"]).await.unwrap();
    assert!(prepared.contains("is up to date"), "{prepared}");
    let functions = "SELECT count(*) FROM pg_depend WHERE classid = 'pg_proc'::regclass AND refclassid = 'pg_type'::regclass \
        AND refobjid = (SELECT reltype FROM pg_class WHERE oid = 'agents'::regclass)";
    assert_eq!(number(&it.operator, functions).await.unwrap(), 0);
    let checked = run(&it.proxy.config(), &["check", "agents"]).await.unwrap();
    let talk = format!("{}{}", checked.output, checked.errors);
    assert!(talk.contains("0 errors, 0 warnings"), "{talk}");
    for word in ["row-level security", "crossfade_stand_in"] {
        assert!(!talk.contains(word), "{word}: {talk}");
    }
    let doctor = run(&it.proxy.config(), &["doctor"]).await.unwrap();
    says(&doctor, 0, &[]);
    let grants = ["prepare", "--grants-for", "reporter"];
    let grants = it.proxy.crossfade(&grants).await.unwrap();
    assert!(!grants.contains("BYPASSRLS"), "{grants}");

    let status = it.proxy.crossfade(&["status", "agents"]).await.unwrap();
    for line in [
        "public.agents was retired ",
        " ago and is dropped, known for ",
        "; an empty stand-in bears its name",
        "every legacy table is dropped",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    // What takes it away leaves what is still drawn from.
    let gone = it.retire(&[]).await.unwrap();
    says(
        &gone,
        0,
        &["its legacy tables are gone", "DROP TABLE public.agents;"],
    );
    let lines = gone.output.lines().filter(|line| line.starts_with("  "));
    let words: Vec<&str> = lines.collect();
    it.operator.batch_execute(&words.join("\n")).await.unwrap();
    let through = it.proxy.client().await.unwrap();
    let inserted = "INSERT INTO agents (email) VALUES ('late@example.com') RETURNING id::bigint";
    assert_eq!(number(&through, inserted).await.unwrap(), 21);
    let gone = it.retire(&[]).await.unwrap();
    assert!(!gone.output.contains("stand-in"), "{gone:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_says_at_its_start_finds_the_stand_in_through_crossfade() {
    let world = World::start().await.unwrap();
    let it = Retired::start(&world, "started").await.unwrap();
    it.drop_table().await.unwrap();
    let before = it.catalog().await.unwrap();
    // A table of the name that the path would lead to, were there none.
    it.owner
        .batch_execute("CREATE SCHEMA other; CREATE TABLE other.agents (id integer)")
        .await
        .unwrap();
    let through = it.proxy.client().await.unwrap();
    let started = [
        "SET search_path = public, other",
        "CREATE TABLE IF NOT EXISTS agents (id serial PRIMARY KEY, email text)",
        "ALTER TABLE agents ADD COLUMN IF NOT EXISTS email varchar(80)",
        "CREATE UNIQUE INDEX IF NOT EXISTS agents_email ON agents (email)",
        "CREATE TABLE archived (LIKE agents INCLUDING ALL)",
        "SELECT 'agents'::regclass",
    ];
    for sql in started {
        let done = through.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    assert_eq!(it.catalog().await.unwrap(), before);
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'archived'";
    assert_eq!(number(&it.operator, columns).await.unwrap(), 8);
    let indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'archived'";
    assert_eq!(number(&it.operator, indexes).await.unwrap(), 3);
    // Without one nothing else is taken for it.
    it.operator
        .batch_execute("DROP TABLE agents CASCADE")
        .await
        .unwrap();
    fails(&through, started[2], "42P01", "does not exist").await;
    let other = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'other'";
    assert_eq!(number(&it.operator, other).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_stop_the_drop_is_told_in_the_order_in_which_it_goes() {
    let world = World::start().await.unwrap();
    let it = Retired::start(&world, "leaning").await.unwrap();
    it.owner
        .batch_execute(
            "CREATE VIEW sellers AS SELECT id, name FROM agents; \
             CREATE VIEW sellers_of AS SELECT s.name, c.id FROM sellers AS s JOIN companies AS c ON true; \
             CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM sellers_of; CREATE INDEX ON counted (count); \
             CREATE FUNCTION called(agents) RETURNS text LANGUAGE sql AS 'SELECT $1.name'; \
             CREATE FUNCTION many() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM agents; END; \
             CREATE TABLE told (one agents, n bigint DEFAULT many(), agent integer CONSTRAINT told_agent REFERENCES agents); \
             CREATE TABLE more () INHERITS (agents); \
             CREATE POLICY theirs ON companies USING (id IN (SELECT company_id FROM agents)); \
             CREATE POLICY own ON agents USING (true); \
             CREATE RULE told AS ON DELETE TO told DO ALSO DELETE FROM agents WHERE false",
        )
        .await
        .unwrap();
    says(&it.retire(&[]).await.unwrap(), 0, &[]);
    it.a_week_passes().await.unwrap();
    let said = it.retire(&[]).await.unwrap();
    says(
        &said,
        1,
        &[
            "these would stop the drop",
            "DROP VIEW public.sellers;  -- view public.sellers",
        ],
    );
    let leaning = said.output.lines().filter(|line| line.contains("  -- "));
    let leaning: Vec<&str> = leaning.collect();
    assert_eq!(leaning.len(), 11, "{said:#?}");
    // One after the other, none in another's way; then the drop.
    for line in leaning {
        let done = it.operator.batch_execute(line).await;
        done.unwrap_or_else(|error| panic!("{line}: {error:?}"));
    }
    let said = it.retire(&[]).await.unwrap();
    says(&said, 0, &["Nobody has missed it"]);
    it.operator
        .batch_execute(&words(&said.output))
        .await
        .unwrap();
    says(
        &it.retire(&[]).await.unwrap(),
        0,
        &["its legacy tables are gone"],
    );
}

const TENANTS: &str = r#"
[migration]
name = "staff"
phase = "retired"
tenants = "SELECT name, id FROM public.tenants"

[[table]]
legacy = "{tenant}.staff"
unified = "public.staff"
discriminator = "tenant integer"
key = ["id"]
[table.columns]
id = "integer NOT NULL"
name = "text"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn each_tenants_table_is_put_aside_judged_and_dropped() {
    const TENANTS_COUNT: i64 = 25;
    let world = World::start().await.unwrap();
    world.database("tenants").await.unwrap();
    let operator = world.postgres.connect("tenants").await.unwrap();
    operator
        .batch_execute(&format!(
            "CREATE TABLE tenants (name text, id integer); \
             CREATE TABLE staff (tenant integer, id integer, name text, PRIMARY KEY (tenant, id)); \
             DO $$ BEGIN FOR n IN 1..{TENANTS_COUNT} LOOP \
               EXECUTE format('CREATE SCHEMA t%s; CREATE TABLE t%1$s.staff (id integer CONSTRAINT staff_pkey PRIMARY KEY, name text); \
               INSERT INTO t%1$s.staff VALUES (1, %1$L)', n); INSERT INTO staff VALUES (n, 1, n); \
               INSERT INTO tenants VALUES (format('t%s', n), n); END LOOP; END $$"
        ))
        .await
        .unwrap();
    let proxy = Proxy::with_config(&world.postgres, "tenants", "").unwrap();
    proxy.write_rules("staff", TENANTS).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let retire = async |more: &[&str]| {
        let args = [&["retire", "staff"], more].concat();
        run(&proxy.config(), &args).await.unwrap()
    };
    let aside = retire(&[]).await;
    says(&aside, 0, &["t1.staff is on probation", "… and 5 more"]);
    let asides = "SELECT count(*) FROM pg_class WHERE relname = 'cf_retired_staff'";
    assert_eq!(number(&operator, asides).await.unwrap(), TENANTS_COUNT);
    let stand_ins = "SELECT count(*) FROM pg_trigger WHERE tgname = 'crossfade_stand_in'";
    assert_eq!(number(&operator, stand_ins).await.unwrap(), TENANTS_COUNT);
    let status = proxy.crossfade(&["status", "staff"]).await.unwrap();
    assert!(status.contains("and 5 more"), "{status}");

    // One that came later is put aside as well, before anything is judged.
    operator
        .batch_execute(
            "CREATE SCHEMA late; CREATE TABLE late.staff (id integer PRIMARY KEY, name text); \
             INSERT INTO tenants VALUES ('late', 99)",
        )
        .await
        .unwrap();
    // The scan that made its index is told now, and not while it is on probation.
    let flush = "SELECT pg_stat_force_next_flush()";
    operator.batch_execute(flush).await.unwrap();
    says(&retire(&[]).await, 0, &["late.staff is on probation"]);
    says(&retire(&[]).await, 1, &["It is not time to drop it"]);
    let week = "UPDATE crossfade.retirements SET untouched_since = now() - interval '8 days'";
    for more in ["6 more schemas have such tables", "DROP TABLE"] {
        operator.batch_execute(week).await.unwrap();
        let said = retire(&[]).await;
        says(&said, 0, &[more]);
        operator.batch_execute(&words(&said.output)).await.unwrap();
    }
    says(&retire(&[]).await, 0, &["its legacy tables are gone"]);
    assert_eq!(number(&operator, asides).await.unwrap(), 0);
    let status = proxy.crossfade(&["status", "staff"]).await.unwrap();
    assert!(status.contains("every legacy table is dropped"), "{status}");
}
