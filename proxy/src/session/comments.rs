//! Comments in clients' texts: whether they reach the server, and where an error points in a text that had some.
//!
//! ```text
//! Parse "" SELECT … /*trace 1*/   →  Parse "" SELECT … /*trace 1*/
//! Parse "" SELECT … /*trace 2*/   →  Parse "cf_5e551010_1" SELECT … /*trace 2*/   (see the cache)
//! Parse "" SELECT … /*trace 3*/   →  Parse "cf_5e551010_2" SELECT …
//! Parse "" SELECT … /*trace 4*/   →  nothing
//! ```

use std::sync::Arc;

use rewrite_rules::{Bare, Reading, SessionEffects, Verdict};
use serde::Deserialize;

use super::expect::ReadAs;
use super::{Pin, Session};
use crate::wire::backend::Fields;

/// Which comments of clients reach the server. Hints (`/*+ … */`) always do.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Comments {
    /// All of them: texts that differ in comments are different ones to the server.
    Always,
    /// None in what Crossfade writes: in texts that were rewritten, or are kept prepared.
    Never,
    /// Those of each text that is sent. What is kept prepared stands for texts with other comments, of which only
    /// some are sent.
    #[default]
    Sampled,
}

/// The reading of a text that is sent without comments.
pub(super) fn sent_bare(read: ReadAs, bare: Bare) -> Arc<Reading> {
    let passed = || {
        Arc::new(Reading::new(
            Verdict::PassThrough,
            SessionEffects::default(),
        ))
    };
    Arc::new(read.unwrap_or_else(passed).sent_bare(bare))
}

/// An error's body with the place that it would point to had the comments been sent; `None` where it is the same.
pub(super) fn with_place_among_comments(fields: Fields<'_>, read: &Reading) -> Option<Vec<u8>> {
    let bare = read.bare()?;
    let position = std::str::from_utf8(fields.value(b'P')?).ok()?;
    let position = bare.came_position(position.parse().ok()?)?.to_string();
    let mut body = Vec::new();
    for (code, value) in fields.iter() {
        body.push(code);
        body.extend_from_slice(if code == b'P' {
            position.as_bytes()
        } else {
            value
        });
        body.push(0);
    }
    body.push(0);
    Some(body)
}

impl<P: Pin> Session<P> {
    /// What was rewritten, without comments if none are to be sent.
    pub(super) fn without_comments(&self, read: ReadAs) -> ReadAs {
        match self.settings.comments {
            Comments::Always | Comments::Sampled => return read,
            Comments::Never => {}
        }
        let bare = match &read.as_ref()?.verdict {
            // Plain strings in it have no backslash that means something else under another setting.
            Verdict::Rewritten(rewritten) => Bare::of(&rewritten.sql),
            Verdict::PassThrough | Verdict::Refused(_) => None,
        };
        match bare {
            Some(bare) => Some(sent_bare(read, bare)),
            None => read,
        }
    }
}
