//! How much of a legacy row follows a unified write: for every kind of lens and every statement.

use crate::lens::Lens;
use crate::phase::Phase;
use crate::refuse;
use crate::rewrite::says::write::{Acts, Write};
use crate::rewrite::{ManagedRef, Scope};
use crate::statement::Refusal;

/// What of a legacy row follows the unified one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// The columns alone that the statement set. Another proxy may still run a phase in which unified is stale: a
    /// whole image would undo a legacy write.
    Set,
    /// The whole row: it is legacy that may be stale.
    Whole,
}

impl Follows {
    pub fn of(target: &ManagedRef<'_>) -> Follows {
        match target.managed.migration.phase {
            Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {
                Follows::Set
            }
            Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => Follows::Whole,
        }
    }
}

/// What a write to a unified table does in legacy.
pub(super) struct Brought<'w, 'a> {
    pub lens: &'w Lens,
    pub acts: &'w Acts<'a>,
    pub follows: Follows,
    /// The legacy columns that what it sets concerns, of rows that are there.
    pub columns: Vec<&'w str>,
    /// What it sets may decide which legacy rows there are.
    pub decides: bool,
}

/// How a kind of lens ties legacy rows to those of a unified table.
pub(super) trait TiesOfKind<'w> {
    /// Fails where the write is none that can be brought back.
    fn check(&self, scope: &Scope<'_>, write: &Write<'_>) -> Result<(), Refusal>;

    /// The legacy columns that a change of these of the table concerns, of rows that are there.
    fn fed(&self, sets: &[&str]) -> Vec<&'w str>;

    /// Whether a change of these decides which legacy rows there are.
    fn decides(&self, sets: &[&str]) -> bool;

    /// Whether a write that concerns nothing of legacy is left alone where whole rows follow as well.
    fn leaves_alone(&self) -> bool;
}

/// What is to be brought to the legacy table of a lens; `None`: nothing.
pub(super) fn brought<'w, 'a>(
    ties: &impl TiesOfKind<'w>,
    scope: &Scope<'a>,
    (target, lens): (&ManagedRef<'a>, &'w Lens),
    write: &'w Write<'a>,
) -> Result<Option<Brought<'w, 'a>>, Refusal> {
    ties.check(scope, write)?;
    let acts = &write.acts;
    let mut fed = acts.updates.iter().map(|sets| ties.fed(sets));
    let brought = Brought {
        lens,
        acts,
        follows: Follows::of(target),
        columns: fed.next().unwrap_or_default(),
        decides: acts.updates.iter().any(|sets| ties.decides(sets)),
    };
    let whole = brought.follows == Follows::Whole;
    if !whole && fed.any(|others| others != brought.columns) {
        return Err(refuse::unsupported(
            "MERGE into the unified table with UPDATE actions that set different columns, before \
             unified_read",
            &target.table_name(),
            "Set the same columns in each, or use UPDATE.",
        ));
    }
    let concerns = acts.inserts || acts.deletes || brought.decides || !brought.columns.is_empty();
    let left_alone = !concerns && (!whole || ties.leaves_alone());
    Ok((!left_alone).then_some(brought))
}
