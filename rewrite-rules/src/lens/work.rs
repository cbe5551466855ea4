//! What a lens has done by functions in the database.

/// A function to create: its name as SQL, and the `CREATE OR REPLACE FUNCTION` text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub ddl: String,
    pub callers: Callers,
}

/// Which side failed or which effect is wanted; the word in the function's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Legacy images into unified rows.
    Put,
    /// Unified rows of deleted legacy rows.
    Remove,
    /// Old and new legacy images, in step: moves the unified rows to their new keys, then puts.
    Rekey,
    /// Legacy images of unified rows into legacy, once unified decides.
    PutLegacy,
    /// Legacy images of unified rows whose keys changed, with those of before.
    RekeyLegacy,
    /// Legacy rows of deleted unified rows.
    RemoveLegacy,
    /// Legacy rows of hidden unified rows.
    HideLegacy,
    /// Unified rows that an INSERT … ON CONFLICT DO NOTHING has passed over.
    Skipped,
    /// All rows, on both sides.
    Truncate,
    /// All unified rows that legacy readers see, once nobody writes legacy any more.
    Empty,
}

impl Work {
    pub(super) const ALL: [Work; 10] = [
        Work::Put,
        Work::Remove,
        Work::Rekey,
        Work::PutLegacy,
        Work::RekeyLegacy,
        Work::RemoveLegacy,
        Work::HideLegacy,
        Work::Skipped,
        Work::Truncate,
        Work::Empty,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Work::Put => "put",
            Work::Remove => "remove",
            Work::Rekey => "rekey",
            Work::PutLegacy => "put_legacy",
            Work::RekeyLegacy => "rekey_legacy",
            Work::RemoveLegacy => "remove_legacy",
            Work::HideLegacy => "hide_legacy",
            Work::Skipped => "skipped",
            Work::Truncate => "truncate",
            Work::Empty => "empty",
        }
    }
}

/// Who may execute a function: the roles that hold the matching right on the lens's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// The server alone, as a trigger's.
    Nobody,
    /// Whoever may write the legacy table or a unified one.
    Writers,
    /// Whoever may delete legacy rows or change their keys, and delete rows of every unified table.
    Deleters,
}
