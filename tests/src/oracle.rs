//! One table moved by lenses of two kinds, and a list of statements that both must answer as PostgreSQL
//! does.
//!
//! Both rule files say the same of the same tables: one by columns, the other by steps. Where one kind
//! of lens refuses what the other does not, that is a choice, and is written down.

use std::fmt;

use crossfade_testbed::iso_agents;
use rewrite_rules::Phase;

use crate::generate::{Case, Parameter, Protocol, Statement};
use crate::{Proxy, World, corpus};

const STEPS: &str = include_str!("../data/lens/iso_agents_steps.toml");
/// How many agents there are beside those of [`EDGES`]: each look at the rows looks at all of them.
pub const AGENTS: u32 = 24;
/// Rows of which something is missing or odd, which the first agents are not.
pub const EDGES: &str = "INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_type, margin_value, \
    is_active, metadata, created_at, updated_at) VALUES \
    ('edge_1', 'edge.1@example.com', E'Zoë O''Brien \\\\ \"quoted\"', NULL, NULL, NULL, NULL, NULL, NULL), \
    ('edge_2', 'edge.2@example.com', '', 'fixed', 0.01, false, '{\"timezone\": \"\"}', now(), now()), \
    ('edge_3', 'edge.3@example.com', 'E', 'fixed', 99999999.99, true, 'null', now(), now());";
const CORPUS: &str = include_str!("../data/oracle/corpus.sql");

/// How a rule file says what a table becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A table of columns.
    Columns,
    /// `read` and steps, written in SQL.
    Steps,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Columns, Kind::Steps];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Columns => "columns",
            Kind::Steps => "steps",
        }
    }

    /// The rule file in a phase.
    ///
    /// # Panics
    ///
    /// If the file is in another phase than the first.
    #[must_use]
    pub fn rules_in(self, phase: Phase) -> String {
        match self {
            Kind::Columns => Proxy::rules_in(phase),
            Kind::Steps => {
                let first = "\nphase = \"legacy_only\"\n";
                assert!(STEPS.contains(first), "the file begins in legacy_only");
                STEPS.replace(first, &format!("\nphase = \"{phase}\"\n"))
            }
        }
    }

    /// A database with the rows on both sides and all that a phase needs, for [`Kind::in_phase`].
    pub async fn prepared(self, world: &World) -> anyhow::Result<String> {
        let name = format!("prepared_by_{self}");
        world.database(&name).await?;
        iso_agents::carry_over(&world.postgres.connect(&name).await?).await?;
        let proxy = self.proxy(world, &name, Phase::DualWrite)?;
        proxy.crossfade(&["prepare"]).await?;
        Ok(name)
    }

    /// A copy of what is prepared, and a proxy that serves it in a phase: as a migration that went well would
    /// have left both.
    pub async fn in_phase(
        self,
        world: &World,
        (prepared, database): (&str, &str),
        phase: Phase,
    ) -> anyhow::Result<Proxy> {
        world.copy(database, prepared).await?;
        if phase == Phase::Retired {
            let operator = world.postgres.connect(database).await?;
            operator
                .batch_execute("SET crossfade.ddl = 'on'; DROP TABLE iso_agents CASCADE")
                .await?;
        }
        let proxy = self.proxy(world, database, phase)?;
        proxy.turn_to("iso_agents", phase).await?;
        proxy.serve().await
    }

    fn proxy(self, world: &World, database: &str, phase: Phase) -> anyhow::Result<Proxy> {
        let proxy = Proxy::with_config(&world.postgres, database, "")?;
        proxy.write_rules("iso_agents", &self.rules_in(phase))?;
        Ok(proxy)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Statements that one session sends one after the other, under a name.
pub struct Block {
    pub name: &'static str,
    pub case: Case,
    /// The first version of the server that understands them.
    pub since: u32,
}

/// The blocks of the list, each name once; as they stand there, or all that can be by the extended
/// protocol.
///
/// # Panics
///
/// If two have one name, or one has none.
#[must_use]
pub fn blocks(by: Protocol) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for text in CORPUS.split("\n\n") {
        let statements = corpus::statements(text);
        if statements.is_empty() {
            continue;
        }
        let first = text.trim_start().lines().next().unwrap_or_default();
        let name = first.strip_prefix("-- ").unwrap_or_default();
        assert!(!name.is_empty(), "no name before {text}");
        assert!(
            !blocks.iter().any(|block| block.name == name),
            "{name} stands there twice"
        );
        let since = name
            .rsplit_once(" (")
            .and_then(|(_, version)| version.strip_suffix(')'));
        let statements: Vec<Statement> = statements
            .into_iter()
            .map(|(sql, values)| statement(sql, values, by))
            .collect();
        let writes = statements.iter().any(|statement| writes(&statement.sql));
        blocks.push(Block {
            name,
            case: Case {
                statements,
                writes,
                waiting: None,
            },
            since: since.and_then(|version| version.parse().ok()).unwrap_or(0),
        });
    }
    blocks
}

fn statement(sql: &'static str, values: &[Option<&str>], by: Protocol) -> Statement {
    let (sql, data) = match sql.split_once('\t') {
        Some((copy, data)) if copy.contains("FROM STDIN") => (copy, Some(data.to_owned())),
        Some(_) | None => (sql, None),
    };
    let one = !sql.contains("; ") && !sql.starts_with("COPY");
    let protocol = match by {
        Protocol::Extended { .. } if one => by,
        _ if !values.is_empty() => Protocol::Extended {
            binary_results: false,
        },
        _ => Protocol::Simple,
    };
    let constructs = [
        ("EXPLAIN", sql.contains("EXPLAIN")),
        ("several statements", sql.contains("; ")),
        (
            "set operation",
            [" UNION ", " INTERSECT ", " EXCEPT "]
                .iter()
                .any(|word| sql.contains(word)),
        ),
    ];
    Statement {
        sql: sql.to_owned(),
        parameters: values
            .iter()
            .map(|value| Parameter {
                value: value.map(|value| value.as_bytes().to_vec()),
                binary: false,
            })
            .collect(),
        protocol,
        ordered: sql.contains("ORDER BY") && !writes(sql) || sql.starts_with("FETCH"),
        data,
        later: Vec::new(),
        constructs: constructs
            .into_iter()
            .filter(|(_, there)| *there)
            .map(|(construct, _)| construct)
            .collect(),
    }
}

/// Whether a statement may leave anything behind.
fn writes(sql: &str) -> bool {
    let words = [
        "INSERT ",
        "UPDATE ",
        "DELETE ",
        "MERGE ",
        "TRUNCATE ",
        "FROM STDIN",
        "EXECUTE ",
    ];
    words.iter().any(|word| sql.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_as_it_stands_there() {
        let blocks = blocks(Protocol::Simple);
        let find = |name: &str| blocks.iter().find(|block| block.name == name).unwrap();
        let copy = &find("COPY FROM").case;
        assert!(copy.writes);
        assert_eq!(
            copy.statements[0].data.as_deref(),
            Some("cp1\tcp1@example.com\tC 1\tadmin\ncp2\tcp2@example.com\tC 2\tiso_agent\n")
        );
        assert_eq!(copy.statements.len(), 2);
        assert_eq!(find("MERGE returning (17)").since, 17);
        assert!(!find("every column").case.writes);
        assert!(blocks.len() > 200, "{}", blocks.len());
    }
}
