//! The clauses of a MERGE.

use std::ops::Range;

use super::Assignment;
use crate::text::tokens::Tokens;
use crate::text::tree::Tree;
use pg_query::protobuf::{CmdType, MergeMatchKind};

/// A MERGE, taken apart.
#[derive(Clone, Default)]
pub(crate) struct Merge<'a> {
    /// What stands behind USING.
    pub source: Range<usize>,
    /// What stands behind ON.
    pub condition: Range<usize>,
    pub arms: Vec<Arm<'a>>,
}

/// `WHEN … [AND condition] THEN action`
#[derive(Clone)]
pub(crate) struct Arm<'a> {
    pub tree: &'a Tree,
    pub when: When,
    pub condition: Option<Range<usize>>,
    pub action: MergeAction<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Matched,
    NotMatchedBySource,
    NotMatchedByTarget,
}

#[derive(Clone)]
pub(crate) enum MergeAction<'a> {
    Nothing,
    Delete,
    Update(Vec<Assignment<'a>>),
    /// The values behind VALUES; `None` for DEFAULT VALUES.
    Insert(Option<Vec<Tokens<'a>>>),
}

impl<'a> Merge<'a> {
    /// `using`: the index behind the target with its alias.
    pub(super) fn of(statement: &'a Tree, tokens: Tokens<'a>, using: usize) -> Option<Merge<'a>> {
        let first = tokens.word("when", using)?;
        let mut arms = Vec::new();
        let mut at = first;
        for tree in statement.list("merge_when_clauses") {
            let end = tokens.word("when", at + 1).unwrap_or(tokens.tokens.len());
            arms.push(Arm::of(tree, tokens.slice(at..end))?);
            at = end;
        }
        // The joins of the source have theirs before it.
        let before = tokens.slice(0..first);
        let ons = std::iter::successors(before.word("on", using), |on| before.word("on", on + 1));
        let on = ons.last()?;
        let whole = tokens.is(using, "using") && at == tokens.tokens.len();
        whole.then(|| Merge {
            source: tokens.slice(using + 1..on).extent(),
            condition: tokens.slice(on + 1..first).extent(),
            arms,
        })
    }

    pub fn has(&self, when: When) -> bool {
        self.arms.iter().any(|arm| arm.when == when)
    }

    /// Whether an arm stands behind one of its kind that always holds.
    pub fn has_unreachable(&self) -> bool {
        let arms = self.arms.iter().enumerate();
        let mut behind = arms.filter(|(at, arm)| {
            let mut before = self.arms[..*at].iter();
            before.any(|before| before.when == arm.when && before.condition.is_none())
        });
        behind.next().is_some()
    }
}

impl<'a> Arm<'a> {
    fn of(tree: &'a Tree, tokens: Tokens<'a>) -> Option<Arm<'a>> {
        let then = tokens.word("then", 0)?;
        let condition = match tree.get("condition").exists() {
            true => Some(tokens.slice(tokens.word("and", 0)? + 1..then).extent()),
            false => None,
        };
        Some(Arm {
            tree,
            when: when(tree.int("match_kind"))?,
            condition,
            action: action(tree, tokens, then + 1)?,
        })
    }
}

fn when(kind: i64) -> Option<When> {
    match MergeMatchKind::try_from(i32::try_from(kind).ok()?).ok()? {
        MergeMatchKind::MergeWhenMatched => Some(When::Matched),
        MergeMatchKind::MergeWhenNotMatchedBySource => Some(When::NotMatchedBySource),
        MergeMatchKind::MergeWhenNotMatchedByTarget => Some(When::NotMatchedByTarget),
        MergeMatchKind::Undefined => None,
    }
}

/// `verb`: the index behind THEN.
fn action<'a>(tree: &Tree, tokens: Tokens<'a>, verb: usize) -> Option<MergeAction<'a>> {
    match CmdType::try_from(i32::try_from(tree.int("command_type")).ok()?).ok()? {
        CmdType::CmdNothing => Some(MergeAction::Nothing),
        CmdType::CmdDelete => Some(MergeAction::Delete),
        CmdType::CmdUpdate => {
            let items = tokens.slice(verb + 2..tokens.tokens.len()).split();
            let items = items.iter().map(Assignment::of);
            Some(MergeAction::Update(items.collect::<Option<_>>()?))
        }
        CmdType::CmdInsert if tree.list("values").is_empty() => Some(MergeAction::Insert(None)),
        CmdType::CmdInsert => {
            let values = tokens.word("values", verb)?;
            let (row, _) = tokens.parenthesised(values + 1)?;
            Some(MergeAction::Insert(Some(row.split())))
        }
        CmdType::Undefined
        | CmdType::CmdUnknown
        | CmdType::CmdSelect
        | CmdType::CmdMerge
        | CmdType::CmdUtility => None,
    }
}
