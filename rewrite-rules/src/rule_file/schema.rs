//! The JSON schema of a rule file, from which editors complete it and tell what a key is for.
//!
//! The keys are listed here once more than in the parser's types; a test compares both lists, so that
//! a key which is added there and not here is an error.

use crate::phase::Phase;

/// What a key's value is.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Texts,
    /// One text, or several.
    TextOrTexts,
    TextOr(&'static Section),
    OneOf(&'static [&'static str]),
    Phase,
    /// Names of the operator's own, each with a text.
    Map,
    Table(&'static Section),
    Tables(&'static Section),
    /// Tables of the operator's own names, each with a text.
    Maps,
    /// A list, each item of it a text or a table.
    TextsOr(&'static Section),
    /// One text, or names of columns, each with a definition or a table.
    Columns(&'static Section),
}

struct Key {
    name: &'static str,
    kind: Kind,
    required: bool,
    says: &'static str,
}

struct Section(&'static [Key]);

const fn key(name: &'static str, kind: Kind, says: &'static str) -> Key {
    Key {
        name,
        kind,
        required: false,
        says,
    }
}

const fn required(name: &'static str, kind: Kind, says: &'static str) -> Key {
    Key {
        name,
        kind,
        required: true,
        says,
    }
}

static FILE: Section = Section(&[
    required(
        "migration",
        Kind::Table(&MIGRATION),
        "What is moved, and how far it is.",
    ),
    key(
        "prepare",
        Kind::Table(&PREPARE),
        "What `crossfade prepare` creates beside Crossfade's own tables.",
    ),
    key(
        "table",
        Kind::Tables(&TABLE),
        "A legacy table and where its rows go.",
    ),
    key(
        "function",
        Kind::Tables(&FUNCTION),
        "A function that clients call by a name, or with argument names, which it will not keep.",
    ),
]);

static MIGRATION: Section = Section(&[
    required(
        "name",
        Kind::Text,
        "The migration's name: letters, digits, `_` and `-`.",
    ),
    required(
        "phase",
        Kind::Phase,
        "How far the migration is; `crossfade advance` and `rollback` change it.",
    ),
    key(
        "database",
        Kind::Text,
        "The database whose tables these are: sessions for others pass through untouched. Left out: the control URL's.",
    ),
    key(
        "on_unified_error",
        Kind::OneOf(&["record", "refuse"]),
        "When only the unified half of a write fails: `record` lets the legacy half stand and notes the key, `refuse` fails the statement. Left out: `record` until reads depend on unified.",
    ),
]);

static PREPARE: Section = Section(&[
    key(
        "crosswalk",
        Kind::Texts,
        "Tables (schema.table) that tie legacy rows to unified ones; only lenses write them.",
    ),
    required("sql", Kind::Text, "DDL that can be run again and again."),
]);

static FUNCTION: Section = Section(&[
    required(
        "legacy",
        Kind::Text,
        "The signature that clients know: `schema.name(argument, …)`, names alone.",
    ),
    required(
        "unified",
        Kind::Text,
        "The signature that it will have. From unified_read on another name is called; under the same name arguments go by place.",
    ),
]);

static TABLE: Section = Section(&[
    key(
        "each",
        Kind::Maps,
        "Writes this [[table]] out once for each: with `[{ of = \"group\" }, …]` `{of}` stands for the text in every string. `{{of}}` is `{of}` itself.",
    ),
    key(
        "let",
        Kind::Map,
        "Texts that stand in several places: with `let.own = \"…\"` `{own}` stands for the text in every string.",
    ),
    key(
        "legacy",
        Kind::Text,
        "The table that clients know: schema.table.",
    ),
    key(
        "unified",
        Kind::TextOrTexts,
        "The table that its rows move to; several for a lens with `read`.",
    ),
    key(
        "in_place",
        Kind::Text,
        "In place of both: a table that stays, while columns of it move to others.",
    ),
    key(
        "lookup",
        Kind::Texts,
        "Tables that steps look things up in. No lens writes them, and `read` cannot name them.",
    ),
    required("key", Kind::Texts, "The legacy key's columns."),
    key(
        "row_security",
        Kind::Flag,
        "Policies let some roles update rows that they may not insert: rows that are there are updated by an UPDATE.",
    ),
    key(
        "when_hidden",
        Kind::OneOf(&["keep", "remove", "refuse"]),
        "What becomes of a legacy row whose unified row the new application hides from legacy readers or, while legacy leads, deletes. Default: it stays, and its key enters the ledger.",
    ),
    key(
        "visible",
        Kind::Text,
        "SQL over unified columns: which unified rows exist for legacy readers.",
    ),
    required(
        "columns",
        Kind::Columns(&COLUMN),
        "The legacy columns in the table's order: one text as in CREATE TABLE, CHECKs included, or a table of names, of which several with commas between them are declared alike.",
    ),
    key(
        "lossy",
        Kind::TextsOr(&LOSSY),
        "Columns whose values do not survive the way to unified and back, of all rows or of those of a condition; a text may name several.",
    ),
    key(
        "unverified",
        Kind::Texts,
        "Columns that verify does not compare; a text may name several.",
    ),
    key(
        "constants",
        Kind::Map,
        "Unified column = SQL over the legacy row, for columns that legacy lacks.",
    ),
    key(
        "constraints",
        Kind::Map,
        "Legacy constraint = the unified one that stands for it.",
    ),
    key(
        "checks",
        Kind::Map,
        "Legacy CHECK = its condition, which holds on once legacy is left. With `read` only.",
    ),
    key(
        "read",
        Kind::Text,
        "A SELECT over unified tables that yields the legacy rows: names and order as in `columns`. With `t.*` in any order: it stands for the columns that are not named.",
    ),
    key(
        "put",
        Kind::TextsOr(&STEP),
        "What brings one legacy row (`row_image`) into the unified tables, in this order.",
    ),
    key(
        "remove",
        Kind::TextsOr(&STEP),
        "What is done for a legacy row (`row_image`) that is gone, in this order.",
    ),
    key(
        "rekey",
        Kind::TextsOr(&STEP),
        "What carries the unified rows of a key (`old_image`) over to another (`row_image`), before that is put. Without it an UPDATE of the key is refused.",
    ),
]);

static STEP: Section = Section(&[
    key(
        "name",
        Kind::Text,
        "Under which later steps find what it returned.",
    ),
    required("sql", Kind::Text, "One INSERT, UPDATE or DELETE."),
]);

static LOSSY: Section = Section(&[
    required(
        "columns",
        Kind::Texts,
        "The columns; a text may name several.",
    ),
    required(
        "when",
        Kind::Text,
        "SQL over what `read` joins: of which rows it holds. Of the others legacy follows, and verify compares.",
    ),
]);

static COLUMN: Section = Section(&[
    required(
        "type",
        Kind::Text,
        "As in CREATE TABLE: a type, and NOT NULL and DEFAULT behind it.",
    ),
    key(
        "unified",
        Kind::Text,
        "The unified column's name, when it differs.",
    ),
    key(
        "unified_type",
        Kind::Text,
        "The unified column's type, when it differs.",
    ),
    key(
        "default",
        Kind::Text,
        "SQL of the default, if it does not stand behind the type.",
    ),
    key(
        "cast",
        Kind::TextOr(&CAST),
        "How values of the two types are made of each other where a setting would decide it: `at time zone 'UTC'`, or SQL for either side.",
    ),
    key(
        "holds",
        Kind::Text,
        "SQL over the unified column: which of its values the legacy column can hold, where the types do not tell.",
    ),
    key("values", Kind::Map, "Legacy value = unified value."),
    key(
        "set_by_trigger",
        Kind::Flag,
        "A BEFORE trigger on both tables sets it on every update.",
    ),
    key("verify", Kind::Flag, "`false`: verify does not compare it."),
    key(
        "lossy",
        Kind::Flag,
        "Its values do not survive the way to unified and back.",
    ),
]);

static CAST: Section = Section(&[
    required(
        "unified",
        Kind::Text,
        "The unified value: SQL over the legacy column.",
    ),
    required(
        "legacy",
        Kind::Text,
        "The legacy value: SQL over the unified column.",
    ),
]);

/// The schema as JSON.
#[must_use]
pub fn schema() -> String {
    let mut out = String::from(
        "{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n  \"title\": \"A Crossfade rule file\",\n",
    );
    out += &body(&FILE, 2);
    out += "\n}\n";
    out
}

fn body(section: &Section, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let required: Vec<String> = section
        .0
        .iter()
        .filter(|key| key.required)
        .map(|key| quoted(key.name))
        .collect();
    let keys: Vec<String> = section
        .0
        .iter()
        .map(|key| {
            format!(
                "{pad}  {}: {{\n{pad}    \"description\": {},\n{}\n{pad}  }}",
                quoted(key.name),
                quoted(key.says),
                value(key.kind, indent + 4)
            )
        })
        .collect();
    format!(
        "{pad}\"type\": \"object\",\n{pad}\"additionalProperties\": false,\n{pad}\"required\": [{}],\n\
         {pad}\"properties\": {{\n{}\n{pad}}}",
        required.join(", "),
        keys.join(",\n")
    )
}

fn value(kind: Kind, indent: usize) -> String {
    const TEXT: &str = "{ \"type\": \"string\" }";
    const TEXTS: &str = "{ \"type\": \"array\", \"items\": { \"type\": \"string\" } }";
    let pad = " ".repeat(indent);
    let one_of = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        format!("{pad}\"enum\": [{}]", words.join(", "))
    };
    let inner = |section| format!("{{\n{}\n{pad}}}", body(section, indent + 2));
    match kind {
        Kind::Text => format!("{pad}\"type\": \"string\""),
        Kind::Flag => format!("{pad}\"type\": \"boolean\""),
        Kind::Texts => format!("{pad}\"type\": \"array\",\n{pad}\"items\": {TEXT}"),
        Kind::TextOrTexts => format!("{pad}\"anyOf\": [{TEXT}, {TEXTS}]"),
        Kind::TextOr(section) => format!("{pad}\"anyOf\": [{TEXT}, {}]", inner(section)),
        Kind::OneOf(words) => one_of(words),
        Kind::Phase => {
            let all: Vec<String> = Phase::ALL.iter().map(ToString::to_string).collect();
            one_of(&all.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Kind::Map => format!("{pad}\"type\": \"object\",\n{pad}\"additionalProperties\": {TEXT}"),
        Kind::Table(section) => body(section, indent),
        Kind::Tables(section) => {
            format!(
                "{pad}\"type\": \"array\",\n{pad}\"items\": {}",
                inner(section)
            )
        }
        Kind::TextsOr(section) => format!(
            "{pad}\"type\": \"array\",\n{pad}\"items\": {{\n{pad}  \"anyOf\": [{TEXT}, {}]\n{pad}}}",
            inner(section)
        ),
        Kind::Maps => format!(
            "{pad}\"type\": \"array\",\n{pad}\"minItems\": 1,\n{pad}\"items\": {{ \"type\": \"object\", \"additionalProperties\": {TEXT} }}"
        ),
        Kind::Columns(section) => format!(
            "{pad}\"type\": [\"string\", \"object\"],\n{pad}\"additionalProperties\": {{\n{pad}  \"anyOf\": [{TEXT}, {}]\n{pad}}}",
            inner(section)
        ),
    }
}

/// Nothing in the texts above needs more than this.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule_file::RuleFile;

    /// The keys that the parser says it expects in a section.
    fn expected(before: &str) -> Vec<String> {
        let error = RuleFile::read(&format!("{before}\nno_such_key = 1\n"))
            .expect_err("there is no such key");
        let error = &error[0].message;
        let (_, list) = error.split_once("expected ").expect(error);
        list.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_schema_knows_the_keys_that_the_parser_knows() {
        let table = "[migration]\nname = \"a\"\nphase = \"b\"\n[[table]]\nkey = []\n";
        for (before, section) in [
            ("", &FILE),
            ("[migration]", &MIGRATION),
            ("[prepare]", &PREPARE),
            ("[[function]]", &FUNCTION),
            (table, &TABLE),
            (&format!("{table}[[table.put]]"), &STEP),
            (&format!("{table}[[table.lossy]]"), &LOSSY),
            (&format!("{table}[table.columns.x]"), &COLUMN),
        ] {
            let mut known: Vec<&str> = section.0.iter().map(|key| key.name).collect();
            let mut parsed = expected(before);
            known.sort_unstable();
            parsed.sort_unstable();
            assert_eq!(known, parsed, "{before}");
        }
    }

    #[test]
    fn the_schema_in_the_repository_is_the_one_of_the_code() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/rules.schema.json");
        let found = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            found == schema(),
            "write it anew: cargo run --bin crossfade -- schema > rewrite-rules/rules.schema.json"
        );
    }
}
