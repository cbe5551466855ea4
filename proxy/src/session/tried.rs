//! The answers to what was tried in place of a client's messages: told as theirs, or as nothing where it did not do.
//!
//! ```text
//! of a read    what comes before its first row is held back until that has come
//! of a write   everything is, until it is committed; rows of some size are not
//! ```

use rewrite_rules::{Try, Verdict};

use super::expect::{Expect, answer};
use super::keep::with_field;
use super::lane::Act;
use super::server_side::retag;
use super::statements::Portal;
use super::trial::{By, State, Tried};
use super::{Pin, Session, Violation, translate};
use crate::wire::backend::{self, Fields};
use crate::wire::frame::write_frame;

impl<P: Pin> Session<P> {
    fn tried(&mut self) -> Option<&mut Tried> {
        match self.expects.front_mut() {
            Some(Expect::Tried(tried)) => Some(tried),
            Some(_) | None => None,
        }
    }

    /// An answer to what was tried; `None` for what is no part of it.
    pub(super) fn on_tried(
        &mut self,
        tag: u8,
        body: &[u8],
        whole: bool,
        insert: &mut Vec<u8>,
    ) -> Result<Option<Act>, Violation> {
        let Some(tried) = self.tried() else {
            return Ok(None);
        };
        let act = match tag {
            backend::PARSE_COMPLETE => {
                tried.parsed = true;
                Act::Drop
            }
            backend::BIND_COMPLETE => {
                tried.bound = true;
                match tried.by.clone() {
                    By::Query => Act::Drop,
                    By::Messages { parses, describes } => {
                        if parses.is_some() {
                            tried.hold(backend::PARSE_COMPLETE, b"", insert);
                        }
                        tried.hold(tag, b"", insert);
                        if describes && tried.hides_rows() {
                            tried.hold(backend::NO_DATA, b"", insert);
                        }
                        Act::Drop
                    }
                }
            }
            backend::CLOSE_COMPLETE => Act::Drop,
            backend::NO_DATA => match tried.by {
                By::Query => Act::Drop,
                By::Messages { .. } => tried.hold(tag, b"", insert),
            },
            backend::ROW_DESCRIPTION => {
                return self.tried_is_described(body, whole, insert).map(Some);
            }
            backend::DATA_ROW if tried.hides_rows() => Act::Drop,
            backend::DATA_ROW if tried.holds_rows() && whole => tried.hold(tag, body, insert),
            backend::DATA_ROW => {
                tried.tell(insert);
                Act::Forward
            }
            backend::COMMAND_COMPLETE => self.tried_is_complete(body, insert),
            backend::NOTICE_RESPONSE => return Ok(Some(self.tried_notices(body, insert))),
            backend::ERROR_RESPONSE => self.tried_fails(body, insert),
            backend::READY_FOR_QUERY => return self.tried_is_ready(body, insert).map(Some),
            _ => return Ok(None),
        };
        Ok(Some(act))
    }

    fn tried_is_described(
        &mut self,
        body: &[u8],
        whole: bool,
        insert: &mut Vec<u8>,
    ) -> Result<Act, Violation> {
        let mut told = Vec::new();
        if whole && self.described(backend::ROW_DESCRIPTION, body, &mut told) == Act::Forward {
            write_frame(&mut told, backend::ROW_DESCRIPTION, |out| {
                out.extend_from_slice(body);
            });
        }
        let Some(tried) = self.tried() else {
            return self.out_of_order(backend::ROW_DESCRIPTION);
        };
        if whole && tried.state == State::Open {
            tried.held.append(&mut told);
            return Ok(Act::Drop);
        }
        tried.tell(insert);
        Ok(Act::Forward)
    }

    fn tried_is_complete(&mut self, body: &[u8], insert: &mut Vec<u8>) -> Act {
        let mut told = Vec::new();
        let read = self.tried().and_then(|tried| tried.read.clone());
        self.deferred.ran(&read);
        if retag(
            answer(read.as_ref(), 0),
            body,
            &mut self.told_later,
            &mut told,
        ) == Act::Forward
        {
            write_frame(&mut told, backend::COMMAND_COMPLETE, |out| {
                out.extend_from_slice(body);
            });
        }
        let Some(tried) = self.tried() else {
            return Act::Drop;
        };
        if tried.tries == Try::UnifiedAlone && tried.state == State::Open {
            tried.state = State::Missed;
            return Act::Drop;
        }
        tried.end = body.to_vec();
        match tried.state {
            // A Query is told its end when it is committed.
            State::Open | State::Missed => tried.held.append(&mut told),
            State::Told => match tried.by {
                By::Query => tried.held.append(&mut told),
                By::Messages { .. } => insert.append(&mut told),
            },
        }
        Act::Drop
    }

    fn tried_notices(&mut self, body: &[u8], insert: &mut Vec<u8>) -> Act {
        let act = self.on_notice(Fields::new(body));
        let Some(tried) = self.tried() else {
            return act;
        };
        let (number, parsed) = (tried.number, tried.parsed);
        let act = match act {
            // What is said again says it again.
            Act::Forward if tried.holds_rows() => {
                tried.hold(backend::NOTICE_RESPONSE, body, insert)
            }
            other => other,
        };
        if !parsed {
            self.cache.forget(number);
        }
        act
    }

    fn tried_fails(&mut self, body: &[u8], insert: &mut Vec<u8>) -> Act {
        let fields = Fields::new(body);
        self.told_later = None;
        if fields.is_fatal() {
            self.ending = true;
        }
        let Some(tried) = self.tried() else {
            return Act::Forward;
        };
        let (number, parsed, bound) = (tried.number, tried.parsed, tried.bound);
        let is_told = tried.state == State::Told;
        let again = tried.at_rest && !is_told && !fields.is_fatal() && !is_wanted(fields);
        if again {
            tried.state = State::Missed;
        }
        // What of it was true is told before the error; its end is not.
        let mut held = std::mem::take(&mut tried.held);
        let (tries, read) = (tried.tries, tried.read.clone());
        if !bound {
            self.kept_never_ran((number, parsed), fields);
        }
        if again {
            return Act::Drop;
        }
        insert.append(&mut without_end(&mut held));
        if is_told && tries == Try::InOnePiece && !fields.is_fatal() && !is_wanted(fields) {
            // Sent as it is read otherwise, it may stand.
            self.cache.refuse(number);
            translate::write_one_piece_failed(insert);
            return Act::Drop;
        }
        let full = self.tried().and_then(|tried| tried.full.clone());
        self.note_error(&full, fields);
        let Some(reading) = read else {
            return Act::Forward;
        };
        let unnamed = self.without_kept_name(number, fields);
        let unnamed = unnamed.map(|told| with_field(fields, b'M', &told));
        let fields = unnamed.as_deref().map_or(fields, Fields::new);
        let pointed = self.tried_position(fields);
        let fields = pointed.as_deref().map_or(fields, Fields::new);
        if translate::error(fields, &reading, 0, insert) == Act::Forward {
            write_frame(insert, backend::ERROR_RESPONSE, |out| {
                for (code, value) in fields.iter() {
                    out.push(code);
                    out.extend_from_slice(value);
                    out.push(0);
                }
                out.push(0);
            });
        }
        Act::Drop
    }

    /// The error's body with the place that it would point to in the text with its constants.
    fn tried_position(&mut self, fields: Fields<'_>) -> Option<Vec<u8>> {
        let tried = self.tried()?;
        let By::Query = tried.by else {
            return None;
        };
        let reading = tried.read.as_ref()?;
        let Verdict::Rewritten(rewritten) = &reading.verdict else {
            return None;
        };
        let position = std::str::from_utf8(fields.value(b'P')?).ok()?.parse();
        let preparable = reading.preparable()?;
        let position = preparable.sent_position(position.ok()?, &rewritten.sql)?;
        Some(with_field(fields, b'P', &position.to_string()))
    }

    /// The server is ready: the client is told what is left, or its messages are read as they came.
    fn tried_is_ready(&mut self, body: &[u8], insert: &mut Vec<u8>) -> Result<Act, Violation> {
        let Some(Expect::Tried(tried)) = self.expects.pop_front() else {
            return self.out_of_order(backend::READY_FOR_QUERY);
        };
        let Tried {
            tries,
            by,
            read,
            full,
            frames,
            mut held,
            end,
            state,
            bound,
            ..
        } = *tried;
        self.expects.push_front(Expect::Sync);
        let missed = state == State::Missed;
        self.flight.came(tries, !missed);
        if missed {
            self.flight.is_barred = true;
            self.again.say_at_once(frames);
            self.on_ready(body)?;
            return Ok(Act::Drop);
        }
        self.count(&full);
        if !end.is_empty() {
            self.note_run(&full, &end, (false, true));
        }
        match by {
            By::Query => {}
            By::Messages { parses, .. } => {
                if let Some(body) = parses.filter(|_| bound) {
                    if let Some(full) = &full {
                        full.count();
                    }
                    self.unnamed_was_tried(&body);
                }
                let portal = Portal {
                    read,
                    ..Portal::default()
                };
                self.portals.bind(b"", portal);
            }
        }
        insert.append(&mut held);
        self.on_ready(body)
    }
}

/// Somebody wants it ended: it is not to begin anew.
fn is_wanted(fields: Fields<'_>) -> bool {
    fields.sqlstate().get(..2) == Some(b"57")
}

/// What was held back of an answer that ends with an error: no end of a statement.
fn without_end(held: &mut Vec<u8>) -> Vec<u8> {
    let mut kept = Vec::with_capacity(held.len());
    let mut rest = held.as_slice();
    while let Some(header) = crate::wire::frame::Header::read(rest) {
        let Some((frame, behind)) = rest.split_at_checked(header.frame_bytes()) else {
            break;
        };
        if header.tag != backend::COMMAND_COMPLETE {
            kept.extend_from_slice(frame);
        }
        rest = behind;
    }
    held.clear();
    kept
}
