//! What tells row security whose rows a statement is about: set in the statement's own transaction, before it is
//! planned, and unseen.
//!
//! ```text
//! Query SELECT …                 →  Query SELECT set_config('app.organization_id', '8c1f…', true); SELECT …
//! Bind ‹SELECT …›                →  Close, Close, Parse, Bind, Execute SELECT set_config(…)
//!                                   Bind ‹SELECT …›
//! ```
//!
//! Policies are planned with what is set then, so it goes before Bind and not before Execute.

use std::sync::Arc;

use rewrite_rules::{Reading, Rewritten, SessionEffects, Verdict};

use super::expect::ReadAs;
use super::{Pin, Session};

/// The statement that a text of rules needs before it.
pub(super) fn of(read: &ReadAs) -> Option<&Arc<str>> {
    match &read.as_ref()?.verdict {
        Verdict::Rewritten(rewritten) => rewritten.context.as_ref(),
        Verdict::PassThrough | Verdict::Refused(_) => None,
    }
}

/// A text that is sent as a whole, with that statement in it.
pub(super) fn within(read: ReadAs) -> ReadAs {
    let whole = read.as_ref().and_then(|reading| reading.with_context());
    whole.map(Arc::new).or(read)
}

impl<P: Pin> Session<P> {
    /// What goes before the client's Bind.
    pub(super) fn set_context(&mut self, read: &ReadAs, insert: &mut Vec<u8>) {
        let Some(context) = of(read) else {
            return;
        };
        let ours = Verdict::Rewritten(Rewritten::of_ours(context));
        let ours = Arc::new(Reading::new(ours, SessionEffects::default()));
        self.stage(&Some(ours), 0, context, insert);
    }
}
