//! Where the clauses of a MERGE stand in the client's text.

use std::ops::Range;

use crate::refuse;
use crate::rewrite::clauses::Write;
use crate::rewrite::{ManagedRef, Scope};
use crate::statement::Refusal;
use crate::tokens::Tokens;
use crate::tree::Tree;
use pg_query::protobuf::{CmdType, MergeMatchKind};

/// A MERGE, taken apart.
pub(in crate::rewrite) struct Merge<'a> {
    /// What stands behind USING.
    pub source: Range<usize>,
    /// What stands behind ON.
    pub condition: Range<usize>,
    pub clauses: Vec<Clause<'a>>,
}

/// `WHEN … [AND condition] THEN action`
pub(in crate::rewrite) struct Clause<'a> {
    pub tree: &'a Tree,
    pub when: When,
    pub condition: Option<Range<usize>>,
    pub action: Action<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rewrite) enum When {
    Matched,
    NotMatchedBySource,
    NotMatchedByTarget,
}

pub(in crate::rewrite) enum Action<'a> {
    Nothing,
    Delete,
    /// The assignments behind SET.
    Update(Tokens<'a>),
    /// The rows of values behind VALUES; `None` for DEFAULT VALUES.
    Insert(Option<Tokens<'a>>),
}

impl<'a> Merge<'a> {
    pub fn of(
        scope: &Scope<'a>,
        target: &ManagedRef<'a>,
        write: &Write<'a>,
    ) -> Result<Merge<'a>, Refusal> {
        Self::read(scope, write).ok_or_else(|| {
            refuse::unsupported(
                "this spelling of the statement",
                &target.table_name(),
                "Write it plainly.",
            )
        })
    }

    fn read(scope: &Scope<'a>, write: &Write<'a>) -> Option<Merge<'a>> {
        let tokens = write.behind_target();
        let words = Words::of(&tokens);
        let using = words.first("using", 0)?;
        let whens = words.all("when");
        // The joins of the source have theirs before it.
        let on = words.last("on", *whens.first()?)?;
        let trees = scope.statement.list("merge_when_clauses");
        if trees.len() != whens.len() || using >= on {
            return None;
        }
        let ends = whens.iter().skip(1).copied().chain([tokens.tokens.len()]);
        let clauses = whens.iter().zip(ends).zip(trees);
        Some(Merge {
            source: extent(&tokens, using + 1..on)?,
            condition: extent(&tokens, on + 1..*whens.first()?)?,
            clauses: clauses
                .map(|((start, end), tree)| clause(&tokens.slice(*start..end), tree))
                .collect::<Option<Vec<_>>>()?,
        })
    }

    pub fn has(&self, when: When) -> bool {
        self.clauses.iter().any(|clause| clause.when == when)
    }

    /// Whether a clause stands behind one of its kind that always holds.
    pub fn has_unreachable(&self) -> bool {
        let clauses = self.clauses.iter().enumerate();
        let mut behind = clauses.filter(|(at, clause)| {
            let mut before = self.clauses[..*at].iter();
            before.any(|before| before.when == clause.when && before.condition.is_none())
        });
        behind.next().is_some()
    }

    pub fn deletes(&self) -> bool {
        let mut actions = self.clauses.iter().map(|clause| &clause.action);
        actions.any(|action| matches!(action, Action::Delete))
    }

    /// Whether rows can be there afterwards that were not, or were otherwise.
    pub fn puts(&self) -> bool {
        let mut actions = self.clauses.iter().map(|clause| &clause.action);
        actions.any(|action| matches!(action, Action::Update(_) | Action::Insert(_)))
    }
}

fn clause<'a>(tokens: &Tokens<'a>, tree: &'a Tree) -> Option<Clause<'a>> {
    let words = Words::of(tokens);
    let then = words.first("then", 0)?;
    let condition = if tree.get("condition").exists() {
        let and = words.first("and", 0)?;
        Some(extent(tokens, and + 1..then)?)
    } else {
        None
    };
    Some(Clause {
        tree,
        when: when(tree.int("match_kind"))?,
        condition,
        action: action(tokens, then + 1, tree)?,
    })
}

fn when(kind: i64) -> Option<When> {
    match MergeMatchKind::try_from(i32::try_from(kind).ok()?).ok()? {
        MergeMatchKind::MergeWhenMatched => Some(When::Matched),
        MergeMatchKind::MergeWhenNotMatchedBySource => Some(When::NotMatchedBySource),
        MergeMatchKind::MergeWhenNotMatchedByTarget => Some(When::NotMatchedByTarget),
        MergeMatchKind::Undefined => None,
    }
}

fn action<'a>(tokens: &Tokens<'a>, at: usize, tree: &Tree) -> Option<Action<'a>> {
    let behind = |word: &str| {
        let found = Words::of(tokens).first(word, at)?;
        (found + 1 < tokens.tokens.len()).then(|| tokens.slice(found + 1..tokens.tokens.len()))
    };
    match CmdType::try_from(i32::try_from(tree.int("command_type")).ok()?).ok()? {
        CmdType::CmdNothing => Some(Action::Nothing),
        CmdType::CmdDelete => Some(Action::Delete),
        CmdType::CmdUpdate => Some(Action::Update(behind("set")?)),
        CmdType::CmdInsert => Some(Action::Insert(behind("values"))),
        CmdType::Undefined
        | CmdType::CmdUnknown
        | CmdType::CmdSelect
        | CmdType::CmdMerge
        | CmdType::CmdUtility => None,
    }
}

fn extent(tokens: &Tokens<'_>, range: Range<usize>) -> Option<Range<usize>> {
    (!range.is_empty()).then(|| tokens.slice(range).extent())
}

/// The words that stand outside of parentheses, CASE … END, and names such as `a.when`.
struct Words<'t, 'a> {
    tokens: &'t Tokens<'a>,
    outside: Vec<usize>,
}

impl<'t, 'a> Words<'t, 'a> {
    fn of(tokens: &'t Tokens<'a>) -> Words<'t, 'a> {
        let base = tokens.tokens.first().map_or(0, |token| token.depth);
        let mut cases = 0_u32;
        let mut outside = Vec::new();
        for (at, token) in tokens.tokens.iter().enumerate() {
            let named = at > 0 && tokens.is_symbol(&tokens.tokens[at - 1], ".");
            if token.depth != base || named {
                continue;
            }
            if tokens.is_word(token, "case") {
                cases += 1;
            } else if tokens.is_word(token, "end") {
                cases = cases.saturating_sub(1);
            } else if cases == 0 {
                outside.push(at);
            }
        }
        Words { tokens, outside }
    }

    fn is(&self, at: usize, word: &str) -> bool {
        self.tokens.is_word(&self.tokens.tokens[at], word)
    }

    fn first(&self, word: &str, from: usize) -> Option<usize> {
        let mut found = self.outside.iter().copied();
        found.find(|&at| at >= from && self.is(at, word))
    }

    fn last(&self, word: &str, before: usize) -> Option<usize> {
        let found = self.outside.iter().rev().copied();
        found
            .skip_while(|&at| at >= before)
            .find(|&at| self.is(at, word))
    }

    fn all(&self, word: &str) -> Vec<usize> {
        let found = self.outside.iter().copied();
        found.filter(|&at| self.is(at, word)).collect()
    }
}
