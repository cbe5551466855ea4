//! What the library answers about one text that a client sent: pass it, replace it, refuse it.

mod answer;
mod effects;
mod names;
mod reading;
mod refusal;
mod renames;
mod rewritten;
mod shadow;
mod told;

pub use crate::text::splice::{Kept, Mapped};
pub use answer::{Answer, TagVerb};
pub use effects::{Does, OnPrepared, SessionEffects, Within};
pub use names::{Names, SearchPath, TenantId};
pub(crate) use reading::Keeps;
pub use reading::{Reading, Try};
pub(crate) use refusal::{GENERATED_ALWAYS, IS_GENERATED};
pub use refusal::{Refusal, ServerVersion};
pub use renames::{Named, Rename};
pub use rewritten::{Around, Needs, Rewritten};
pub use shadow::{Foreign, ShadowPair};
pub(crate) use told::STAGED;

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Names no managed table: the client's bytes go on unchanged.
    PassThrough,
    Rewritten(Rewritten),
    Refused(Refusal),
}
