//! What follows from an ErrorResponse: which requests it ends, what they leave, what the client is
//! told.

use super::comments::with_place_among_comments;
use super::expect::{Expect, RunningText, Undo};
use super::lane::Act;
use super::{Pin, ServerReads, Session, translate};
use crate::wire::backend::{self, Fields};
use crate::wire::frame::write_frame;

impl<P: Pin> Session<P> {
    pub(super) fn on_error(&mut self, body: &[u8], insert: &mut Vec<u8>) -> Act {
        let again = self.begins_again(Fields::new(body));
        let read = self.expects.front().and_then(Expect::read).cloned();
        let act = self.on_error_of_head(body, insert);
        if again {
            insert.clear();
            return Act::Drop;
        }
        if act != Act::Drop || !insert.is_empty() {
            self.note_error(&read, Fields::new(body));
        }
        act
    }

    fn on_error_of_head(&mut self, body: &[u8], insert: &mut Vec<u8>) -> Act {
        let fields = Fields::new(body);
        if fields.is_fatal() {
            self.ending = true;
        }
        if self.refuses_kept_query(fields) {
            return Act::Drop;
        }
        let unnamed = self
            .kept_fails(fields)
            .or_else(|| self.kept_query_fails(fields));
        let fields = unnamed.as_deref().map_or(fields, Fields::new);
        let read = self.expects.front().and_then(Expect::read);
        let moved = read.and_then(|read| with_place_among_comments(fields, read));
        let fields = moved.as_deref().map_or(fields, Fields::new);
        let statement = self.expects.front().map_or(0, Expect::statement);
        let act = match (self.deferred.blamed(read), read) {
            (Some(blamed), _) if translate::may_come_behind(fields, &blamed) => {
                translate::behind(fields, &blamed, insert)
            }
            (_, Some(reading)) => translate::error(fields, reading, statement, insert),
            (_, None) => Act::Forward,
        };
        let act = match moved.as_ref().or(unnamed.as_ref()) {
            // It was not written in translation.
            Some(body) if act == Act::Forward => {
                write_frame(insert, backend::ERROR_RESPONSE, |out| {
                    out.extend_from_slice(body);
                });
                Act::Drop
            }
            Some(_) | None => act,
        };
        self.copy_is_over();
        self.told_later = None;
        self.return_syncs(Fields::new(body));
        match self.expects.front_mut() {
            // ReadyForQuery follows.
            Some(Expect::Query(run)) => run.failed = true,
            Some(
                Expect::FunctionCall
                | Expect::Tried(_)
                | Expect::Sync
                | Expect::Startup
                | Expect::PathQuestion { synced: true, .. },
            )
            | None => {}
            Some(
                Expect::Parse { .. }
                | Expect::KnownParse { .. }
                | Expect::Renewal { .. }
                | Expect::Close { .. }
                | Expect::RenewalClose
                | Expect::RenewalBind
                | Expect::RenewalExecute { .. }
                | Expect::CacheClose(_)
                | Expect::PathQuestion { synced: false, .. }
                | Expect::Bind { .. }
                | Expect::Describe { .. }
                | Expect::Execute(_)
                | Expect::Staging(_)
                | Expect::CopyEnd,
            ) => self.discard_to_sync(),
        }
        act
    }

    /// The request at the head failed, and the server reads on without acting up to the next
    /// Sync: none of those requests will be answered or have an effect.
    fn discard_to_sync(&mut self) {
        let is_sync = |expect: &Expect| {
            matches!(
                expect,
                Expect::Sync | Expect::PathQuestion { synced: true, .. }
            )
        };
        let end = self.expects.iter().position(is_sync);
        if end.is_none() {
            self.reads = ServerReads::NothingToSync;
            // The Sync that ends it has to come through.
            self.release();
        } else {
            self.reads = ServerReads::Messages;
        }
        let dropped: Vec<Expect> = self
            .expects
            .drain(..end.unwrap_or(self.expects.len()))
            .collect();
        // Backwards, so that of several changes to one name the oldest state is what remains.
        for (index, expect) in dropped.into_iter().enumerate().rev() {
            if let Expect::Parse {
                kept: Some(number), ..
            } = &expect
            {
                self.cache.lose(*number);
            }
            match expect {
                // The server dropped its unnamed statement before it failed to make the new one.
                Expect::Parse {
                    undo: Undo::Unnamed(_),
                    ..
                } if index == 0 => {
                    self.statements.remove(b"");
                }
                Expect::Parse { undo, .. }
                | Expect::KnownParse { undo, .. }
                | Expect::Close { undo: Some(undo) } => {
                    self.statements.revert(undo);
                }
                Expect::Query(RunningText {
                    unnamed: Some(undo),
                    ..
                }) => self.statements.revert(undo),
                Expect::CacheClose(number) => self.cache.close_later(number),
                Expect::Renewal { name, .. } | Expect::RenewalExecute { name, .. } => {
                    if let Some(statement) = self.statements.get_mut(&name) {
                        statement.generation = 0;
                    }
                }
                Expect::PathQuestion { .. } => self.path_is_answered(),
                Expect::Startup
                | Expect::Close { undo: None }
                | Expect::RenewalClose
                | Expect::RenewalBind
                | Expect::Bind { .. }
                | Expect::Describe { .. }
                | Expect::Execute(_)
                | Expect::Staging(_)
                | Expect::Query(_)
                | Expect::Tried(_)
                | Expect::FunctionCall
                | Expect::Sync
                | Expect::CopyEnd => {}
            }
        }
    }

    /// A COPY that fails before it reads leaves the Syncs behind its request to be answered.
    fn return_syncs(&mut self, fields: Fields<'_>) {
        let syncs = std::mem::take(&mut self.syncs_in_copy);
        if has_read_copy_data(fields) || self.expects.is_empty() {
            return;
        }
        for _ in 0..syncs {
            self.expects.insert(1, Expect::Sync);
            self.cache.unanswered += 1;
        }
    }
}

/// Whether a COPY from the client had begun to read when it failed: from then on the server names
/// the line in the error's context. Only the head of the binary format is read before.
fn has_read_copy_data(fields: Fields<'_>) -> bool {
    const BAD_COPY_FILE_FORMAT: &[u8] = b"22P04";
    let context = fields.value(b'W').unwrap_or_default();
    fields.sqlstate() == BAD_COPY_FILE_FORMAT
        || context
            .split(|byte| *byte == b'\n')
            .any(|line| line.starts_with(b"COPY "))
}
