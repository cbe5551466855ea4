//! Role × action over everything in schema `crossfade`. Objects are listed by the server: one that has no
//! line here fails the test.

use std::collections::BTreeSet;

use crossfade_testbed::Auth;
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

/// Who may execute a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callers {
    /// The schema's owner and superusers alone.
    Owner,
    /// Whoever may read the legacy table.
    Readers,
    /// Whoever may write one of the tables.
    Writers,
    /// Whoever may delete from all of them.
    Deleters,
    /// Everybody, by PUBLIC.
    Anybody,
}

/// Functions by their names; those of a lens without its table and hash.
const FUNCTIONS: &[(&str, Callers)] = &[
    ("fell_back", Callers::Readers),
    ("truncate(statements", Callers::Writers),
    ("record_divergence", Callers::Owner),
    ("tombstone(migration", Callers::Owner),
    ("claim(migration", Callers::Owner),
    ("legacy_is_stale", Callers::Owner),
    ("shape_of(", Callers::Owner),
    ("watch_ddl(", Callers::Owner),
    ("seal(", Callers::Owner),
    ("stand_in(", Callers::Owner),
    // It does nothing but fail.
    ("stand_in_is_read(", Callers::Anybody),
    ("in_place_", Callers::Owner),
    ("record_", Callers::Writers),
    ("tombstone_", Callers::Deleters),
    ("claim_", Callers::Writers),
    ("is_stale_", Callers::Writers),
    ("put_legacy_", Callers::Writers),
    ("remove_legacy_", Callers::Writers),
    ("hide_legacy_", Callers::Writers),
    ("skipped_", Callers::Writers),
    ("keep_last_", Callers::Writers),
    ("may_write_", Callers::Writers),
    ("put_one_", Callers::Writers),
    ("put_", Callers::Writers),
    ("remove_one_", Callers::Writers),
    ("remove_", Callers::Writers),
    ("rekey_one_", Callers::Writers),
    ("rekey_", Callers::Writers),
    ("truncate_", Callers::Writers),
    ("empty_", Callers::Writers),
    ("insert_one_", Callers::Writers),
    ("insert_", Callers::Writers),
    ("enter_", Callers::Writers),
    ("merge_", Callers::Writers),
    ("change_", Callers::Writers),
    ("delete_", Callers::Writers),
    ("lock_", Callers::Writers),
    ("accept_", Callers::Writers),
    ("follow_", Callers::Writers),
    ("drop_", Callers::Writers),
    ("move_legacy_", Callers::Writers),
    ("sync_", Callers::Writers),
    ("look_now_", Callers::Writers),
    ("look_legacy_", Callers::Writers),
    ("key_1_", Callers::Owner),
    ("refers_", Callers::Writers),
    ("forgets_", Callers::Writers),
    ("said_", Callers::Writers),
    ("left_1_", Callers::Writers),
    ("gone_1_", Callers::Writers),
    ("came_1_", Callers::Writers),
    ("hidden_1_", Callers::Writers),
    ("settle_1_", Callers::Writers),
    ("carry_1_", Callers::Writers),
];

/// Tables that hold rows: their owner's. The two that follow let no row in.
const TABLES: &[&str] = &[
    "version",
    "lens_functions",
    "migrations",
    "instances",
    "backfill",
    "backfill_parts",
    "verifications",
    "verify_progress",
    "divergence",
    "tombstones",
    "claims",
    "statements",
    "events",
    "epochs",
    "retirements",
    "left_behind",
    "writers_asked",
    "direct_writers",
    "guarded",
    "recording",
    "sessions",
    "work",
    "proof",
    "rules_refused",
    "watches",
    "seals",
    "writers_around",
    "canary",
    "canary_counts",
    "statement_results",
    "plans",
    "hook",
    "hook_deliveries",
];
const NEVER: &str = "never";
const IMAGE: &str = "image_";
/// What foreign keys have still to look at.
const KEYS: &str = "keys_";

/// A role, and what it holds on the application's tables.
struct Role {
    name: &'static str,
    is_owner: bool,
    reads: bool,
    writes: bool,
    deletes: bool,
}

const fn role(name: &'static str, (reads, writes, deletes): (bool, bool, bool)) -> Role {
    Role {
        name,
        is_owner: false,
        reads,
        writes,
        deletes,
    }
}

const ROLES: &[Role] = &[
    Role {
        is_owner: true,
        ..role("postgres", (true, true, true))
    },
    // The control connection's, with the printed grants.
    Role {
        is_owner: true,
        ..role("mover", (true, true, true))
    },
    // Owns the tables; has every right on them; has it by a group.
    role("app", (true, true, true)),
    role("clerk", (true, true, true)),
    role("member", (true, true, true)),
    role("inserter", (false, true, false)),
    role("reader", (true, false, false)),
    role("stranger", (false, false, false)),
];

impl Role {
    fn may_call(&self, callers: Callers) -> bool {
        self.is_owner
            || match callers {
                Callers::Owner => false,
                Callers::Readers => self.reads,
                Callers::Writers => self.writes,
                Callers::Deleters => self.deletes,
                Callers::Anybody => true,
            }
    }
}

#[tokio::test]
async fn every_role_may_do_in_the_schema_what_the_matrix_says() {
    let world = World::start().await.unwrap();
    prepared(&world).await;
    let operator = world.client(&world.postgres.url("matrix")).await.unwrap();
    let (functions, tables) = objects(&operator).await;
    for role in ROLES {
        let url = match role.name {
            "postgres" => world.postgres.url("matrix"),
            name => world.postgres.url_as(&format!("{name}:secret"), "matrix"),
        };
        let client = world.client(&url).await.unwrap();
        for (name, call) in &functions {
            let expected = role.may_call(callers_of(name));
            let said = said(&client, call).await;
            let denied = said.contains("42501 permission denied for function");
            assert_eq!(!denied, expected, "{} calls {name}: {said}", role.name);
        }
        for table in &tables {
            for action in ACTIONS {
                let said = said(&client, &action.sql(table)).await;
                let expected = role.is_owner || action.is_everybodys(table);
                let (who, denied) = (role.name, said.starts_with("42501"));
                assert_eq!(!denied, expected, "{who}: {action:?} of {table}: {said}");
            }
        }
    }
    // PUBLIC is no role that could try: nothing of it is on any list.
    let public = "SELECT coalesce(string_agg(p.proname, ', '), '') FROM pg_proc AS p, \
                  aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a \
                  WHERE p.pronamespace = 'crossfade'::regnamespace AND a.grantee = 0";
    let public: String = operator.query_one(public, &[]).await.unwrap().get(0);
    assert_eq!(public, "stand_in_is_read", "what PUBLIC may call");
    // Rights of the owner's: each finds names by a path that no caller sets.
    let loose = "SELECT coalesce(string_agg(proname, ', '), '') FROM pg_proc WHERE prosecdef \
                 AND pronamespace = 'crossfade'::regnamespace \
                 AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}'))";
    let loose: String = operator.query_one(loose, &[]).await.unwrap().get(0);
    assert_eq!(loose, "");
}

/// A database with a lens of each kind, prepared by the role of the control connection.
async fn prepared(world: &World) {
    for role in ["mover", "clerk", "member", "inserter", "reader", "stranger"] {
        let made = world.postgres.create_user(role, "secret", Auth::Scram);
        made.await.unwrap();
    }
    world.database("matrix").await.unwrap();
    let owner = world.client(&world.direct_url("matrix")).await.unwrap();
    for sql in [
        include_str!("../../data/lens/members_legacy.sql"),
        include_str!("../../data/lens/members_unified.sql"),
        "CREATE TABLE public.member_ids (legacy_id integer PRIMARY KEY, \
         person_id integer NOT NULL UNIQUE REFERENCES public.person ON DELETE CASCADE); \
         CREATE TABLE notes (id integer PRIMARY KEY, agent integer, person integer)",
    ] {
        owner.batch_execute(sql).await.unwrap();
    }
    let operator = world.client(&world.postgres.url("matrix")).await.unwrap();
    operator
        .batch_execute(
            "CREATE ROLE clerks; GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk, clerks; \
             GRANT clerks TO member; GRANT INSERT ON ALL TABLES IN SCHEMA public TO inserter; \
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
        )
        .await
        .unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "matrix", Phase::LegacyOnly).unwrap();
    let members = include_str!("../../data/lens/members.toml").replace(
        "visits integer",
        "host integer CONSTRAINT members_host_fkey REFERENCES members, visits integer",
    );
    let members = members.replace("p.name, b.visits", "p.name, b.number AS host, b.visits");
    let members = members.replace("r.badge, r.visits", "r.badge + 0 * r.host, r.visits");
    proxy.write_rules("members", &members).unwrap();
    proxy.write_rules("notes", NOTES).unwrap();
    let grants = ["prepare", "--grants-for", "mover"];
    let grants = proxy.crossfade(&grants).await.unwrap();
    operator.batch_execute(&grants).await.unwrap();
    let config = std::fs::read_to_string(proxy.config()).unwrap();
    let (own, as_mover) = (
        world.postgres.url("matrix"),
        world.postgres.url_as("mover:secret", "matrix"),
    );
    std::fs::write(proxy.config(), config.replace(&own, &as_mover)).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
}

const NOTES: &str = r#"
[migration]
name  = "notes"
phase = "legacy_only"

[[table]]
in_place = "public.notes"
key      = ["id"]
[table.columns]
id    = "integer"
agent = { type = "integer", unified = "person" }
"#;

/// The functions, each with a call that does nothing or fails, and the tables.
async fn objects(operator: &Client) -> (Vec<(String, String)>, Vec<String>) {
    let functions = "SELECT p.proname || '(' || coalesce(p.proargnames[1], '') || ')', \
                     format('SELECT %s(%s)', p.oid::regproc, (SELECT string_agg('NULL::' || format_type(t, NULL), ', ' \
                     ORDER BY n) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n))) \
                     FROM pg_proc AS p WHERE p.pronamespace = 'crossfade'::regnamespace ORDER BY 1";
    let functions: Vec<(String, String)> = operator
        .query(functions, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let named: BTreeSet<&str> = functions.iter().map(|(name, _)| line_of(name).0).collect();
    let missing = FUNCTIONS.iter().filter(|(name, _)| !named.contains(name));
    let missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
    // Of a lens that cannot rekey, and of the kinds that the rules above have none of.
    assert!(
        missing.iter().all(|name| MAY_BE_ABSENT.contains(name)),
        "{missing:?}"
    );
    let relations = "SELECT relname FROM pg_class WHERE relnamespace = 'crossfade'::regnamespace \
                     AND relkind NOT IN ('i', 'S') ORDER BY 1";
    let relations = operator.query(relations, &[]).await.unwrap();
    let tables: Vec<String> = relations.iter().map(|row| row.get(0)).collect();
    for table in &tables {
        let of_a_lens = table.starts_with(IMAGE) || table.starts_with(KEYS);
        let known = TABLES.contains(&table.as_str()) || table == NEVER || of_a_lens;
        assert!(known, "crossfade.{table} has no line in the matrix");
    }
    for table in TABLES {
        assert!(
            tables.iter().any(|found| found == table),
            "no crossfade.{table}"
        );
    }
    (functions, tables)
}

const MAY_BE_ABSENT: &[&str] = &[
    "rekey_one_",
    "move_legacy_",
    "hidden_1_",
    "settle_1_",
    "carry_1_",
];

/// The first line of the table that a function's name begins with.
fn line_of(name: &str) -> (&'static str, Callers) {
    let line = FUNCTIONS.iter().find(|(line, _)| name.starts_with(line));
    *line.unwrap_or_else(|| panic!("crossfade.{name} has no line in the matrix"))
}

fn callers_of(name: &str) -> Callers {
    line_of(name).1
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
    Lock,
}

const ACTIONS: [Action; 6] = [
    Action::Select,
    Action::Insert,
    Action::Update,
    Action::Delete,
    Action::Truncate,
    Action::Lock,
];

impl Action {
    /// What does nothing, or fails for another reason than a missing right.
    fn sql(self, table: &str) -> String {
        let table = format!("crossfade.\"{table}\"");
        match self {
            Action::Select => format!("SELECT count(*) FROM {table}"),
            Action::Insert => format!("INSERT INTO {table} DEFAULT VALUES"),
            Action::Update => format!(
                "DO $$ BEGIN EXECUTE (SELECT format('UPDATE {table} SET %I = DEFAULT WHERE false', attname) \
                 FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum = 1); END $$"
            ),
            Action::Delete => format!("DELETE FROM {table} WHERE false"),
            Action::Truncate => format!("TRUNCATE {table}"),
            Action::Lock => format!("LOCK TABLE {table} IN SHARE MODE"),
        }
    }

    /// Tables that stay empty may be written in vain: rewritten statements do. Nobody may read one of
    /// the others, or lock any.
    fn is_everybodys(self, table: &str) -> bool {
        match self {
            Action::Select => table.starts_with(IMAGE),
            Action::Insert => table == NEVER || table.starts_with(IMAGE),
            Action::Update | Action::Delete | Action::Truncate | Action::Lock => false,
        }
    }
}

/// What the server says to a statement that is rolled back: `42501 permission denied …`, or nothing.
async fn said(client: &Client, sql: &str) -> String {
    client.batch_execute("BEGIN").await.unwrap();
    let said = match client.batch_execute(sql).await {
        Ok(()) => String::new(),
        Err(error) => {
            let error = error.as_db_error().expect("an answer of the server's");
            format!("{} {}", error.code().code(), error.message())
        }
    };
    client.batch_execute("ROLLBACK").await.unwrap();
    said
}
