//! One migration as its rule file declares it, and where it stands.

use std::path::PathBuf;
use std::sync::Arc;

use crate::fence::{Epoch, Held};
use crate::lens::{Lens, TableName};
use crate::phase::{OnUnifiedError, Phase, WritersAround};

/// A rule file's path (for messages) and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct Migration {
    pub name: String,
    pub phase: Phase,
    pub file: PathBuf,
    /// The database whose tables these are; `None`: that of the control connection.
    pub database: Option<String>,
    /// What the rule file says; `None` leaves it to the phase.
    pub(crate) declared_policy: Option<OnUnifiedError>,
    pub writers_around: WritersAround,
    /// DDL of tables that tie both sides together, for `crossfade prepare`.
    pub prepare: Option<String>,
    pub tables: Vec<Lens>,
    pub functions: Vec<RenamedFunction>,
    /// Where each tenant has its tables in a schema of its own: how they are listed.
    pub tenants: Option<ListedBy>,
    /// Why the tables are not what the rule file says: what would be rewritten is refused.
    pub misfit: Option<String>,
    /// Its statements carry the fence of its epoch.
    pub held: Held,
    /// The unified half of a write waits for nobody longer than half of the time after which PostgreSQL looks for a
    /// deadlock: its failure is no failure of the write's, which is sent again.
    pub(crate) is_tried: bool,
    /// The rule file's text.
    pub text: Arc<str>,
}

/// How a rule file lists the tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBy {
    /// A query of two columns: a schema, and what stands in the discriminator of its rows.
    pub query: String,
    /// The setting that row security looks at.
    pub context: Option<String>,
}

/// A function under its legacy and its unified signature.
#[derive(Clone, Debug)]
pub struct RenamedFunction {
    pub legacy: Signature,
    pub unified: Signature,
}

impl RenamedFunction {
    #[must_use]
    pub fn is_renamed(&self) -> bool {
        self.legacy.name != self.unified.name
    }

    #[must_use]
    pub fn renames_arguments(&self) -> bool {
        self.legacy.arguments != self.unified.arguments
    }
}

/// A function's name and the names of its arguments, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub name: TableName,
    pub arguments: Vec<String>,
}

impl Migration {
    /// The table that its statements name so that the database can refuse them once their epoch is over.
    #[must_use]
    pub fn fence(&self) -> Option<TableName> {
        Some(self.epoch()?.table(&self.name))
    }

    /// The function that is there while nothing stale can be in legacy, where unified leads.
    pub(crate) fn in_step(&self) -> Option<TableName> {
        Some(self.epoch()?.in_step(&self.name))
    }

    /// Whether writes under the unified names are held to the epoch although nothing is done about them in this phase:
    /// in others they reach legacy.
    pub(crate) fn holds_unified_writes(&self) -> bool {
        !self.phase.writes_both() && self.held != Held::ByFile
    }

    /// The epoch that is in force, where the database keeps it.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        match self.held {
            Held::In(epoch) => Some(epoch),
            Held::ByFile | Held::Unknown => None,
        }
    }

    /// The tables that are left in the end. One whose columns move in place is not, and whoever
    /// writes it writes both columns.
    pub fn left_behind(&self) -> impl Iterator<Item = &Lens> {
        let tables = self.tables.iter();
        tables.filter(|lens| !lens.is_one_table() && !lens.is_of_any_tenant())
    }

    /// What happens when only the unified half of a write fails: as the rule file says, else
    /// recorded while legacy answers the reads, refused once reads depend on unified.
    #[must_use]
    pub fn on_unified_error(&self) -> OnUnifiedError {
        self.declared_policy.unwrap_or(match self.phase {
            Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead => OnUnifiedError::Record,
            Phase::DualRead | Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => {
                OnUnifiedError::Refuse
            }
        })
    }
}
