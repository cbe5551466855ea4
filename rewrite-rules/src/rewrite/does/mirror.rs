//! Writes of a new version of the application to a unified name, brought back to legacy.
//!
//! ```text
//! UPDATE users SET email = $1 WHERE id = $2
//!
//! WITH cf_lock AS MATERIALIZED (SELECT 1 FROM iso_agents … FOR UPDATE),
//!      cf_new AS (UPDATE users SET email = $1 WHERE (id = $2)
//!                 AND (SELECT count(*) FROM cf_lock) >= 0 RETURNING "users".*),
//!      ‹what legacy takes of cf_new: columns, steps›
//! SELECT FROM cf_new AS "users"
//! ```
//!
//! How much of a legacy row follows is one rule for every kind of lens and every statement ([`brought::Follows`]). Before
//! `unified_read` it is the columns alone that the statement set, and a legacy row comes into being only where the
//! statement made it visible. So what rows were to legacy readers is looked at where the statement may change that,
//! under their locks: its snapshot may be older than the version that it updates.
//!
//! `merge_action()` does not tell which of several UPDATE actions it was, so all of them must set the same columns
//! then.
//!
//! Where several legacy tables become one, each follows in whose rows the written ones have a part ([`parts`]).
//!
//! What the database does after the statement (ON DELETE CASCADE, AFTER triggers) is not seen.

mod brought;
mod columns;
mod parts;
mod rekey;
mod steps;

use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::says::own::Own;
use crate::rewrite::says::write::Write;
use crate::rewrite::{ManagedRef, Scope};
use crate::statement::Refusal;
use crate::text::splice::Source;
use brought::brought;
use columns::TiesByColumns;
use parts::Parts;

/// `None` when the write needs nothing in legacy.
pub(super) fn compose<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
    composer: Composer,
) -> Result<Option<Composed>, Refusal> {
    if target.managed.lens.steps().is_some() {
        let parts = Parts::of(scope, target, write)?;
        if parts.is_empty() {
            return Ok(None);
        }
        let own = Own::of(scope, target, write, source)?;
        return parts.bring(own, source, composer).map(Some);
    }
    let ties = TiesByColumns::of(target);
    let Some(brought) = brought(&ties, scope, (target, target.managed.lens), write)? else {
        return Ok(None);
    };
    let own = Own::of(scope, target, write, source)?;
    Ok(Some(ties.bring(&brought, own, source, composer)))
}
