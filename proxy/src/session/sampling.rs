//! Which reads are compared with their unified counterparts, beside the client's path.

use rewrite_rules::Verdict;

use super::expect::ReadAs;
use super::report::ShadowCandidate;
use super::{Pin, Session};
use crate::wire::frame::Header;
use crate::wire::frontend::Parse;

/// Binds larger than this are never copied for a shadow read.
const SHADOW_BIND_BYTES_MAX: usize = 64 * 1024;

/// The choice of what is compared.
#[derive(Debug)]
pub(super) struct Sampling {
    /// A statement that can be compared was seen: Binds are worth a look.
    pub comparable_statements: bool,
    /// The Bind that is being taken was chosen.
    pub compares_bind: bool,
    chance: u64,
}

impl Sampling {
    pub fn new(seed: u64) -> Sampling {
        Sampling {
            comparable_statements: false,
            compares_bind: false,
            chance: seed | 1,
        }
    }

    /// Whether one falls into a share of all, 0 to 1. xorshift: a sample needs no better.
    pub fn takes(&mut self, share: f64) -> bool {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let unit = (self.chance >> 11) as f64 / (1_u64 << 53) as f64;
        unit < share
    }
}

impl<P: Pin> Session<P> {
    /// Whether this Bind is wanted whole: some statement may be compared, and chance says so.
    #[inline]
    pub(super) fn samples_bind(&mut self, header: Header) -> bool {
        self.sample.comparable_statements
            && header.frame_bytes() <= SHADOW_BIND_BYTES_MAX
            && self.is_outside_block()
            && self.sample.takes(self.settings.shadow_sample)
    }

    pub(super) fn declared_types(&self, statement: &[u8]) -> Vec<u32> {
        let body = self.statements.get(statement).and_then(|s| s.body.as_ref());
        body.and_then(|body| Parse::read(body).ok())
            .map(|parse| parse.type_oids().collect())
            .unwrap_or_default()
    }
}

pub(super) fn is_comparable(read: &ReadAs) -> bool {
    match read.as_ref().map(|reading| &reading.verdict) {
        Some(Verdict::Rewritten(rewritten)) => rewritten.shadow.is_some(),
        Some(Verdict::PassThrough | Verdict::Refused(_)) | None => false,
    }
}

pub(super) fn candidate(
    read: &ReadAs,
    parameter_types: Vec<u32>,
    parameters: Vec<(i16, Option<Vec<u8>>)>,
) -> Option<Box<ShadowCandidate>> {
    let Verdict::Rewritten(rewritten) = &read.as_ref()?.verdict else {
        return None;
    };
    let pair = rewritten.shadow.as_ref()?;
    Some(Box::new(ShadowCandidate {
        migration: pair.migration.clone(),
        legacy: pair.legacy.clone(),
        unified: pair.unified.clone(),
        tables: pair.tables.clone(),
        foreign: pair.foreign,
        parameter_types,
        parameters,
    }))
}
