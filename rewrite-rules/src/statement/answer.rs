//! How the server's answers become the client's.

/// How the server's answer to one statement becomes the client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Replace the server's command tag (`SELECT n`, `INSERT 0 n`) by this verb and the same count.
    pub tag: Option<TagVerb>,
    /// The client's statement returns no rows, the rewritten one does: they are dropped, and
    /// Describe answers `NoData`.
    pub hide_rows: bool,
    /// A statement of our own: the client hears nothing of its end.
    pub silent: bool,
    /// Such a one comes behind it, and its end is told with that one's: as the last of its text it is told when the
    /// transaction has ended.
    pub later: bool,
}

impl Answer {
    /// To a statement of our own.
    pub(super) const OF_OURS: Answer = Answer {
        tag: None,
        hide_rows: true,
        silent: true,
        later: false,
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagVerb {
    /// `INSERT 0 n`
    Insert,
    /// `UPDATE n`
    Update,
    /// `DELETE n`
    Delete,
    /// `MERGE n`
    Merge,
    /// `COPY n`
    Copy,
    /// `TRUNCATE TABLE`
    Truncate,
}

impl TagVerb {
    /// The command tag for a number of rows.
    #[must_use]
    pub fn tag(self, rows: u64) -> String {
        match self {
            TagVerb::Insert => format!("INSERT 0 {rows}"),
            TagVerb::Update => format!("UPDATE {rows}"),
            TagVerb::Delete => format!("DELETE {rows}"),
            TagVerb::Merge => format!("MERGE {rows}"),
            TagVerb::Copy => format!("COPY {rows}"),
            TagVerb::Truncate => "TRUNCATE TABLE".to_owned(),
        }
    }
}
