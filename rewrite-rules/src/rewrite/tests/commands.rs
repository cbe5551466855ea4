//! Commands, and texts that the server runs by itself: for each statement what becomes of it in each
//! phase from `dual_write` on. `.` passes, `r` is rewritten, `x` is refused.

use crate::{Phase, RuleSet, SearchPath, SourceFile, Verdict};

/// Names that are column names, types and words of SQL in other places.
const RULES: &str = r#"
[migration]
name = "m"
phase = "dual_write"

[[table]]
legacy = "public.settings"
unified = "public.user"
key = ["id"]

[table.columns]
id = { type = "int" }
"#;

const PHASES: [Phase; 6] = [
    Phase::DualWrite,
    Phase::ShadowRead,
    Phase::DualRead,
    Phase::UnifiedRead,
    Phase::UnifiedOnly,
    Phase::Retired,
];

/// Things that are called like a managed table and are none, and what only looks like one.
const OTHERS: &[&str] = &[
    "ALTER TABLE projects ADD COLUMN settings jsonb",
    "ALTER TABLE projects RENAME COLUMN settings TO x",
    "ALTER TABLE projects RENAME COLUMN x TO settings",
    "ALTER TABLE projects RENAME CONSTRAINT settings TO x",
    "ALTER TABLE projects DROP COLUMN settings, ALTER COLUMN settings SET NOT NULL",
    "ALTER TABLE projects ADD CONSTRAINT settings CHECK (settings > 1)",
    "ALTER TABLE projects ADD FOREIGN KEY (settings) REFERENCES x (settings)",
    "ALTER TABLE projects ADD UNIQUE (settings) INCLUDE (\"user\")",
    "ALTER TABLE projects ADD EXCLUDE USING gist (settings WITH =)",
    "ALTER TABLE projects OWNER TO settings",
    "ALTER TABLE other.settings ADD c int",
    "CREATE TABLE teams (id int, settings text, \"user\" text, UNIQUE (settings))",
    "CREATE TABLE teams (id int, t text COLLATE settings DEFAULT settings())",
    "CREATE TABLE teams PARTITION OF x FOR VALUES IN ('settings')",
    "CREATE TABLE teams (LIKE other.settings)",
    "CREATE TYPE plan AS ENUM ('user', 'settings')",
    "ALTER TYPE plan ADD VALUE 'settings'",
    "CREATE TYPE settings AS (a int)",
    "CREATE DOMAIN settings AS int CHECK (VALUE > 1)",
    "DROP TYPE settings",
    "DROP FUNCTION settings(settings)",
    "DROP INDEX settings",
    "DROP SEQUENCE settings",
    "DROP SCHEMA settings",
    "DROP ROLE settings",
    "DROP TRIGGER settings ON projects",
    "DROP TABLE other.settings",
    "LISTEN settings",
    "UNLISTEN settings",
    "NOTIFY settings, 'settings'",
    "BEGIN; SAVEPOINT settings; RELEASE settings; ROLLBACK TO settings; COMMIT",
    "FETCH 1 FROM settings",
    "MOVE 1 FROM settings",
    "CLOSE settings",
    "DECLARE settings CURSOR FOR SELECT 1",
    "PREPARE settings AS SELECT 1",
    "CREATE ROLE settings",
    "GRANT settings TO \"user\"",
    "GRANT SELECT ON projects TO settings",
    "GRANT SELECT (settings) ON projects TO PUBLIC",
    "GRANT USAGE ON SCHEMA settings TO PUBLIC",
    "GRANT USAGE ON SEQUENCE settings TO PUBLIC",
    "CREATE INDEX settings ON projects (settings)",
    "CREATE UNIQUE INDEX settings ON projects (settings)",
    "ALTER INDEX settings RENAME TO x",
    "REINDEX INDEX settings",
    "CREATE SEQUENCE settings",
    "ALTER SEQUENCE settings RESTART",
    "CREATE STATISTICS settings ON a, b FROM projects",
    "CREATE TRIGGER settings BEFORE UPDATE OF settings ON projects FOR EACH ROW EXECUTE FUNCTION settings('settings')",
    "CREATE POLICY settings ON projects USING (settings = 1)",
    "CREATE VIEW v (settings) AS SELECT x AS settings FROM projects JOIN p USING (settings)",
    "CREATE TEMP TABLE settings (id int)",
    "CREATE TEMP TABLE IF NOT EXISTS \"user\" (id int) ON COMMIT DROP",
    "CREATE TEMP TABLE settings AS SELECT 1 AS id",
    "SELECT 1 AS id INTO TEMP settings",
    "CREATE TEMP VIEW settings AS SELECT 1",
    "COMMENT ON COLUMN projects.settings IS 'settings'",
    "COMMENT ON INDEX settings IS 'x'",
    "COMMENT ON CONSTRAINT settings ON projects IS 'x'",
    "COMMENT ON SCHEMA settings IS 'x'",
    "SET CONSTRAINTS settings DEFERRED",
    "SET application_name = 'settings'",
    "CREATE FUNCTION settings(settings int) RETURNS int LANGUAGE sql AS 'SELECT $1'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN new.settings; END $$",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'settings'; END $$",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT length(USER) -- settings\n $$",
    "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'settings'",
    "DO $$ BEGIN DELETE FROM other.settings; PERFORM 'settings'; END $$",
    "CREATE EXTENSION settings",
    "CREATE SCHEMA settings",
    "CREATE PUBLICATION settings FOR TABLE projects",
    // What asks the catalog, or names other things.
    "SELECT 'settings'::regclass, pg_relation_size('settings'), has_table_privilege('settings', 'SELECT')",
    "SELECT currval(pg_get_serial_sequence('settings', 'id'))",
    "SELECT query_to_xml('SELECT id FROM other.settings', true, true, '')",
    "SELECT table_to_xmlschema('settings', true, true, '')",
    "SELECT schema_to_xml('other', true, true, '')",
    "SELECT cursor_to_xml('settings', 1, true, true, '')",
    "SELECT lower('SELECT * FROM settings')",
];

/// What names the legacy table.
const LEGACY: &[(&str, &str)] = &[
    // It is there: PostgreSQL says so.
    ("CREATE TABLE settings (id int)", ".....x"),
    ("CREATE TABLE IF NOT EXISTS settings (id int)", ".....r"),
    ("CREATE VIEW settings AS SELECT 1", ".....x"),
    ("ALTER TABLE projects RENAME TO settings", ".....x"),
    ("ALTER TABLE other.settings SET SCHEMA public", ".....x"),
    ("CREATE TEMP TABLE t (LIKE settings)", ".....r"),
    (
        "CREATE TABLE t (a int, LIKE public.settings INCLUDING ALL)",
        ".....r",
    ),
    ("COMMENT ON TABLE settings IS 'x'", ".....x"),
    ("COMMENT ON COLUMN public.settings.id IS 'x'", ".....x"),
    ("COMMENT ON CONSTRAINT c ON settings IS 'x'", ".....x"),
    ("VACUUM ANALYZE settings", ".....x"),
    ("ANALYZE projects, settings (id)", ".....x"),
    ("REINDEX TABLE CONCURRENTLY settings", ".....x"),
    ("CLUSTER settings USING i", ".....x"),
    ("CREATE INDEX CONCURRENTLY i ON settings (id)", ".....x"),
    ("CREATE STATISTICS s ON a, b FROM settings", ".....x"),
    // Others decide who reads it.
    ("GRANT SELECT ON settings TO r", "..xxxx"),
    ("REVOKE ALL ON projects, public.settings FROM r", "..xxxx"),
    // It would change, or what is done to it.
    ("CREATE UNIQUE INDEX i ON settings (id)", "xxxxxx"),
    ("DROP TABLE settings", "xxxxxx"),
    (
        "DROP TABLE IF EXISTS projects, public.settings CASCADE",
        "xxxxxx",
    ),
    ("DROP VIEW settings", "xxxxxx"),
    ("ALTER TABLE settings ADD c int", "xxxxxx"),
    ("ALTER TABLE ONLY settings RENAME COLUMN id TO x", "xxxxxx"),
    ("ALTER TABLE settings RENAME TO x", "xxxxxx"),
    ("ALTER TABLE settings SET SCHEMA x", "xxxxxx"),
    ("ALTER TABLE projects INHERIT settings", "xxxxxx"),
    (
        "ALTER TABLE projects ATTACH PARTITION settings DEFAULT",
        "xxxxxx",
    ),
    ("CREATE TABLE t () INHERITS (settings)", "xxxxxx"),
    ("CREATE TABLE t (s int REFERENCES settings)", "xxxxxx"),
    (
        "ALTER TABLE t ADD FOREIGN KEY (s) REFERENCES public.settings",
        "xxxxxx",
    ),
    ("CREATE TABLE t (s settings)", "xxxxxx"),
    ("CREATE TABLE t (s public.settings[])", "xxxxxx"),
    (
        "CREATE FUNCTION f() RETURNS SETOF settings LANGUAGE sql AS 'SELECT 1'",
        "xxxxxx",
    ),
    (
        "CREATE FUNCTION f(a settings) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "xxxxxx",
    ),
    (
        "CREATE TRIGGER t AFTER INSERT ON settings FOR EACH ROW EXECUTE FUNCTION f()",
        "xxxxxx",
    ),
    ("DROP TRIGGER t ON settings", "xxxxxx"),
    ("ALTER TRIGGER t ON settings RENAME TO x", "xxxxxx"),
    (
        "CREATE RULE r AS ON INSERT TO settings DO NOTHING",
        "xxxxxx",
    ),
    ("DROP RULE r ON public.settings", "xxxxxx"),
    ("CREATE POLICY p ON settings USING (true)", "xxxxxx"),
    ("DROP POLICY p ON settings", "xxxxxx"),
    ("CREATE PUBLICATION p FOR TABLE settings", "xxxxxx"),
    ("ALTER SEQUENCE s OWNED BY settings.id", "xxxxxx"),
    ("CREATE SEQUENCE s OWNED BY public.settings.id", "xxxxxx"),
    ("ALTER EXTENSION e ADD TABLE settings", "xxxxxx"),
    // It would be read or written where nobody sees it.
    ("CREATE VIEW v AS SELECT * FROM settings", "xxxxxx"),
    (
        "CREATE MATERIALIZED VIEW v AS SELECT * FROM settings",
        "xxxxxx",
    ),
    (
        "CREATE RULE r AS ON INSERT TO t DO ALSO DELETE FROM settings",
        "xxxxxx",
    ),
    (
        "CREATE POLICY p ON t USING (EXISTS (SELECT FROM settings))",
        "xxxxxx",
    ),
    (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 FROM settings; END",
        "xxxxxx",
    ),
    (
        "CREATE OR REPLACE FUNCTION f() RETURNS int AS $$ BEGIN UPDATE SETTINGS SET id = 1; END $$ LANGUAGE plpgsql",
        "xxxxxx",
    ),
    (
        "CREATE PROCEDURE p() LANGUAGE sql AS 'DELETE FROM Public.Settings'",
        "xxxxxx",
    ),
    (
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS $$ plpy.execute(\"delete from SETTINGS\") $$",
        "xxxxxx",
    ),
    ("DO $$ BEGIN UPDATE Settings SET id = 1; END $$", "xxxxxx"),
    (
        "DO LANGUAGE plpgsql 'BEGIN DELETE FROM \"settings\"; END'",
        "xxxxxx",
    ),
    (
        "DO E'BEGIN DELETE FROM sett\\x69ngs; EXECUTE ''settings''; END'",
        "xxxxxx",
    ),
    (
        "DO $$ BEGIN EXECUTE E'DELETE FROM sett\\x69ngs'; END $$",
        "xxxxxx",
    ),
    (
        "DO $$ BEGIN EXECUTE U&'DELETE FROM sett\\0069ngs'; END $$",
        "xxxxxx",
    ),
    (
        "DO $$ BEGIN EXECUTE format('DELETE FROM %I', 'settings'); END $$",
        "xxxxxx",
    ),
    (
        "DO $$ BEGIN DELETE FROM U&\"sett\\0069ngs\"; END $$",
        "xxxxxx",
    ),
    // Functions that are handed a text.
    (
        "SELECT query_to_xml('SELECT * FROM Settings', true, true, '')",
        "..xxxx",
    ),
    (
        "SELECT pg_catalog.table_to_xml('public.settings', true, true, '')",
        "..xxxx",
    ),
    (
        "SELECT table_to_xml('settings'::regclass, true, true, '')",
        "..xxxx",
    ),
    ("SELECT schema_to_xml('public', true, true, '')", "..xxxx"),
    ("SELECT schema_to_xml($1, true, true, '')", "..xxxx"),
    ("SELECT database_to_xml(true, true, '')", "..xxxx"),
    (
        "SELECT * FROM ts_stat('SELECT to_tsvector(t) FROM settings')",
        "..xxxx",
    ),
    (
        "SELECT ts_rewrite(q, 'SELECT a, b FROM ' || 'settings') FROM t",
        "..xxxx",
    ),
    (
        "SELECT * FROM crosstab(E'SELECT * FROM sett\\x69ngs, settings') AS x (a int)",
        "..xxxx",
    ),
    (
        "SELECT * FROM dblink('', 'SELECT * FROM settings') AS x (a int)",
        "xxxxxx",
    ),
    (
        "INSERT INTO log SELECT dblink_exec('DELETE FROM settings')",
        "xxxxxx",
    ),
    (
        "PREPARE p AS SELECT dblink_exec('DELETE FROM settings')",
        "xxxxxx",
    ),
    (
        "SELECT cron.schedule('x', '* * * * *', $$DELETE FROM settings$$)",
        "xxxxxx",
    ),
    (
        "CREATE VIEW v AS SELECT query_to_xml('TABLE settings', true, true, '')",
        "xxxxxx",
    ),
    ("SELECT 1 AS id INTO settings", ".....x"),
];

/// What names the unified one, which is nobody's business once legacy does not follow.
const UNIFIED: &[(&str, &str)] = &[
    ("CREATE TABLE IF NOT EXISTS \"user\" (id int)", "......"),
    (
        "CREATE TEMP TABLE t (LIKE \"user\" INCLUDING ALL)",
        "......",
    ),
    ("COMMENT ON TABLE \"user\" IS 'x'", "......"),
    ("GRANT SELECT ON \"user\" TO r", "......"),
    ("ANALYZE \"user\"", "......"),
    ("CREATE INDEX i ON \"user\" (id)", "......"),
    (
        "CREATE FUNCTION f() RETURNS SETOF \"user\" LANGUAGE sql AS 'SELECT 1'",
        "......",
    ),
    (
        "SELECT query_to_xml('SELECT * FROM \"user\"', true, true, '')",
        "......",
    ),
    ("CREATE UNIQUE INDEX i ON \"user\" (id)", "xxxx.."),
    ("CREATE TABLE t (u int REFERENCES \"user\")", "xxxx.."),
    ("ALTER TABLE \"user\" ADD c int", "xxxx.."),
    ("DROP TABLE public.\"user\"", "xxxx.."),
    ("CREATE VIEW v AS SELECT * FROM \"user\"", "xxxx.."),
    ("DO $$ BEGIN DELETE FROM \"user\"; END $$", "xxxx.."),
    ("DO $$ BEGIN DELETE FROM public.user; END $$", "xxxx.."),
    (
        "DO $$ BEGIN EXECUTE format('DELETE FROM %I', 'user'); END $$",
        "xxxx..",
    ),
    ("SELECT dblink_exec('DELETE FROM \"user\"')", "xxxx.."),
];

fn rules(phase: Phase) -> RuleSet {
    let file = SourceFile {
        path: "m.toml".into(),
        text: RULES.to_owned(),
    };
    RuleSet::compile(vec![file])
        .expect("the rules of the tests are right")
        .with_phase(None, phase)
}

fn outcomes(text: &str, path: SearchPath) -> String {
    let in_phase = |phase| {
        let rules = rules(phase);
        if !rules.must_read(text.as_bytes()) {
            return '.';
        }
        match &rules.rewrite(text, path).verdict {
            Verdict::PassThrough => '.',
            Verdict::Rewritten(_) => 'r',
            Verdict::Refused(refusal) => {
                assert!(
                    ["0A000", "55000"].contains(&refusal.sqlstate) && !refusal.hint.is_empty(),
                    "{phase}: {text}: {refusal:?}"
                );
                'x'
            }
        }
    };
    PHASES.into_iter().map(in_phase).collect()
}

#[test]
fn each_command_passes_or_is_refused_as_it_says_in_each_phase() {
    let others = OTHERS.iter().map(|text| (*text, "......"));
    let mut wrong = Vec::new();
    for (text, expected) in others.chain(LEGACY.iter().chain(UNIFIED).copied()) {
        let got = outcomes(text, SearchPath::AsDeclared);
        if got != expected {
            wrong.push(format!("{text}\n  expected {expected}, got {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_name_that_means_another_table_is_nobodys_business() {
    let rules = rules(Phase::UnifiedRead);
    let elsewhere = rules.path_answered(b"7 ffsb").expect("an answer").path;
    for text in [
        "DROP TABLE settings",
        "ALTER TABLE settings ADD c int",
        "GRANT SELECT ON settings TO r",
        "TRUNCATE settings",
        "DO $$ BEGIN DELETE FROM settings; END $$",
        "SELECT query_to_xml('SELECT * FROM settings', true, true, '')",
        "COPY settings FROM STDIN",
        "CREATE TABLE t (LIKE settings)",
        "CREATE VIEW v AS SELECT * FROM settings",
    ] {
        assert_eq!(outcomes(text, elsewhere), "......", "{text}");
    }
    // A function's body is read where it runs.
    let kept = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM settings'";
    assert_eq!(outcomes(kept, elsewhere), "xxxxxx");
    // Where it is not known what names mean, what takes a name only passes all the same.
    for (text, expected) in [
        ("CREATE TEMP TABLE settings (id int)", "......"),
        ("SAVEPOINT settings", "......"),
        ("COMMENT ON TABLE settings IS 'x'", ".....x"),
        ("DROP TABLE settings", "xxxxxx"),
        ("SELECT * FROM settings", "xxxxxx"),
    ] {
        assert_eq!(outcomes(text, SearchPath::Unknown), expected, "{text}");
    }
}

#[test]
fn what_makes_a_relation_of_the_name_changes_what_the_name_means() {
    let rules = rules(Phase::UnifiedRead);
    for (text, changes) in [
        ("CREATE TEMP TABLE settings (id int)", true),
        ("SELECT 1 INTO TEMP settings", true),
        ("CREATE TABLE other.settings (id int)", true),
        ("DROP TABLE other.settings", true),
        ("ALTER TABLE other.x RENAME TO settings", true),
        ("ALTER TABLE other.settings RENAME TO x", true),
        ("ALTER TABLE other.settings SET SCHEMA x", true),
        ("CREATE SEQUENCE settings", true),
        ("CREATE INDEX settings ON other.t (c)", true),
        ("CREATE TEMP VIEW settings AS SELECT 1", true),
        ("CREATE TABLE teams (settings text)", false),
        ("CREATE INDEX i ON settings (id)", false),
        ("COMMENT ON TABLE settings IS 'x'", false),
        ("SAVEPOINT settings", false),
    ] {
        let reading = rules.rewrite(text, SearchPath::AsDeclared);
        assert_eq!(reading.effects.path.is_some(), changes, "{text}");
    }
}

#[test]
fn what_will_be_refused_is_counted_before_the_first_step() {
    let escaped = ("SELECT ctid FROM U&\"sett\\0069ngs\"", "..xxxx");
    for (text, expected) in LEGACY.iter().chain([&escaped]) {
        let rules = rules(Phase::LegacyOnly);
        let read = rules.must_read(text.as_bytes());
        assert!(read, "{text}");
        let _ = rules.rewrite(text, SearchPath::AsDeclared);
        let counted = rules.take_statements();
        assert_eq!(counted.len(), 1, "{text}");
        let shape = counted[0].statement.as_deref().expect("there is room");
        assert_eq!(counted[0].tally.calls, 1, "{text}");
        assert_eq!(
            outcomes(shape, SearchPath::AsDeclared),
            *expected,
            "{text}\nis counted as {shape}"
        );
    }
}

#[test]
fn a_refusal_names_the_command_in_full() {
    let rules = rules(Phase::DualWrite);
    for (text, command) in [
        (
            "CREATE OR REPLACE FUNCTION f() RETURNS int AS $$ BEGIN UPDATE settings SET id = 1; END $$ LANGUAGE plpgsql",
            "CREATE OR REPLACE FUNCTION",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT * FROM settings",
            "CREATE MATERIALIZED VIEW",
        ),
        (
            "CREATE OR REPLACE VIEW v AS SELECT * FROM settings",
            "CREATE OR REPLACE VIEW",
        ),
        (
            "CREATE UNIQUE INDEX i ON settings (id)",
            "CREATE UNIQUE INDEX",
        ),
        ("ALTER TABLE ONLY settings ADD c int", "ALTER TABLE"),
        ("DROP TABLE IF EXISTS settings", "DROP TABLE"),
        ("DO $$ BEGIN UPDATE settings SET id = 1; END $$", "DO"),
        (
            "create or replace rule r as on insert to settings do nothing",
            "CREATE OR REPLACE RULE",
        ),
    ] {
        let reading = rules.rewrite(text, SearchPath::AsDeclared);
        let Verdict::Refused(refusal) = &reading.verdict else {
            panic!("{text}: {reading:?}");
        };
        let rest = refusal.message.strip_prefix(command);
        let named =
            rest.is_some_and(|rest| rest.starts_with(" names ") || rest.starts_with(" would "));
        assert!(named, "{text}: {}", refusal.message);
    }
}

#[test]
fn what_asks_for_what_is_declared_changes_nothing_and_passes() {
    let file = SourceFile {
        path: "m.toml".into(),
        text: format!("{RULES}\n[table.constraints]\nsettings_pkey = \"user_pkey\"\n"),
    };
    let rules = RuleSet::compile(vec![file]).expect("the rules of the test are right");
    let becomes = |text: &str, phase| {
        let rules = rules.with_phase(None, phase);
        match &rules.rewrite(text, SearchPath::AsDeclared).verdict {
            Verdict::PassThrough => ".".to_owned(),
            Verdict::Rewritten(rewritten) => rewritten.sql.clone(),
            Verdict::Refused(_) => "x".to_owned(),
        }
    };
    for (text, passes) in [
        (
            "ALTER TABLE settings ADD COLUMN IF NOT EXISTS id int NOT NULL DEFAULT 0",
            true,
        ),
        (
            "ALTER TABLE IF EXISTS public.settings ADD IF NOT EXISTS id int",
            true,
        ),
        ("ALTER TABLE settings ADD COLUMN id int", false),
        (
            "ALTER TABLE settings ADD COLUMN IF NOT EXISTS other int",
            false,
        ),
        (
            "ALTER TABLE settings ADD COLUMN IF NOT EXISTS id int, DROP COLUMN id",
            false,
        ),
        (
            "ALTER TABLE settings ADD COLUMN IF NOT EXISTS id int UNIQUE",
            false,
        ),
        (
            "CREATE UNIQUE INDEX IF NOT EXISTS settings_pkey ON settings (id)",
            true,
        ),
        ("CREATE UNIQUE INDEX settings_pkey ON settings (id)", false),
        (
            "CREATE UNIQUE INDEX IF NOT EXISTS other ON settings (id)",
            false,
        ),
    ] {
        for phase in PHASES {
            // Its stand-in has it, and nothing of another schema is meant.
            let plain = text.replace("public.settings", "settings");
            let named = plain.replacen(" settings ", " \"public\".\"settings\" ", 1);
            let expected = match (passes, phase) {
                (true, Phase::Retired) => named.as_str(),
                (true, _) => ".",
                (false, _) => "x",
            };
            assert_eq!(becomes(text, phase), expected, "{phase}: {text}");
        }
    }
    let made = "CREATE TABLE IF NOT EXISTS settings (id int)";
    let skipped = "CREATE TABLE IF NOT EXISTS \"public\".\"user\" (id int)";
    assert_eq!(becomes(made, Phase::Retired), skipped);
    assert_eq!(
        becomes("CREATE TABLE settings (id int)", Phase::Retired),
        "x"
    );
}

#[test]
fn like_copies_the_declared_columns_once_the_table_is_gone() {
    let file = SourceFile {
        path: "user_settings.toml".into(),
        text: include_str!("../../../rules/user_settings.toml").to_owned(),
    };
    let rules = RuleSet::compile(vec![file]).expect("the shipped rules are right");
    let rules = rules.with_phase(None, Phase::Retired);
    let text = "CREATE TEMP TABLE t (LIKE public.user_settings, more int) ON COMMIT DROP";
    let reading = rules.rewrite(text, SearchPath::AsDeclared);
    let Verdict::Rewritten(rewritten) = &reading.verdict else {
        panic!("{reading:?}");
    };
    let start =
        "CREATE TEMP TABLE t (\"id\" integer NOT NULL, \"keycloak_user_id\" character varying, ";
    assert!(rewritten.sql.starts_with(start), "{}", rewritten.sql);
    let end = "\"condenser_max_size\" integer, more int) ON COMMIT DROP";
    assert!(rewritten.sql.ends_with(end), "{}", rewritten.sql);
    // What the rule file does not say, a stand-in does.
    for like in [
        "user_settings INCLUDING DEFAULTS",
        "user_settings EXCLUDING ALL",
    ] {
        let text = format!("CREATE TEMP TABLE t (LIKE {like})");
        let reading = rules.rewrite(&text, SearchPath::AsDeclared);
        let Verdict::Rewritten(rewritten) = &reading.verdict else {
            panic!("{text}: {reading:?}");
        };
        let named = text.replace("user_settings", "\"public\".\"user_settings\"");
        assert_eq!(rewritten.sql, named);
    }
}
