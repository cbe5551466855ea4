//! The fence of an epoch in a statement: it holds the epoch open that the statement was rewritten in, and fails it once that
//! is over (see [`crate::fence`]).
//!
//! ```text
//! SELECT a FROM t                      WITH cf_fence AS (…) SELECT a FROM t
//! WITH RECURSIVE q AS (…) SELECT …     WITH RECURSIVE cf_fence AS (…), q AS (…) SELECT …
//! (SELECT a FROM t) UNION SELECT …     (WITH cf_fence AS (…) SELECT a FROM t) UNION SELECT …
//! EXPLAIN (VERBOSE) UPDATE …           EXPLAIN (VERBOSE) WITH cf_fence AS (…) UPDATE …
//! COPY t FROM STDIN, TRUNCATE t        WITH cf_fence AS (…) SELECT         before it, in its transaction
//! ```
//!
//! A read by the unified name takes none: it reads that table in every phase.

use super::{Plan, Scope, managed_refs};
use crate::bind::{CommandUse, NamedIn};
use crate::fence::{self, Held};
use crate::legend::query;
use crate::lens::TableName;
use crate::phase::Phase;
use crate::refuse;
use crate::rule_set::{Migration, Side};
use crate::statement::Refusal;
use crate::text::clauses::{explained, prepared};
use crate::text::splice::{Output, Source};
use crate::text::tokens::{Tokens, scan};
use crate::text::tree::Tree;

/// What changes rows, reads them or keeps what does. The others neither lose a row nor answer with one.
const HELD: [&str; 11] = [
    "SelectStmt",
    "InsertStmt",
    "UpdateStmt",
    "DeleteStmt",
    "MergeStmt",
    "CopyStmt",
    "TruncateStmt",
    "ExplainStmt",
    "PrepareStmt",
    "DeclareCursorStmt",
    "CreateTableAsStmt",
];

/// Where the queries go in a statement's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Anchor {
    at: usize,
    /// Before the first query of a WITH that is there.
    joins: bool,
}

/// A plan whose statement carries the fences of its migrations, or what goes before it in its transaction where it cannot.
/// `reverted`: what was done before it in the same text was taken back.
pub(crate) fn carried<'a>(
    scope: &Scope<'a>,
    plan: Plan,
    source: &mut Source<'a>,
    reverted: bool,
) -> Result<(Plan, Option<String>), Refusal> {
    let statement = scope.statement;
    if !HELD.contains(&statement.kind()) {
        return Ok((plan, None));
    }
    let Some((table, fences)) = of(scope)? else {
        return Ok((plan, None));
    };
    let queries = queries(&fences);
    let before = || {
        if reverted {
            return Err(refuse::fence_apart(&table));
        }
        Ok(Some(format!("WITH {queries} SELECT")))
    };
    Ok(match plan {
        Plan::Unchanged | Plan::Edited { .. } => match anchor(statement, scope.tokens) {
            Some(anchor) => {
                source.edit(anchor.at..anchor.at, anchor.text(&queries));
                (plan, None)
            }
            None => (plan, before()?),
        },
        Plan::Composed {
            mut output,
            answers,
        } => {
            let context = match anchor_in(statement, &output) {
                Some(anchor) => {
                    output.insert(anchor.at, &anchor.text(&queries));
                    None
                }
                None => before()?,
            };
            (Plan::Composed { output, answers }, context)
        }
        Plan::Prepared {
            mut output,
            executed,
        } => {
            let anchor =
                anchor_in(statement, &output).ok_or_else(|| refuse::fence_apart(&table))?;
            output.insert(anchor.at, &anchor.text(&queries));
            (Plan::Prepared { output, executed }, None)
        }
        // Of what comes from the client's rows, the statement that writes them was read like any other.
        Plan::Staged { .. } => (plan, None),
    })
}

/// The fences of the migrations whose rows a statement reads or writes, and the first table that it names of them.
fn of(scope: &Scope<'_>) -> Result<Option<(String, Vec<TableName>)>, Refusal> {
    let refs = managed_refs(scope)?;
    let managed = refs
        .iter()
        .filter(|found| is_held(found.table.place, found.managed.side))
        .map(|found| (found.managed.migration, found.table.table()));
    let mut fences: Vec<TableName> = Vec::new();
    let mut named = None;
    for (migration, table) in managed.chain(passing(scope)) {
        if migration.held == Held::Unknown {
            return Err(refuse::epoch_unknown(&migration.name, table));
        }
        let Some(fence) = migration.fence() else {
            continue;
        };
        named.get_or_insert_with(|| table.to_owned());
        if !fences.contains(&fence) {
            fences.push(fence);
        }
    }
    Ok(named.map(|named| (named, fences)))
}

/// What passes in its phase and would not in others: by legacy names in `legacy_only`, and writes by unified names there,
/// in `unified_only` and in `retired`. What an unqualified name means is not asked for; that of another table holds an epoch open for
/// nothing, as long as its transaction lasts.
fn passing<'s>(scope: &'s Scope<'_>) -> impl Iterator<Item = (&'s Migration, &'s str)> {
    let migrations = scope.set.migrations().iter();
    let held = migrations.filter(|migration| migration.holds_unified_writes());
    held.flat_map(move |migration| {
        let tables = scope.bound.tables().iter();
        let passing = tables.filter(|table| {
            let is = |known: &TableName| {
                let schema = table.schema();
                known.name == table.table() && schema.is_none_or(|schema| schema == known.schema)
            };
            migration.tables.iter().any(|lens| {
                let legacy = migration.phase == Phase::LegacyOnly
                    && is(&lens.legacy)
                    && is_held(table.place, Side::Legacy);
                let unified = || lens.unified_tables().into_iter().any(is);
                legacy || is_held(table.place, Side::Unified) && unified()
            })
        });
        passing.map(move |table| (migration, table.table()))
    })
}

fn is_held(place: NamedIn, side: Side) -> bool {
    match place {
        NamedIn::Read | NamedIn::Sampled => side == Side::Legacy,
        NamedIn::Target | NamedIn::WithTarget => true,
        NamedIn::Command(used) => used == CommandUse::Own,
        NamedIn::Locked => false,
    }
}

fn queries(fences: &[TableName]) -> String {
    let queries = fences.iter().enumerate().map(|(at, fence)| {
        let number = if at == 0 {
            String::new()
        } else {
            (at + 1).to_string()
        };
        fence::query(&format!("cf_{}{number}", query::FENCE), fence)
    });
    queries.collect::<Vec<_>>().join(", ")
}

impl Anchor {
    fn text(self, queries: &str) -> String {
        if self.joins {
            format!("{queries}, ")
        } else {
            format!("WITH {queries} ")
        }
    }
}

/// In what a statement of this kind has become.
fn anchor_in(statement: &Tree, output: &Output) -> Option<Anchor> {
    let tokens = scan(&output.sql).ok()?;
    let tokens = Tokens {
        text: &output.sql,
        tokens: &tokens,
    };
    anchor(statement, tokens)
}

fn anchor(statement: &Tree, tokens: Tokens<'_>) -> Option<Anchor> {
    let inner = statement.get("query");
    let behind = |word| {
        let at = tokens.word(word, 0)?;
        Some(tokens.slice(at + 1..tokens.tokens.len()))
    };
    match statement.kind() {
        "ExplainStmt" => anchor(inner, explained(statement, tokens)?),
        "PrepareStmt" => anchor(inner, prepared(tokens)?),
        "DeclareCursorStmt" => anchor(inner, behind("for")?),
        "CreateTableAsStmt" if inner.is("SelectStmt") => anchor(inner, behind("as")?),
        "CopyStmt" if inner.exists() => anchor(inner, tokens.parenthesised(1)?.0),
        "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt"
        | "TruncateStmt" => of_query(tokens),
        _ => None,
    }
}

/// In a query, in parentheses or not.
fn of_query(tokens: Tokens<'_>) -> Option<Anchor> {
    const VERBS: [&str; 7] = [
        "select", "insert", "update", "delete", "merge", "values", "table",
    ];
    let all = &tokens.tokens;
    let opening = all.iter().take_while(|token| tokens.is_symbol(token, "("));
    let first = opening.count();
    if !tokens.is(first, "with") {
        let at = tokens.is_any(first, &VERBS).then(|| all.get(first))??.start;
        return Some(Anchor { at, joins: false });
    }
    let behind = first + 1 + usize::from(tokens.is(first + 1, "recursive"));
    let at = all.get(behind)?.start;
    Some(Anchor { at, joins: true })
}

#[cfg(test)]
mod tests {
    use crate::statement::{SearchPath, Verdict};
    use crate::{Epoch, Held, Phase, RuleSet, SourceFile};

    const RULES: &str = include_str!("../../rules/iso_agents.toml");

    fn rules(phase: Phase) -> RuleSet {
        let text = RULES.replace("phase = \"legacy_only\"", &format!("phase = \"{phase}\""));
        let file = SourceFile {
            path: "iso_agents.toml".into(),
            text,
        };
        let rules = RuleSet::compile(vec![file]).unwrap();
        rules.held(|_| Held::In(Epoch(7)))
    }

    /// What is sent, and what goes before it.
    fn sent(phase: Phase, text: &str) -> (String, Option<String>) {
        let reading = rules(phase).rewrite(text, SearchPath::AsDeclared);
        match &reading.verdict {
            Verdict::PassThrough => (text.to_owned(), None),
            Verdict::Rewritten(rewritten) => (
                rewritten.sql.clone(),
                rewritten.context.as_deref().map(str::to_owned),
            ),
            Verdict::Refused(refusal) => panic!("{text}: {}", refusal.message),
        }
    }

    const FENCE: &str = "cf_fence AS (SELECT FROM \"crossfade_e7_iso_agents\".fence FOR KEY SHARE)";

    #[test]
    fn whatever_reads_or_writes_rows_carries_the_fence_where_its_with_stands() {
        let cases = [
            (
                "SELECT id FROM iso_agents",
                "WITH F SELECT id FROM iso_agents",
            ),
            (
                "/* why */ SELECT id FROM iso_agents -- so",
                "/* why */ WITH F SELECT id FROM iso_agents -- so",
            ),
            (
                "WITH RECURSIVE q AS (SELECT 1) SELECT id FROM iso_agents",
                "WITH RECURSIVE F, q AS (SELECT 1) SELECT id FROM iso_agents",
            ),
            (
                "((SELECT id FROM iso_agents) UNION SELECT gen_random_uuid()) LIMIT 1",
                "((WITH F SELECT id FROM iso_agents) UNION SELECT gen_random_uuid()) LIMIT 1",
            ),
            ("TABLE iso_agents", "WITH F TABLE iso_agents"),
            (
                "VALUES ((SELECT count(*) FROM iso_agents))",
                "WITH F VALUES ((SELECT count(*) FROM iso_agents))",
            ),
            (
                "EXPLAIN (COSTS OFF) SELECT id FROM iso_agents",
                "EXPLAIN (COSTS OFF) WITH F SELECT id FROM iso_agents",
            ),
            (
                "EXPLAIN ANALYZE VERBOSE DELETE FROM iso_agents",
                "EXPLAIN ANALYZE VERBOSE WITH F DELETE FROM iso_agents",
            ),
            (
                "PREPARE p (uuid) AS SELECT id FROM iso_agents WHERE id = $1",
                "PREPARE p (uuid) AS WITH F SELECT id FROM iso_agents WHERE id = $1",
            ),
            (
                "DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT id FROM iso_agents",
                "DECLARE c NO SCROLL CURSOR WITH HOLD FOR WITH F SELECT id FROM iso_agents",
            ),
            (
                "CREATE TEMP TABLE t (a) ON COMMIT DROP AS SELECT id FROM iso_agents",
                "CREATE TEMP TABLE t (a) ON COMMIT DROP AS WITH F SELECT id FROM iso_agents",
            ),
            (
                "COPY (SELECT id FROM iso_agents) TO STDOUT",
                "COPY (WITH F SELECT id FROM iso_agents) TO STDOUT",
            ),
            (
                "UPDATE iso_agents SET email = 'a'; SELECT 1; DELETE FROM iso_agents",
                "WITH F UPDATE iso_agents SET email = 'a'; SELECT 1; WITH F DELETE FROM iso_agents",
            ),
        ];
        for (text, expected) in cases {
            let expected = expected
                .replace('F', "\0")
                .replace("WITH \0", &format!("WITH {FENCE}"));
            let expected = expected.replace("RECURSIVE \0", &format!("RECURSIVE {FENCE}"));
            let expected = expected.replace('\0', "F");
            assert_eq!(sent(Phase::LegacyOnly, text), (expected, None), "{text}");
        }
    }

    #[test]
    fn what_cannot_carry_it_is_sent_behind_a_statement_that_does() {
        for text in ["COPY iso_agents FROM STDIN", "TRUNCATE iso_agents"] {
            let before = format!("WITH {FENCE} SELECT");
            assert_eq!(
                sent(Phase::LegacyOnly, text),
                (text.to_owned(), Some(before))
            );
        }
        let reading =
            rules(Phase::LegacyOnly).rewrite("COMMIT; TRUNCATE iso_agents", SearchPath::AsDeclared);
        assert!(matches!(reading.verdict, Verdict::Refused(_)));
    }

    #[test]
    fn what_is_rewritten_carries_it_in_every_phase() {
        let texts = [
            "SELECT id FROM iso_agents",
            "INSERT INTO iso_agents (id, clerk_user_id, email) VALUES ($1, $2, $3) RETURNING id",
            "UPDATE iso_agents SET email = $1 WHERE id = $2",
            "DELETE FROM iso_agents WHERE id = $1",
            "WITH gone AS (DELETE FROM iso_agents RETURNING id) SELECT * FROM gone",
            "PREPARE p AS UPDATE iso_agents SET email = $1 WHERE id = $2",
            "EXPLAIN UPDATE iso_agents SET email = 'a'",
            "COPY iso_agents FROM STDIN",
            "TRUNCATE iso_agents",
        ];
        for phase in Phase::ALL
            .into_iter()
            .filter(|phase| *phase != Phase::Retired)
        {
            for text in texts {
                let (sql, before) = sent(phase, text);
                let all = format!("{} {sql}", before.unwrap_or_default());
                assert_eq!(all.matches("cf_fence AS").count(), 1, "{phase}: {all}");
            }
        }
    }

    #[test]
    fn a_write_by_the_unified_name_carries_it_in_every_phase() {
        for phase in Phase::ALL {
            let (sql, before) = sent(phase, "UPDATE users SET email = 'a'");
            assert_eq!(sql.matches("cf_fence AS").count(), 1, "{phase}: {sql}");
            assert_eq!(before, None);
        }
    }

    #[test]
    fn as_long_as_nobody_knows_the_phase_no_row_is_read_or_written() {
        let rules = rules(Phase::LegacyOnly).held(|_| Held::Unknown);
        for text in ["SELECT id FROM iso_agents", "COPY iso_agents FROM STDIN"] {
            match &rules.rewrite(text, SearchPath::AsDeclared).verdict {
                Verdict::Refused(refusal) => assert_eq!(refusal.sqlstate, "57P03", "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        let other = rules.rewrite("SELECT 1", SearchPath::AsDeclared);
        assert_eq!(other.verdict, Verdict::PassThrough);
    }

    #[test]
    fn neither_a_read_by_the_unified_name_nor_a_command_that_changes_no_row_carries_it() {
        for text in [
            "SELECT id FROM users",
            "VACUUM iso_agents",
            "LOCK TABLE iso_agents",
            "SELECT 1",
        ] {
            let (sql, before) = sent(Phase::LegacyOnly, text);
            assert!(!sql.contains("cf_fence"), "{sql}");
            assert!(before.is_none() || text.starts_with("LOCK"), "{text}");
        }
    }

    #[test]
    fn a_name_of_the_clients_that_is_like_one_of_ours_is_refused_where_ours_are_given() {
        for text in [
            "SELECT * FROM cf_fence, iso_agents",
            "SELECT 1 FROM iso_agents AS CF_U",
            "WITH \"cf_fence\" AS (SELECT 1) SELECT email FROM iso_agents",
            "UPDATE iso_agents SET full_name = cf_new FROM mails",
        ] {
            let reading = rules(Phase::DualRead).rewrite(text, SearchPath::AsDeclared);
            let Verdict::Refused(refusal) = &reading.verdict else {
                panic!("{text}: {:?}", reading.verdict);
            };
            assert!(
                refusal.message.contains("begin with cf_"),
                "{}",
                refusal.message
            );
        }
        sent(
            Phase::DualRead,
            "SELECT m.cf_new FROM iso_agents JOIN mails AS m USING (id)",
        );
        sent(Phase::DualRead, "SELECT 'cf_new' FROM iso_agents");
        sent(Phase::DualRead, "SELECT cf_new FROM mails");
    }
}
