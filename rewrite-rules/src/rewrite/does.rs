//! What becomes of a write, by the side that it names and the side that leads.
//!
//! | names | leads | |
//! |---|---|---|
//! | legacy | legacy | `legacy_first`: the client's own statement, whose row images unified takes |
//! | legacy | unified | `one_table`: a statement over the unified table; of lenses of steps `by_function` |
//! | unified | either | `mirror`: the client's own statement, brought back to legacy |

mod by;
mod by_function;
mod follow;
mod legacy_first;
mod mirror;
mod one_table;

use super::compose::{Composed, Composer};
use super::says::Says;
use super::says::write::Write;
use super::{ManagedRef, Scope};
use crate::rule_set::Side;
use crate::statement::Refusal;
use crate::text::splice::Source;

/// Puts one write together as its phase demands; `None` when it needs nothing.
pub(super) fn compose<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
    composer: Composer,
) -> Result<Option<Composed>, Refusal> {
    let Some(leader) = target.leads() else {
        return Ok(None);
    };
    match (target.managed.side, leader) {
        (Side::Legacy, Side::Legacy) => {
            legacy_first::compose(scope, target, write, source, composer).map(Some)
        }
        (Side::Legacy, Side::Unified) => {
            let says = Says::of(scope, target, write, source)?;
            let composed = if says.lens.is_row_for_row() {
                one_table::compose(&says, source, composer)
            } else {
                by_function::compose(&says, source, composer)
            };
            composed.map(Some)
        }
        (Side::Unified, Side::Legacy | Side::Unified) => {
            mirror::compose(scope, target, write, source, composer)
        }
    }
}
