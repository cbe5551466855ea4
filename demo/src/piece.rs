//! The shipped migrations as pieces that the demo can play: tables and rows, what their application
//! sends, what an operator does by hand. All of it is data (`pieces/*.toml`); nothing here knows how
//! it is played, or how one side maps to the other.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

/// The files that a piece is made of.
#[derive(Clone, Copy, Debug)]
pub struct Files {
    /// The migration's name.
    pub name: &'static str,
    /// The shipped rule file: the demo moves tables by the same rules as anybody.
    pub rules: &'static str,
    piece: &'static str,
    legacy: &'static [&'static str],
    unified: &'static str,
}

macro_rules! lens_data {
    ($file:literal) => {
        include_str!(concat!("../../tests/data/lens/", $file))
    };
}

macro_rules! tenants_data {
    ($file:literal) => {
        include_str!(concat!("../../tests/data/tenants/", $file))
    };
}

/// Every shipped migration, in the order in which they are listed.
pub const ALL: [Files; 5] = [
    Files {
        name: "iso_agents",
        rules: include_str!("../../rewrite-rules/rules/iso_agents.toml"),
        piece: include_str!("../pieces/iso_agents.toml"),
        legacy: &[lens_data!("iso_agents_legacy.sql")],
        unified: lens_data!("iso_agents_unified.sql"),
    },
    Files {
        name: "user_settings",
        rules: include_str!("../../rewrite-rules/rules/user_settings.toml"),
        piece: include_str!("../pieces/user_settings.toml"),
        legacy: &[lens_data!("user_settings_legacy.sql")],
        unified: lens_data!("user_settings_unified.sql"),
    },
    Files {
        name: "enhanced_user",
        rules: include_str!("../../rewrite-rules/rules/enhanced_user.toml"),
        piece: include_str!("../pieces/enhanced_user.toml"),
        legacy: &[lens_data!("enhanced_user_legacy.sql")],
        unified: lens_data!("enhanced_user_unified.sql"),
    },
    Files {
        name: "studio_customers",
        rules: include_str!("../../rewrite-rules/rules/studio_customers.toml"),
        piece: include_str!("../pieces/studio_customers.toml"),
        legacy: &[lens_data!("studio_customers_legacy.sql")],
        unified: lens_data!("studio_customers_unified.sql"),
    },
    Files {
        name: "tenant_schemas",
        rules: include_str!("../../rewrite-rules/rules/tenant_schemas.toml"),
        piece: include_str!("../pieces/tenant_schemas.toml"),
        legacy: &[
            tenants_data!("public.sql"),
            "CREATE SCHEMA acme_corp; SET search_path = acme_corp;",
            tenants_data!("tenant.sql"),
            tenants_data!("rows.sql"),
            "CREATE SCHEMA globex_inc; SET search_path = globex_inc;",
            tenants_data!("tenant.sql"),
            tenants_data!("rows_of_another.sql"),
            "RESET search_path;",
        ],
        unified: tenants_data!("unified.sql"),
    },
];

/// A piece as its file tells it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    #[serde(skip)]
    pub name: String,
    #[serde(skip)]
    pub rules: String,
    /// Both sides' tables, in the words of the story.
    pub from: String,
    pub to: String,
    /// Who sends such statements.
    pub application: String,
    /// Rows that are made at the start unless somebody asks for another number.
    pub rows: u32,
    /// Of which relation of each side the rows are counted.
    pub counted: [String; 2],
    /// What the rule file leaves to the operator to say of its first table: `row_security = true`.
    #[serde(default)]
    pub row_security: bool,
    /// The superuser's SQL on the server beforehand: roles.
    #[serde(default)]
    pub roles: String,
    /// The owner's SQL that makes the rows, `{rows}` of them.
    pub fill: String,
    /// What an operator does before legacy goes stale: foreign keys turn to unified tables.
    #[serde(default)]
    pub turn: String,
    /// What an operator does by hand when nothing needs legacy any more, before what `crossfade retire` says.
    #[serde(default)]
    pub gone: String,
    /// Whether `crossfade retire` has nothing to say: of schemas that go as a whole.
    #[serde(default)]
    pub gone_by_hand: bool,
    /// Columns and keys of JSON that a clock of the server fills: two databases tell different times.
    #[serde(default)]
    pub clocks: Vec<String>,
    /// Those that a sequence or a random number fills: they are compared by what errands have kept.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Queries that show everything, each of which both databases must answer alike.
    pub compare: Vec<String>,
    /// Words that stand for longer texts in errands and in `compare`.
    #[serde(default, rename = "let")]
    pub words: BTreeMap<String, String>,
    /// Words that stand for one of some texts, drawn for each errand.
    #[serde(default)]
    pub pick: BTreeMap<String, Vec<String>>,
    #[serde(rename = "errand")]
    pub errands: Vec<Errand>,
    #[serde(skip)]
    legacy: String,
    #[serde(skip)]
    unified: String,
}

/// One thing that a user does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errand {
    pub name: String,
    /// How often it is drawn, against the others.
    #[serde(default = "once")]
    pub often: u32,
    pub sql: Vec<Statement>,
}

fn once() -> u32 {
    1
}

/// One statement of an errand.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Statement {
    /// Sent by the simple protocol.
    Simple(String),
    Full(Full),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Full {
    pub text: String,
    /// Prepared, and bound to these texts; the text `NULL` is NULL. Without it: the simple protocol.
    pub with: Option<Vec<String>>,
    /// The column or key of JSON of the first row that later statements of the errand may name.
    pub keep: Option<String>,
}

impl Statement {
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Statement::Simple(text) => text,
            Statement::Full(full) => &full.text,
        }
    }

    #[must_use]
    pub fn parameters(&self) -> Option<&[String]> {
        match self {
            Statement::Simple(_) => None,
            Statement::Full(full) => full.with.as_deref(),
        }
    }

    #[must_use]
    pub fn keep(&self) -> Option<&str> {
        match self {
            Statement::Simple(_) => None,
            Statement::Full(full) => full.keep.as_deref(),
        }
    }

    fn replace(&mut self, word: &str, by: &str) {
        match self {
            Statement::Simple(text) => *text = text.replace(word, by),
            Statement::Full(full) => {
                full.text = full.text.replace(word, by);
                for parameter in full.with.iter_mut().flatten() {
                    *parameter = parameter.replace(word, by);
                }
            }
        }
    }
}

impl Files {
    /// The files of a migration, or an error that lists those that there are.
    pub fn find(name: &str) -> anyhow::Result<Files> {
        let found = ALL.into_iter().find(|files| files.name == name);
        found.with_context(|| {
            let names: Vec<&str> = ALL.iter().map(|files| files.name).collect();
            format!(
                "`{name}` is no shipped migration; there are {}",
                names.join(", ")
            )
        })
    }

    /// What the files say.
    pub fn read(self) -> anyhow::Result<Piece> {
        let told: Piece = toml::from_str(self.piece)
            .with_context(|| format!("reading the piece of {}", self.name))?;
        let mut piece = Piece {
            name: self.name.to_owned(),
            rules: self.rules.to_owned(),
            legacy: self.legacy.concat(),
            unified: self.unified.to_owned(),
            ..told
        };
        for (word, text) in std::mem::take(&mut piece.words) {
            let word = format!("{{{word}}}");
            for statement in piece.errands.iter_mut().flat_map(|errand| &mut errand.sql) {
                statement.replace(&word, &text);
            }
            for query in &mut piece.compare {
                *query = query.replace(&word, &text);
            }
        }
        Ok(piece)
    }
}

impl Piece {
    /// SQL that makes the legacy tables with their rows.
    #[must_use]
    pub fn legacy(&self, rows: u32) -> String {
        let rows = self.fill.replace("{rows}", &rows.to_string());
        format!("{}\n{rows}\nANALYZE;", self.legacy)
    }

    /// SQL that makes the unified tables.
    #[must_use]
    pub fn unified(&self) -> &str {
        &self.unified
    }

    /// How many different statements its application sends, templates that is.
    #[must_use]
    pub fn statements(&self) -> usize {
        self.errands.iter().map(|errand| errand.sql.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_migration_has_a_piece_whose_words_are_all_known() {
        for files in ALL {
            let piece = files.read().unwrap();
            assert!(piece.statements() > 15, "{}", piece.name);
            assert!(!piece.compare.is_empty(), "{}", piece.name);
            for errand in &piece.errands {
                let mut known: Vec<&str> = vec!["c", "n", "m", "own", "u", "um", "uown"];
                known.extend(piece.pick.keys().map(String::as_str));
                for statement in &errand.sql {
                    let texts = std::iter::once(statement.text());
                    for text in texts.chain(
                        statement
                            .parameters()
                            .unwrap_or_default()
                            .iter()
                            .map(String::as_str),
                    ) {
                        for word in words(text) {
                            assert!(
                                known.contains(&word),
                                "{}: {}: {{{word}}}",
                                piece.name,
                                errand.name
                            );
                        }
                    }
                    known.extend(statement.keep());
                }
            }
        }
    }

    /// What stands in braces and could be a word: JSON has quotes in its.
    fn words(text: &str) -> impl Iterator<Item = &str> {
        text.split('{').skip(1).filter_map(|rest| {
            let (word, _) = rest.split_once('}')?;
            (!word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
                .then_some(word)
        })
    }

    #[test]
    fn a_migration_that_is_not_shipped_is_told_which_are() {
        let error = Files::find("nothing").unwrap_err().to_string();
        assert!(
            error.contains("studio_customers, tenant_schemas"),
            "{error}"
        );
    }
}
