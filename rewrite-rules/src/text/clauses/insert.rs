//! The clauses of an INSERT that no other statement has.

use super::{Assignment, unwrapped};
use crate::text::tokens::Tokens;
use crate::text::tree::Tree;

#[derive(Default)]
pub(crate) struct Insert<'a> {
    /// The query or the VALUES; none of DEFAULT VALUES.
    pub source: Option<Tokens<'a>>,
    /// It is a plain VALUES, whose rows can be taken one by one and may have DEFAULT for a value.
    pub gives_rows: bool,
    pub conflict: Option<Conflict<'a>>,
}

/// `ON CONFLICT [target] DO …`
pub(crate) struct Conflict<'a> {
    /// The columns and expressions of its target, if it is no constraint's name.
    pub elements: Option<Tokens<'a>>,
    /// What stands behind the target's WHERE.
    pub predicate: Option<Tokens<'a>>,
    /// What DO UPDATE sets.
    pub assignments: Vec<Assignment<'a>>,
    /// What stands behind DO UPDATE's WHERE.
    pub condition: Option<Tokens<'a>>,
}

impl<'a> Insert<'a> {
    /// `behind`: the index behind the target with its alias.
    pub(super) fn of(statement: &Tree, tokens: Tokens<'a>, behind: usize) -> Option<Insert<'a>> {
        let conflict = statement.get("on_conflict_clause");
        let on = match conflict.exists() {
            true => Some(tokens.at(conflict.location()?)?),
            false => None,
        };
        let end = on.unwrap_or(tokens.tokens.len());
        let mut at = behind;
        if !statement.list("cols").is_empty() {
            at = tokens.parenthesised(at)?.1 + 1;
        }
        if tokens.is(at, "overriding") {
            at += 3;
        }
        let query = statement.get("select_stmt");
        let source = (query.exists() && at < end).then(|| tokens.slice(at..end));
        Some(Insert {
            source,
            gives_rows: gives_rows(query),
            conflict: match on {
                Some(on) => Some(Conflict::of(
                    conflict,
                    tokens.slice(on..tokens.tokens.len()),
                )?),
                None => None,
            },
        })
    }

    /// The values of each row of VALUES; none of a row that is not in parentheses.
    pub fn rows(&self) -> impl Iterator<Item = Option<Vec<Tokens<'a>>>> + use<'a> {
        let source = self.source.filter(|_| self.gives_rows).map(unwrapped);
        let rows = source.map(|rows| rows.slice(1..rows.tokens.len()).split_at(","));
        let rows = rows.into_iter().flatten();
        rows.map(|row| Some(row.all_parenthesised()?.split()))
    }
}

/// Whether a query is a VALUES and nothing else.
fn gives_rows(query: &Tree) -> bool {
    let more = ["limit_count", "limit_offset", "with_clause"];
    !query.list("values_lists").is_empty()
        && query.list("sort_clause").is_empty()
        && query.list("locking_clause").is_empty()
        && !more.iter().any(|field| query.get(field).exists())
}

impl<'a> Conflict<'a> {
    fn of(clause: &Tree, tokens: Tokens<'a>) -> Option<Conflict<'a>> {
        let end = tokens.tokens.len();
        let (elements, behind) = match tokens.parenthesised(2) {
            Some((elements, close)) => (Some(elements), close),
            None => (None, 2),
        };
        let does = tokens.word("do", behind)?;
        let word = tokens.word("where", behind).filter(|&word| word < does);
        let mut conflict = Conflict {
            elements,
            predicate: word.map(|word| tokens.slice(word + 1..does)),
            assignments: Vec::new(),
            condition: None,
        };
        if clause.list("target_list").is_empty() {
            return Some(conflict);
        }
        // DO UPDATE SET
        let set = does + 2;
        let word = tokens.word("where", set);
        conflict.condition = word.map(|word| tokens.slice(word + 1..end));
        let items = tokens.slice(set + 1..word.unwrap_or(end)).split();
        conflict.assignments = items.iter().map(Assignment::of).collect::<Option<_>>()?;
        Some(conflict)
    }
}
