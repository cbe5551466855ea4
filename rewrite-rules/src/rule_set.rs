//! A compiled set of rule files: what one generation of the proxy works with.

use std::fmt;
use std::path::PathBuf;

use crate::lens::Lens;
use crate::phase::Phase;

/// A rule file's path (for messages) and its text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: String,
}

/// What happens when the unified half of a dual write fails while the legacy half would succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnifiedError {
    /// The statement fails, nothing is written.
    Refuse,
    /// The unified half is rolled back, the legacy write stands, the keys enter the ledger.
    Record,
}

#[derive(Debug)]
pub struct Migration {
    pub name: String,
    pub phase: Phase,
    pub file: PathBuf,
    pub on_unified_error: OnUnifiedError,
    pub tables: Vec<Lens>,
}

#[derive(Debug)]
pub struct RuleSet {
    migrations: Vec<Migration>,
}

/// Everything wrong with a set of rule files, each with file, line, column and what was expected.
#[derive(Debug)]
pub struct RuleErrors(pub Vec<String>);

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for RuleErrors {}

impl RuleSet {
    #[must_use]
    pub fn empty() -> RuleSet {
        RuleSet {
            migrations: Vec::new(),
        }
    }

    pub fn compile(_files: Vec<SourceFile>) -> Result<RuleSet, RuleErrors> {
        Ok(RuleSet::empty())
    }

    #[must_use]
    pub fn migrations(&self) -> &[Migration] {
        &self.migrations
    }

    /// Whether the bytes spell a managed name or a word that the session must look at.
    #[must_use]
    pub fn must_read(&self, _text: &[u8]) -> bool {
        false
    }
}
