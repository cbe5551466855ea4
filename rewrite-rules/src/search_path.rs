//! Which table an unqualified name means: the server knows, and is asked.

mod tenants;

use crate::lens::{ANY_TENANT, TableName, quote_literal};
use crate::rule_set::RuleSet;
use crate::statement::{Names, SearchPath};
use crate::strings::Strings;
use tenants::OF_TENANTS;

/// Who answers: behind a pooler it may be another one each time.
const BACKEND: &str = "pg_catalog.pg_backend_pid()";

/// The last two letters: whether backslashes escape in plain strings, and whether the server reads the
/// bytes that the client writes as they are.
const SETTINGS: &str = "CASE WHEN pg_catalog.current_setting('standard_conforming_strings') OPERATOR(pg_catalog.=) 'off' \
     THEN 'e' ELSE 's' END, \
     CASE WHEN pg_catalog.current_setting('client_encoding') OPERATOR(pg_catalog.=) 'UTF8' THEN 'b' \
     WHEN pg_catalog.current_setting('client_encoding') OPERATOR(pg_catalog.=) 'SQL_ASCII' \
     AND (pg_catalog.current_setting('server_encoding') OPERATOR(pg_catalog.=) 'UTF8' \
     OR pg_catalog.current_setting('server_encoding') OPERATOR(pg_catalog.=) 'SQL_ASCII') THEN 'b' ELSE 'c' END";

/// How the server reads what the session sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub path: SearchPath,
    pub strings: Strings,
    /// The server converts what the client sends from another encoding.
    pub converts: bool,
    /// The process that answered, as `pg_stat_activity` has it.
    pub backend: i32,
}

impl RuleSet {
    /// The tables whose unqualified names may mean another one, each once and in order.
    #[must_use]
    pub fn path_names(&self) -> &[TableName] {
        &self.path_names
    }

    /// A query of one row and column by which a session tells what the managed tables' names mean
    /// in it, a letter for each: `t` the declared table, `b` that one, and a temporary table that the path
    /// has behind it would come first if the path did not name their schema; `f` not that one; and
    /// behind them two for how it reads texts. `None` where there is nothing to ask.
    ///
    /// Where the declared table is not there (it was dropped when it was retired) the name means what it
    /// would mean if it were: the declared one, unless a schema before its own in the path (that of
    /// temporary tables comes first) has a relation of the name.
    ///
    /// Operators are said with their schema: a plain one, also that of `IN`, of `CASE a WHEN` and of
    /// `IS DISTINCT FROM`, is looked for in the path, and could be of anybody's making.
    #[must_use]
    pub fn path_question(&self) -> Option<String> {
        let at = |schema: &str| {
            format!("pg_catalog.array_position(pg_catalog.current_schemas(true), {schema})")
        };
        let letter = |table: &TableName| {
            let schema = at(&format!(
                "{}::pg_catalog.name",
                quote_literal(&table.schema)
            ));
            let unqualified = quote_literal(&crate::lens::quote_ident(&table.name));
            let qualified = quote_literal(&table.sql());
            let found = format!("pg_catalog.to_regclass({unqualified})::pg_catalog.oid");
            let declared = format!("pg_catalog.to_regclass({qualified})::pg_catalog.oid");
            let found_in = at(&format!(
                "(SELECT cf_n.nspname FROM pg_catalog.pg_class AS cf_c JOIN pg_catalog.pg_namespace AS cf_n \
                 ON cf_n.oid OPERATOR(pg_catalog.=) cf_c.relnamespace \
                 WHERE cf_c.oid OPERATOR(pg_catalog.=) {found})"
            ));
            let temporary = format!(
                "EXISTS (SELECT FROM pg_catalog.pg_class AS cf_c \
                 WHERE cf_c.relname OPERATOR(pg_catalog.=) {}::pg_catalog.name \
                 AND cf_c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())",
                quote_literal(&table.name)
            );
            format!(
                "CASE WHEN {schema} IS NULL THEN 'f' \
                 WHEN {found} OPERATOR(pg_catalog.=) {declared} OR {found} IS NULL AND {declared} IS NULL \
                 OR {declared} IS NULL AND {schema} OPERATOR(pg_catalog.<) {found_in} \
                 THEN CASE WHEN {temporary} THEN 'b' ELSE 't' END ELSE 'f' END"
            )
        };
        let letter = |table: &TableName| match table.schema == ANY_TENANT {
            true => format!("'{OF_TENANTS}'"),
            false => letter(table),
        };
        let letters: Vec<String> = self.path_names.iter().map(letter).collect();
        let letters = letters.join(", ");
        let tenants = self.tenants_question().unwrap_or_default();
        (!letters.is_empty()).then(|| {
            format!("SELECT pg_catalog.concat({BACKEND}, ' ', {letters}, {SETTINGS}{tenants})")
        })
    }

    /// What the answer to [`RuleSet::path_question`] says; `None` when it cannot be its answer.
    #[must_use]
    pub fn path_answered(&self, answer: &[u8]) -> Option<Meaning> {
        let space = answer.iter().position(|byte| *byte == b' ')?;
        let (backend, answer) = (&answer[..space], &answer[space + 1..]);
        let backend = std::str::from_utf8(backend).ok()?.parse().ok()?;
        let end = answer.iter().position(|byte| *byte == b'\n');
        let (letters, of_tenants) = answer.split_at(end.unwrap_or(answer.len()));
        let (letters, settings) = letters.split_last_chunk::<2>()?;
        let strings = match settings[0] {
            b's' => Strings::Standard,
            b'e' => Strings::Escapes,
            _ => return None,
        };
        let converts = match settings[1] {
            b'b' => false,
            b'c' => true,
            _ => return None,
        };
        let path = match &self.tenants {
            None => self.names_answered(letters),
            Some(tenants) => self.tenant_answered(tenants, letters, of_tenants),
        };
        Some(Meaning {
            path,
            strings,
            converts,
            backend,
        })
    }

    fn names_answered(&self, letters: &[u8]) -> SearchPath {
        let fits = letters.len() == self.path_names.len();
        if !fits || !letters.iter().all(|letter| b"tbf".contains(letter)) {
            return SearchPath::Unknown;
        }
        if letters.iter().all(|letter| *letter == b't') {
            return SearchPath::AsDeclared;
        }
        if letters.len() > Names::MAX {
            return SearchPath::Unknown;
        }
        let found = letters
            .iter()
            .enumerate()
            .filter(|(_, letter)| **letter != b'f');
        SearchPath::Finds(found.map(|(at, _)| at).collect())
    }

    /// Whether a managed name is spelled otherwise in other encodings.
    #[must_use]
    pub fn names_beyond_ascii(&self) -> bool {
        let mut names = self.path_names.iter();
        names.any(|table| !table.name.is_ascii() || !table.schema.is_ascii())
    }

    /// Whether an unqualified name means this table; `None` where that is not known.
    pub(crate) fn finds(&self, path: SearchPath, table: &TableName) -> Option<bool> {
        match path {
            SearchPath::AsDeclared => Some(true),
            SearchPath::Unknown => None,
            SearchPath::Finds(names) | SearchPath::Tenant { finds: names, .. } => {
                let at = self.path_names.iter().position(|known| known == table)?;
                Some(names.has(at))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Phase, SourceFile, Verdict};

    use super::*;

    fn rules() -> RuleSet {
        let file = SourceFile {
            path: "iso_agents.toml".into(),
            text: include_str!("../rules/iso_agents.toml").to_owned(),
        };
        let rules = RuleSet::compile(vec![file]).expect("the shipped rules are right");
        rules.with_phase(None, Phase::UnifiedRead)
    }

    #[test]
    fn a_name_that_means_another_table_passes_and_one_that_may_is_refused() {
        let rules = rules();
        let names: Vec<&str> = rules.path_names().iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["iso_agents", "users"]);
        let verdict = |path, sql: &str| match &rules.rewrite(sql, path).verdict {
            Verdict::PassThrough => "passes",
            Verdict::Rewritten(_) => "rewritten",
            Verdict::Refused(_) => "refused",
        };
        let plain = "SELECT email FROM iso_agents";
        let qualified = "SELECT email FROM public.iso_agents";
        for (letters, expected) in [
            ("tt", "rewritten"),
            ("tf", "rewritten"),
            ("ft", "passes"),
            ("ff", "passes"),
            ("bt", "rewritten"),
            ("uf", "refused"),
            ("t", "refused"),
            ("", "refused"),
        ] {
            let path = rules.names_answered(letters.as_bytes());
            assert_eq!(verdict(path, plain), expected, "{letters}");
            assert_eq!(verdict(path, qualified), "rewritten", "{letters}");
        }
    }

    #[test]
    fn the_answer_tells_how_texts_are_read() {
        let rules = rules();
        for (letters, expected) in [
            (
                "ttsb",
                Some((SearchPath::AsDeclared, Strings::Standard, false)),
            ),
            (
                "ffeb",
                Some((SearchPath::Finds(Names::NONE), Strings::Escapes, false)),
            ),
            ("uusc", Some((SearchPath::Unknown, Strings::Standard, true))),
            ("tt", None),
            ("ttxb", None),
            ("b", None),
        ] {
            let told = rules.path_answered(format!("4711 {letters}").as_bytes());
            assert!(told.is_none_or(|told| told.backend == 4711));
            let told = told.map(|told| (told.path, told.strings, told.converts));
            assert_eq!(told, expected, "{letters}");
        }
        for other in ["", "ttsb", " ttsb", "x ttsb", "4711ttsb"] {
            assert_eq!(rules.path_answered(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn what_stands_behind_a_change_is_read_by_what_it_leaves() {
        let rules = rules();
        for (text, refused) in [
            ("SET search_path = other; SELECT FROM iso_agents", true),
            (
                "SET search_path = public, other; SELECT FROM iso_agents",
                false,
            ),
            (
                "SET search_path = \"$user\", public; SELECT FROM iso_agents",
                true,
            ),
            ("SELECT FROM iso_agents; SET search_path = other", false),
            (
                "SET search_path = public; ROLLBACK; SELECT FROM iso_agents",
                true,
            ),
            ("BEGIN; SELECT FROM iso_agents; COMMIT", false),
            ("RESET ALL; SELECT FROM iso_agents", true),
            ("SET LOCAL ROLE x; SELECT FROM iso_agents", true),
            ("SET SESSION AUTHORIZATION x; SELECT FROM iso_agents", true),
            (
                "SELECT set_config('role', 'x', true); SELECT FROM iso_agents",
                true,
            ),
            (
                "SELECT set_config('Search_Path', 'x', true); SELECT FROM iso_agents",
                true,
            ),
            ("SET SCHEMA 'other'; SELECT FROM iso_agents", true),
            ("SET SESSION SCHEMA 'other'; SELECT FROM iso_agents", true),
            ("SET SCHEMA 'public'; SELECT FROM iso_agents", false),
            ("SET \"SEARCH_PATH\" = other; SELECT FROM iso_agents", true),
            (
                "SELECT set_config('search_' || 'path', 'x', true); SELECT FROM iso_agents",
                true,
            ),
            (
                "SELECT set_config(U&'\\0073earch_path', 'x', true); SELECT FROM iso_agents",
                true,
            ),
            (
                "SELECT set_config('app.x'::text, 'x', true); SELECT FROM iso_agents",
                false,
            ),
            (
                "UPDATE pg_settings SET setting = 'x' WHERE name = 'search_path'; SELECT FROM iso_agents",
                true,
            ),
            (
                "DO $$ BEGIN PERFORM set_config('search_path', 'x', false); END $$; SELECT FROM iso_agents",
                true,
            ),
            (
                "DO $$ BEGIN PERFORM 1; END $$; SELECT FROM iso_agents",
                false,
            ),
            ("ALTER SCHEMA a RENAME TO b; SELECT FROM iso_agents", true),
            ("DROP SCHEMA a CASCADE; SELECT FROM iso_agents", true),
            ("CREATE SCHEMA a; SELECT FROM iso_agents", true),
            (
                "REVOKE ALL ON SCHEMA a FROM b; SELECT FROM iso_agents",
                true,
            ),
            ("ALTER ROLE a RENAME TO b; SELECT FROM iso_agents", true),
            (
                "CREATE TEMP TABLE iso_agents (); SET search_path = public; SELECT FROM iso_agents",
                true,
            ),
            ("SELECT goes_to('other'); SELECT FROM iso_agents", true),
            ("SELECT app.lower('other'); SELECT FROM iso_agents", true),
            ("SELECT lower('other'); SELECT FROM iso_agents", false),
            ("SELECT FROM iso_agents; SELECT goes_to('other')", false),
            ("CALL goes_to('other'); SELECT FROM iso_agents", true),
            ("EXECUTE g('other'); SELECT FROM iso_agents", true),
            ("EXPLAIN ANALYZE EXECUTE g; SELECT FROM iso_agents", true),
            ("FETCH ALL FROM c; SELECT FROM iso_agents", true),
            (
                "DO $$ BEGIN PERFORM goes_to('other'); END $$; SELECT FROM iso_agents",
                true,
            ),
            (
                "DO $$ BEGIN RESET ALL; END $$; SELECT FROM iso_agents",
                true,
            ),
            (
                "SELECT goes_to('other'); SELECT FROM public.iso_agents",
                false,
            ),
        ] {
            let reading = rules.rewrite(text, SearchPath::AsDeclared);
            let is_refused = matches!(reading.verdict, Verdict::Refused(_));
            assert_eq!(is_refused, refused, "{text}");
            // It may be a temporary table's name, whatever is set.
            let reading = rules.rewrite(text, SearchPath::Finds(Names::NONE));
            let rewritten = matches!(reading.verdict, Verdict::Rewritten(_));
            assert!(!rewritten || text.contains("public.iso_agents"), "{text}");
        }
    }
}
