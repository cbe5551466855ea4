//! What the statements of a transaction have renamed, for errors that come when they are long answered: deferred
//! constraints are looked at by COMMIT, by SET CONSTRAINTS and at the Sync behind a statement of its own.
//!
//! ```text
//! UPDATE main_enhanceduser SET technician_id = 7   →   UPDATE 1
//! COMMIT                                           →   23503 … constraint "main_customuser_technician_id_fkey"
//!                                                  told as …  constraint "main_enhanceduser_technician_id_fkey"
//! ```

use std::sync::Arc;

use rewrite_rules::{Reading, Rename, Rewritten, Verdict};

use super::expect::ReadAs;

/// A transaction writes a few tables. Of more the names go on as the server has them.
const RENAMES_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Deferred {
    renames: Vec<Rename>,
    /// The last that was added: most transactions send one statement again and again.
    last: Option<Arc<[Rename]>>,
}

impl Deferred {
    /// A statement has run.
    pub fn ran(&mut self, read: &ReadAs) {
        let Some(Verdict::Rewritten(rewritten)) = read.as_ref().map(|reading| &reading.verdict)
        else {
            return;
        };
        let new = &rewritten.renames;
        if new.is_empty()
            || self
                .last
                .as_ref()
                .is_some_and(|last| Arc::ptr_eq(last, new))
        {
            return;
        }
        self.last = Some(Arc::clone(new));
        for rename in new.iter() {
            // The client has used both names: whose an error is cannot be told, and it is left as it is.
            let back = |known: &Rename| {
                known.kind == rename.kind && known.from == rename.to && known.to == rename.from
            };
            let known = self.renames.contains(rename) || self.renames.iter().any(back);
            if !known && self.renames.len() < RENAMES_MAX {
                self.renames.push(rename.clone());
            }
        }
    }

    /// The transaction has ended.
    pub fn end(&mut self) {
        self.renames.clear();
        self.last = None;
    }

    /// The text to blame for an error of a request that is not rewritten itself.
    pub fn blamed(&self, read: Option<&Arc<Reading>>) -> Option<Rewritten> {
        match read.map(|reading| &reading.verdict) {
            None | Some(Verdict::PassThrough) if !self.renames.is_empty() => {
                Some(Rewritten::behind(self.renames.clone().into()))
            }
            None | Some(Verdict::PassThrough | Verdict::Rewritten(_) | Verdict::Refused(_)) => None,
        }
    }
}
