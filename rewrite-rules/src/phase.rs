//! The seven phases of a migration, in order, and the steps between them.

use std::fmt;
use std::str::FromStr;

/// Where a migration stands. The order of the variants is the order of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    LegacyOnly,
    DualWrite,
    ShadowRead,
    DualRead,
    UnifiedRead,
    UnifiedOnly,
    Retired,
}

impl Phase {
    pub const ALL: [Phase; 7] = [
        Phase::LegacyOnly,
        Phase::DualWrite,
        Phase::ShadowRead,
        Phase::DualRead,
        Phase::UnifiedRead,
        Phase::UnifiedOnly,
        Phase::Retired,
    ];

    /// The phase's name as rule files, metrics and the command line spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::LegacyOnly => "legacy_only",
            Phase::DualWrite => "dual_write",
            Phase::ShadowRead => "shadow_read",
            Phase::DualRead => "dual_read",
            Phase::UnifiedRead => "unified_read",
            Phase::UnifiedOnly => "unified_only",
            Phase::Retired => "retired",
        }
    }

    #[must_use]
    pub fn next(self) -> Option<Phase> {
        Phase::ALL.get(self as usize + 1).copied()
    }

    #[must_use]
    pub fn previous(self) -> Option<Phase> {
        (self as usize).checked_sub(1).map(|i| Phase::ALL[i])
    }

    /// Whether legacy names are read from the unified tables.
    #[must_use]
    pub fn reads_unified(self) -> bool {
        match self {
            Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead => false,
            Phase::DualRead | Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => true,
        }
    }

    /// Whether every write reaches both sides in one transaction.
    #[must_use]
    pub fn writes_both(self) -> bool {
        match self {
            Phase::DualWrite | Phase::ShadowRead | Phase::DualRead | Phase::UnifiedRead => true,
            Phase::LegacyOnly | Phase::UnifiedOnly | Phase::Retired => false,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Phase::ALL
            .into_iter()
            .find(|phase| phase.name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = Phase::ALL.iter().map(|p| p.name()).collect();
                format!("`{text}` is no phase; expected one of {}", names.join(", "))
            })
    }
}

/// What happens when the unified half of a dual write fails while the legacy half would succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnifiedError {
    /// The statement fails, nothing is written.
    Refuse,
    /// The unified half is rolled back, the legacy write stands, the keys enter the ledger.
    Record,
}

impl OnUnifiedError {
    /// As a rule file says it.
    pub(crate) const WORDS: [(&'static str, OnUnifiedError); 2] = [
        ("record", OnUnifiedError::Record),
        ("refuse", OnUnifiedError::Refuse),
    ];
}

/// What becomes of whoever writes the tables around the proxies, in the phases that depend on it that nobody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WritersAround {
    /// They are told of.
    Count,
    /// Their statements fail.
    Refuse,
    /// Nobody looks but once a second.
    Ignore,
}

impl WritersAround {
    /// As a rule file says it.
    pub(crate) const WORDS: [(&'static str, WritersAround); 3] = [
        ("count", WritersAround::Count),
        ("refuse", WritersAround::Refuse),
        ("ignore", WritersAround::Ignore),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_forward_has_its_step_back() {
        for phase in Phase::ALL {
            assert_eq!(phase.name().parse::<Phase>(), Ok(phase));
            if let Some(next) = phase.next() {
                assert_eq!(next.previous(), Some(phase));
            }
        }
        assert_eq!(Phase::LegacyOnly.previous(), None);
        assert_eq!(Phase::Retired.next(), None);
    }
}
