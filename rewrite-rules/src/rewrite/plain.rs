//! Which texts only read managed tables, so that one of them may be read as in the next phase while all others go by their
//! own: neither locks, nor writes, nor anything that a later statement refers to.
//!
//! | | plain |
//! |---|---|
//! | SELECT, VALUES, TABLE; EXPLAIN and PREPARE of one; COPY (one) TO | yes |
//! | with FOR UPDATE or FOR SHARE, INTO, a write in WITH | no: it goes with the writes |
//! | DECLARE | no: WHERE CURRENT OF may follow, which wants rows of the table itself |

use std::sync::Arc;

use super::{Scope, managed_refs};
use crate::bind::NamedIn;
use crate::rule_set::Side;
use crate::statement::Refusal;

/// What the statements of a text are, as far as they name managed tables.
#[derive(Debug, Default)]
pub(crate) struct PlainReads {
    /// The migrations whose legacy tables are read.
    of: Vec<String>,
    /// Something else is done as well.
    does_more: bool,
}

impl PlainReads {
    pub fn add(&mut self, scope: &Scope<'_>) -> Result<(), Refusal> {
        let refs = managed_refs(scope)?;
        self.does_more |= !refs.is_empty() && !is_plain(scope);
        for found in refs {
            let name = &found.managed.migration.name;
            if found.managed.side == Side::Legacy && !self.of.contains(name) {
                self.of.push(name.clone());
            }
        }
        Ok(())
    }

    /// The migrations that a text reads, which does nothing else.
    pub fn migrations(self) -> Option<Arc<[String]>> {
        (!self.does_more && !self.of.is_empty()).then(|| self.of.into())
    }
}

fn is_plain(scope: &Scope<'_>) -> bool {
    let statement = scope.statement;
    let query = match statement.kind() {
        "SelectStmt" => statement,
        "ExplainStmt" | "PrepareStmt" => statement.get("query"),
        "CopyStmt" if !statement.flag("is_from") => statement.get("query"),
        _ => return false,
    };
    // The target of INTO is named as a command names one, a write in WITH as its target.
    let is_read = |place: NamedIn| match place {
        NamedIn::Read | NamedIn::Sampled => true,
        NamedIn::Target | NamedIn::WithTarget | NamedIn::Locked | NamedIn::Command(_) => false,
    };
    query.is("SelectStmt")
        && query.find("LockingClause").is_none()
        && scope
            .bound
            .tables()
            .iter()
            .all(|table| is_read(table.place))
}

#[cfg(test)]
mod tests {
    use crate::{Epoch, Held, Phase, RuleSet, SearchPath, SourceFile, Verdict};

    const RULES: &str = include_str!("../../rules/iso_agents.toml");

    fn rules(phase: Phase) -> RuleSet {
        let file = SourceFile {
            path: "iso_agents.toml".into(),
            text: RULES.to_owned(),
        };
        let rules = RuleSet::compile(vec![file]).expect("the shipped rules are right");
        rules
            .held(|_| Held::In(Epoch(7)))
            .with_phase(Some("iso_agents"), phase)
    }

    #[test]
    fn what_only_reads_is_told_from_what_locks_writes_or_is_referred_to() {
        for (text, plain) in [
            ("SELECT email FROM iso_agents WHERE id = $1", true),
            ("TABLE iso_agents", true),
            ("VALUES ((SELECT count(*) FROM iso_agents))", true),
            ("WITH a AS (SELECT * FROM iso_agents) SELECT * FROM a", true),
            ("EXPLAIN SELECT * FROM iso_agents", true),
            ("PREPARE p AS SELECT email FROM iso_agents", true),
            ("COPY (SELECT email FROM iso_agents) TO STDOUT", true),
            ("BEGIN; SELECT email FROM iso_agents; COMMIT", true),
            ("SELECT 'iso_agents'", false),
            ("SELECT email FROM users, (SELECT 1) AS iso_agents", false),
            ("SELECT email FROM iso_agents FOR UPDATE", false),
            (
                "SELECT * FROM (SELECT email FROM iso_agents FOR SHARE) AS a",
                false,
            ),
            ("SELECT email INTO t FROM iso_agents", false),
            ("CREATE TABLE t AS SELECT email FROM iso_agents", false),
            (
                "WITH w AS (DELETE FROM iso_agents RETURNING id) SELECT * FROM w",
                false,
            ),
            (
                "WITH w AS (DELETE FROM mails RETURNING id) SELECT * FROM w, iso_agents",
                false,
            ),
            ("INSERT INTO mails SELECT email FROM iso_agents", false),
            ("DECLARE c CURSOR FOR SELECT email FROM iso_agents", false),
            ("COPY iso_agents FROM STDIN", false),
            ("COPY iso_agents TO STDOUT", false),
            ("LOCK TABLE iso_agents", false),
            (
                "SELECT email FROM iso_agents; DELETE FROM iso_agents",
                false,
            ),
        ] {
            for phase in [Phase::ShadowRead, Phase::DualRead] {
                let reading = rules(phase).read(text, SearchPath::AsDeclared);
                let expected: &[&str] = if plain { &["iso_agents"] } else { &[] };
                assert_eq!(reading.reads_plainly(), expected, "{phase}: {text}");
            }
        }
    }

    #[test]
    fn a_read_ahead_is_what_the_next_phase_makes_of_it_and_is_compared_as_in_its_own() {
        let text = "SELECT email FROM iso_agents WHERE role = 'admin'";
        for phase in [Phase::ShadowRead, Phase::DualRead] {
            let own = rules(phase);
            let next = phase.next().expect("a phase that has one");
            let ahead = own.reading_ahead(&["iso_agents"]);
            let (ahead, next) = (
                ahead.rewrite(text, SearchPath::AsDeclared),
                rules(next).rewrite(text, SearchPath::AsDeclared),
            );
            let (Verdict::Rewritten(ahead), Verdict::Rewritten(next)) =
                (&ahead.verdict, &next.verdict)
            else {
                panic!("{ahead:?}\n{next:?}");
            };
            assert_eq!(ahead.sql, next.sql);
            assert!(ahead.sql.contains("crossfade_e7_iso_agents"), "its fence");
            let own = own.rewrite(text, SearchPath::AsDeclared);
            let Verdict::Rewritten(own) = &own.verdict else {
                panic!("{own:?}");
            };
            assert_eq!(ahead.shadow, own.shadow, "{phase}");
            assert_eq!(ahead.shadow.is_some(), phase == Phase::ShadowRead);
        }
    }

    #[test]
    fn a_form_that_is_filled_in_is_compared_with_the_constants_that_came() {
        let ahead = rules(Phase::ShadowRead).reading_ahead(&["iso_agents"]);
        for email in ["a", "b", "c", "d"] {
            let text = format!("SELECT full_name FROM iso_agents WHERE email = '{email}'");
            let reading = ahead.rewrite(&text, SearchPath::AsDeclared);
            assert_eq!(reading.reads_plainly(), ["iso_agents"]);
            let Verdict::Rewritten(rewritten) = &reading.verdict else {
                panic!("{reading:?}");
            };
            let pair = rewritten.shadow.as_ref().expect("it is compared");
            for side in [&pair.legacy, &pair.unified] {
                assert!(side.contains(&format!("'{email}'")), "{side}");
            }
        }
    }
}
