//! Fences: what a statement carries so that the database itself can refuse it once its phase is over.
//!
//! Each epoch of a migration (each step, each change of its rules) has an empty table in a schema of its own. A
//! statement of that epoch names it in a WITH query that nobody reads:
//!
//! ```text
//! UPDATE iso_agents SET …
//! WITH cf_fence AS (SELECT FROM crossfade_e7_iso_agents.fence FOR KEY SHARE) UPDATE …
//! ```
//!
//! PostgreSQL plans and runs nothing of it, and asks for no right to the table; but to read the text, and at each use of a
//! kept plan, it locks the table until the end of the transaction. Whoever closes the epoch waits for these locks, and
//! renames the schema: what comes behind fails before it has touched a row, whichever proxy it comes from.

use crate::lens::{TableName, quote_ident};

/// What stands before the number in the name of a schema whose epoch is open.
pub const OPEN: &str = "crossfade_e";
/// The same once it is closed, until it is gone. What stands behind the number nobody can know before.
pub const CLOSED: &str = "crossfade_closed_e";
/// The name of a migration is there for whoever reads `pg_locks`; the number alone tells epochs apart.
const MIGRATION_BYTES_MAX: usize = 25;
/// The table in it.
pub const TABLE: &str = "fence";
/// The function that is there beside it for as long as legacy rows follow every write, where unified leads. Nobody calls it; a
/// table could not be dropped while somebody dumps the database.
pub const IN_STEP: &str = "in_step";

/// An epoch of a migration: a number that is no other's in the database, and only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Epoch {
    /// The schema of its fence while it is open.
    #[must_use]
    pub fn schema(self, migration: &str) -> String {
        format!("{OPEN}{self}{}", Epoch::behind(migration))
    }

    /// What stands behind the number.
    #[must_use]
    pub fn behind(migration: &str) -> String {
        let mut name = migration;
        while name.len() > MIGRATION_BYTES_MAX {
            let cut = name.char_indices().next_back().map_or(0, |(at, _)| at);
            name = &name[..cut];
        }
        format!("_{name}")
    }

    /// Its fence.
    #[must_use]
    pub fn table(self, migration: &str) -> TableName {
        self.named(migration, TABLE)
    }

    /// What says that legacy is in step.
    #[must_use]
    pub fn in_step(self, migration: &str) -> TableName {
        self.named(migration, IN_STEP)
    }

    fn named(self, migration: &str, table: &str) -> TableName {
        TableName {
            schema: self.schema(migration),
            name: table.to_owned(),
        }
    }
}

/// How long a migration's rules hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Held {
    /// For as long as the rule file says so: nobody asks the database.
    #[default]
    ByFile,
    /// While the database has this epoch open.
    In(Epoch),
    /// The database could not be asked.
    Unknown,
}

/// What the WITH query of ours is made of.
pub(crate) fn query(name: &str, fence: &TableName) -> String {
    format!(
        "{name} AS (SELECT FROM {}.{TABLE} FOR KEY SHARE)",
        quote_ident(&fence.schema)
    )
}

/// A statement that locks a fence and does nothing else.
#[must_use]
pub fn locked(fence: &TableName) -> String {
    format!("WITH {} SELECT", query("cf_fence", fence))
}

/// What stands in every text that carries a fence of this migration, of whichever epoch.
#[must_use]
pub fn carried_by(migration: &str) -> String {
    format!("{}\".{TABLE} FOR KEY SHARE", Epoch::behind(migration))
}

/// Whether an error's message says that a fence is not there. The name stands in it, in whatever language and whatever
/// quotation marks that one has.
#[must_use]
pub fn is_missing(message: &str) -> bool {
    message.match_indices(OPEN).any(|(at, _)| {
        let in_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let begins = !message[..at].ends_with(in_a_name);
        begins && message[at + OPEN.len()..].starts_with(|c: char| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_named_after_its_epoch_and_its_migration_within_the_servers_limit() {
        assert_eq!(Epoch(7).schema("iso_agents"), "crossfade_e7_iso_agents");
        let long = Epoch(i64::MAX).schema(&"é".repeat(100));
        assert!(long.len() <= 63, "{long}");
        assert_eq!(
            Epoch(7).table("Agents").sql(),
            "\"crossfade_e7_Agents\".\"fence\""
        );
    }

    #[test]
    fn a_text_that_carries_a_fence_shows_whose_it_is() {
        let text = locked(&Epoch(7).table("iso_agents"));
        assert!(text.contains(&carried_by("iso_agents")), "{text}");
        assert!(!text.contains(&carried_by("iso_agent")), "{text}");
        let long = "n".repeat(100);
        assert!(locked(&Epoch(7).table(&long)).contains(&carried_by(&long)));
    }

    #[test]
    fn a_message_about_a_fence_is_known_in_any_language_and_no_other_is() {
        assert!(is_missing(
            "relation \"crossfade_e7_iso_agents.fence\" does not exist"
        ));
        for message in [
            "Relation »crossfade_e7_x.fence« existiert nicht",
            "la relation « crossfade_e7_x.fence » n'existe pas",
            "no existe la relación «crossfade_e7_x.fence»",
            "リレーション\"crossfade_e7_x.fence\"は存在しません",
        ] {
            assert!(is_missing(message), "{message}");
        }
        assert!(!is_missing(
            "relation \"not_crossfade_e7_x.fence\" does not exist"
        ));
        assert!(!is_missing("relation \"crossfade_events\" does not exist"));
        assert!(!is_missing("relation \"iso_agents\" does not exist"));
    }
}
