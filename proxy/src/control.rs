//! Crossfade's own work in the application's database: its schema, who serves what, and what is
//! drained.
//!
//! It asks lenses for their SQL and never composes a mapping itself; it never sees a client's
//! statement.

pub mod alone;
pub mod around;
pub mod called;
pub(crate) mod callers;
pub mod canary;
pub(crate) mod catalog;
pub mod client_role;
pub mod connection;
pub mod coverage;
pub mod deliveries;
pub mod direct;
pub mod drain;
pub mod epochs;
pub mod error;
pub mod events;
pub mod functions;
pub mod gate;
pub mod grants;
pub mod guard;
pub mod history;
pub mod hold;
pub mod instances;
pub mod ledger;
mod lock;
pub mod named;
pub(crate) mod neighbours;
pub(crate) mod origins;
mod passfile;
pub mod phase_file;
pub mod plans;
pub mod primary;
pub mod recording;
pub mod refused;
pub mod report;
pub mod results;
pub(crate) mod rights;
pub mod said;
pub mod schema;
pub mod seal;
pub mod stand_in;
pub mod statements;
pub mod tenants;
mod url;

pub use alone::alone;
pub use connection::{Control, connect, flush_counters, snapshot};
pub use error::ControlError;

/// A table's name, `"schema"."table"`, as people write it: quotes only where they are needed. Where
/// they are, it stays as it is, for it may be part of a statement that somebody is to run.
#[must_use]
pub fn shown(table: &str) -> String {
    let plain = |part: &str| {
        let letter = |c: char| c.is_ascii_lowercase() || c == '_';
        part.starts_with(letter) && part.chars().all(|c| letter(c) || c.is_ascii_digit())
    };
    let inner = table.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    match inner {
        Some(inner) if inner.split("\".\"").all(plain) => inner.replace("\".\"", "."),
        Some(_) | None => table.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_shown_name_means_the_same_table() {
        for (sql, expected) in [
            ("\"public\".\"iso_agents\"", "public.iso_agents"),
            ("\"a.b\".\"c\"", "\"a.b\".\"c\""),
            ("\"public\".\"a\"\"b\"", "\"public\".\"a\"\"b\""),
            ("\"public\".\"Odd\"", "\"public\".\"Odd\""),
            ("\"public\".\"1st\"", "\"public\".\"1st\""),
            ("public.already", "public.already"),
        ] {
            assert_eq!(shown(sql), expected);
        }
    }
}
