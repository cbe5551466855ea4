//! A COPY from the client that is prepared: it reads into a staging table, and the statements around it
//! run in the same flight, unseen.
//!
//! ```text
//! Execute ‹COPY t FROM STDIN›   →  Close, Close, Parse, Bind, Execute CREATE TEMPORARY TABLE cf_copy
//!                                  Execute ‹COPY pg_temp.cf_copy FROM STDIN›
//! CopyData …                    →  CopyData …
//! CopyDone                      →  CopyDone
//!                                  Close, Close, Parse, Bind, Execute INSERT … SELECT … FROM pg_temp.cf_copy
//!                                  Close, Close, Parse, Bind, Execute DROP TABLE pg_temp.cf_copy
//! ```
//!
//! No Sync stands between them: they are one transaction, and what fails ends them all. Whether the
//! COPY has begun must be known before the client's CopyDone is taken, so its input waits until then. The
//! name is closed before it is used, for what failed left it.

use std::sync::Arc;

use rewrite_rules::{Around, Verdict};

use super::expect::{Expect, ReadAs, RunningText};
use super::lane::Act;
use super::{Pin, Session, context};
use crate::wire::frame::Header;
use crate::wire::frontend::{self, BindNames, DescribeTarget, Execute, Parse};

/// The statement and the portal of ours.
const NAME: &[u8] = b"cf_staging";

/// Which of [`rewrite_rules::Rewritten::answers`] the client's own statement has.
pub(super) const OWN: u32 = 1;

/// What is run around a prepared statement.
fn around(read: &ReadAs) -> Option<&Around> {
    match &read.as_ref()?.verdict {
        Verdict::Rewritten(rewritten) => rewritten.around.as_ref(),
        Verdict::PassThrough | Verdict::Refused(_) => None,
    }
}

/// Whether statements of ours are run beside a prepared one.
pub(super) fn is_beside_others(read: &ReadAs) -> bool {
    around(read).is_some() || context::of(read).is_some()
}

impl<P: Pin> Session<P> {
    /// What goes before the client's Execute; `false` where nothing does.
    pub(super) fn stages(&mut self, read: &ReadAs, insert: &mut Vec<u8>) -> bool {
        let Some(around) = around(read) else {
            return false;
        };
        self.stage(read, 0, &around.before, insert);
        self.hold();
        true
    }

    /// The end of the client's data: behind it what becomes of the rows.
    pub(super) fn client_completes_copy(&mut self, header: Header, insert: &mut Vec<u8>) -> Act {
        let read = match self.expects.front() {
            Some(Expect::Execute(run)) if self.is_copying_in() => run.read.clone(),
            _ => None,
        };
        self.client_ends_copy();
        let (Some(around), 4) = (around(&read), header.length) else {
            return Act::Forward;
        };
        frontend::write_bare(insert, frontend::COPY_DONE);
        for (statement, sql) in (OWN + 1..).zip(&around.after) {
            self.stage(&read, statement, sql, insert);
        }
        Act::Drop
    }

    pub(super) fn stage(&mut self, read: &ReadAs, statement: u32, sql: &str, insert: &mut Vec<u8>) {
        frontend::write_close(insert, DescribeTarget::Statement(NAME));
        frontend::write_close(insert, DescribeTarget::Portal(NAME));
        let parse = Parse {
            name: NAME,
            text: sql.as_bytes(),
            types: &[0; 2],
        };
        frontend::write_parse(insert, parse);
        let names = BindNames {
            portal: NAME,
            statement: NAME,
        };
        frontend::write_bind(insert, names);
        let execute = Execute {
            portal: NAME,
            rows_max: 0,
        };
        frontend::write_execute(insert, execute);
        let run = RunningText {
            statement,
            ..self.run(read.as_ref().map(Arc::clone), None)
        };
        self.expects.push_back(Expect::Staging(run));
    }
}
