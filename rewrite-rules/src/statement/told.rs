//! What an error says beside its message, in the client's terms: the key that met another, the command
//! that must not write, where it happened.

use super::{Named, Rename, Rewritten, TagVerb};
use crate::lens::TableName;

/// What a server calls the commands of rewritten texts when they must not run, the longer ones first:
/// they stand in the message as they are, whatever its language.
const COMMANDS: [&str; 11] = [
    "SELECT FOR NO KEY UPDATE",
    "SELECT FOR KEY SHARE",
    "SELECT FOR UPDATE",
    "SELECT FOR SHARE",
    "CREATE TABLE",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "COPY FROM",
    "SELECT",
];

/// What the staging table of a COPY is called. It is renamed in errors, as what stands for it.
pub(crate) const STAGED: &str = "cf_copy";

impl Rewritten {
    /// A detail. `Key (mail)=(a@x) already exists.` names columns without quotation marks.
    #[must_use]
    pub fn client_detail(&self, detail: &str, at: Option<u32>) -> String {
        let said = self.client_message(detail, at);
        let Some((begin, names)) = said
            .split_once(")=(")
            .and_then(|(before, _)| Some((before.find('(')? + 1, before)))
        else {
            return said;
        };
        let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let mut told = said[..begin].to_owned();
        let mut rest = &names[begin..];
        while let Some(start) = rest.find(part) {
            let word = &rest[start..];
            let end = word.find(|c| !part(c)).unwrap_or(word.len());
            told += &rest[..start];
            told += self.client_name(Named::Column, &word[..end]);
            rest = &word[end..];
        }
        told += rest;
        told += &said[names.len()..];
        told
    }

    /// A detail about the key that met another, of a unified constraint that watches over other columns than the legacy
    /// one for which it stands: those are told. Their values are not among those that the server tells.
    #[must_use]
    pub fn client_key(&self, constraint: &str, detail: String) -> String {
        let mut keys = self.renames.iter().filter(|r| r.kind == Named::Key);
        let Some(key) = keys.find(|key| key.from == constraint) else {
            return detail;
        };
        if detail.contains(&format!("({})=(", key.to)) {
            return detail;
        }
        format!("Key ({}) already exists.", key.to)
    }

    /// Whether the client knows this table by this name: a row of it is the client's own.
    #[must_use]
    pub fn is_client_table(&self, table: &str) -> bool {
        let renames = |rename: &Rename| rename.kind == Named::Table && rename.from == table;
        !self.renames.iter().any(renames)
    }

    /// Whether the text names this legacy table, whose rows are read from that unified one.
    #[must_use]
    pub fn is_read_for(&self, unified: &TableName, legacy: &TableName) -> bool {
        let renames = |kind, from: &str, to: &str| {
            let mut all = self.renames.iter();
            all.any(|rename| rename.kind == kind && rename.from == from && rename.to == to)
        };
        if unified.name == legacy.name {
            renames(Named::Schema, &unified.schema, &legacy.schema)
        } else {
            renames(Named::Table, &unified.name, &legacy.name)
        }
    }

    /// A message about a command that must not write. `statement` is the one that failed, of those that
    /// were sent: of several that stand for one of the client's one is told.
    #[must_use]
    pub fn client_command(&self, message: &str, statement: usize) -> String {
        let mut answers = self.answers.iter().skip(statement);
        let told = answers.find(|answer| !answer.silent);
        let command = match told.and_then(|answer| answer.tag) {
            Some(verb) => verb.command(),
            // It is what the client sent; only a lock may be ours.
            None if message.contains("SELECT FOR ") && !self.locks() => "SELECT",
            None => return message.to_owned(),
        };
        let found = COMMANDS.iter().find(|name| message.contains(*name));
        match found {
            Some(found) => message.replacen(found, command, 1),
            None => message.to_owned(),
        }
    }

    fn locks(&self) -> bool {
        let mut words = self.original.split(|c: char| !c.is_alphanumeric());
        words.any(|word| word.eq_ignore_ascii_case("for"))
    }

    /// Where it happened; `None` if the client would be shown what it has not written.
    #[must_use]
    pub fn client_context(&self, context: &str) -> Option<String> {
        let staged = context.strip_prefix("COPY ");
        let staged = staged.and_then(|table| table.strip_prefix(STAGED));
        let said = match staged.filter(|rest| rest.starts_with(',')) {
            Some(line) => format!("COPY {}{line}", self.client_name(Named::Table, STAGED)),
            None => context.to_owned(),
        };
        // Lines of functions and statements of ours.
        let ours = said.contains("crossfade") || said.contains("cf_");
        (!ours).then(|| self.client_message(&said, None))
    }
}

impl TagVerb {
    /// What PostgreSQL calls the command when it must not run.
    fn command(self) -> &'static str {
        match self {
            TagVerb::Insert => "INSERT",
            TagVerb::Update => "UPDATE",
            TagVerb::Delete => "DELETE",
            TagVerb::Merge => "MERGE",
            TagVerb::Copy => "COPY FROM",
            TagVerb::Truncate => "TRUNCATE TABLE",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Phase, RuleSet, SearchPath, SourceFile, Verdict};

    const RULES: &str = r#"
[migration]
name = "m"
phase = "unified_read"

[[table]]
legacy = "public.customers"
unified = "public.people"
key = ["id"]

[table.columns]
id = { type = "int" }
email = { type = "text", unified = "mail" }
"#;

    fn told<T>(phase: Phase, sql: &str, tell: impl Fn(&super::Rewritten) -> T) -> T {
        told_by(RULES, phase, sql, tell)
    }

    fn told_by<T>(
        rules: &str,
        phase: Phase,
        sql: &str,
        tell: impl Fn(&super::Rewritten) -> T,
    ) -> T {
        let file = SourceFile {
            path: "m.toml".into(),
            text: rules.to_owned(),
        };
        let rules = RuleSet::compile(vec![file]).expect("the rules of the test are right");
        let rules = rules.with_phase(None, phase);
        match &rules.rewrite(sql, SearchPath::AsDeclared).verdict {
            Verdict::Rewritten(rewritten) => tell(rewritten),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_key_that_met_another_has_the_clients_columns() {
        let insert = "INSERT INTO customers (email) VALUES ('mail')";
        for (server, client) in [
            (
                "Key (mail)=(mail) already exists.",
                "Key (email)=(mail) already exists.",
            ),
            (
                "Key (lower(mail), id)=(a)=(mail, 1) already exists.",
                "Key (lower(email), id)=(a)=(mail, 1) already exists.",
            ),
            (
                "La clé « (mail)=(x) » existe déjà.",
                "La clé « (email)=(x) » existe déjà.",
            ),
            ("mail", "mail"),
        ] {
            let said = told(Phase::UnifiedRead, insert, |r| {
                r.client_detail(server, None)
            });
            assert_eq!(said, client);
        }
    }

    /// People of one e-mail are one person: who is a customer twice meets the constraint of the roles.
    const MERGED: &str = r#"
[migration]
name = "m"
phase = "unified_read"

[[table]]
legacy = "public.customers"
unified = ["public.people", "public.roles"]
key = ["id"]
columns = 'id text NOT NULL, "eMail" text NOT NULL CONSTRAINT customers_email UNIQUE, name text CONSTRAINT customers_name UNIQUE'
read = 'SELECT r.legacy AS id, p.mail AS "eMail", p.name FROM roles r JOIN people p ON p.id = r.person'
put = [
  { name = "p", sql = """INSERT INTO people (mail, name) SELECT "eMail", name FROM row_image
    ON CONFLICT (mail) DO UPDATE SET name = excluded.name RETURNING id""" },
  "INSERT INTO roles (person, legacy) SELECT p.id, r.id FROM row_image r, p ON CONFLICT (legacy) DO UPDATE SET person = excluded.person",
]
remove = ["DELETE FROM roles o USING row_image r WHERE o.legacy = r.id"]
constraints = { customers_email = "roles_once", customers_name = "people_name" }
"#;

    #[test]
    fn a_key_of_other_columns_than_the_one_it_stands_for_is_told_by_those_of_the_client() {
        let insert = "INSERT INTO customers (id, \"eMail\") VALUES ('1', 'a')";
        let said = |constraint: &str, server: &str| {
            told_by(MERGED, Phase::UnifiedRead, insert, |r| {
                r.client_key(constraint, r.client_detail(server, None))
            })
        };
        let other = "Key (person, role)=(7, CUSTOMER) already exists.";
        assert_eq!(said("roles_once", other), "Key (\"eMail\") already exists.");
        let same = "Key (name)=(x) already exists.";
        assert_eq!(said("people_name", same), same);
        assert_eq!(said("people_pkey", other), other);
    }

    #[test]
    fn a_command_that_must_not_write_is_the_clients() {
        let cannot = |what: &str| format!("cannot execute {what} in a read-only transaction");
        for (phase, sql, server, client) in [
            (
                Phase::DualWrite,
                "UPDATE customers SET id = id",
                "SELECT",
                "UPDATE",
            ),
            (Phase::DualRead, "DELETE FROM customers", "SELECT", "DELETE"),
            (
                Phase::UnifiedRead,
                "DELETE FROM customers",
                "SELECT FOR UPDATE",
                "DELETE",
            ),
            (
                Phase::UnifiedRead,
                "COPY customers FROM STDIN",
                "CREATE TABLE",
                "COPY FROM",
            ),
            (
                Phase::UnifiedRead,
                "WITH w AS (DELETE FROM customers RETURNING id) SELECT * FROM w",
                "SELECT FOR UPDATE",
                "SELECT",
            ),
            (
                Phase::UnifiedOnly,
                "SELECT id FROM customers FOR UPDATE",
                "SELECT FOR UPDATE",
                "SELECT FOR UPDATE",
            ),
        ] {
            let said = told(phase, sql, |r| r.client_command(&cannot(server), 0));
            assert_eq!(said, cannot(client), "{phase}: {sql}");
        }
    }

    #[test]
    fn a_line_of_a_copy_is_one_of_the_clients_table_and_nothing_of_ours_is_shown() {
        let copy = "COPY customers FROM STDIN";
        for (server, client) in [
            (
                "COPY cf_copy, line 1, column id: \"x\"",
                Some("COPY customers, line 1, column id: \"x\""),
            ),
            (
                "PL/pgSQL function touch() line 1 at RAISE",
                Some("PL/pgSQL function touch() line 1 at RAISE"),
            ),
            ("PL/pgSQL function crossfade.put_x() line 1 at RAISE", None),
            ("SQL statement \"WITH cf_new AS (…)\"", None),
        ] {
            let said = told(Phase::DualWrite, copy, |r| r.client_context(server));
            assert_eq!(said.as_deref(), client, "{server}");
        }
        let own = |table: &str| told(Phase::DualWrite, copy, |r| r.is_client_table(table));
        assert!(own("customers") && !own("people"));
    }
}
