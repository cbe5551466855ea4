//! Values for columns that fill themselves, once unified leads: what PostgreSQL takes and what it refuses.
//!
//! ```text
//! id integer GENERATED ALWAYS AS IDENTITY
//!
//! INSERT … (id) VALUES (7)                            428C9
//! INSERT … (id) OVERRIDING USER VALUE VALUES (7)      the default
//! INSERT … (id) OVERRIDING SYSTEM VALUE VALUES (7)    7
//! UPDATE … SET id = 7                                 428C9
//! ```

use super::Says;
use super::set_query::Value;
use crate::lens::{Generated, LegacyColumn};
use crate::refuse;
use crate::rewrite::expression::is_default;
use crate::statement::{GENERATED_ALWAYS, Refusal};
use crate::text::tokens::Tokens;
use crate::text::tree::Tree;

/// What an INSERT says of values for columns that fill themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::rewrite) enum Overriding {
    Neither,
    User,
    System,
}

impl Overriding {
    /// Of an INSERT, or of that action of a MERGE.
    pub fn of(insert: &Tree) -> Overriding {
        use pg_query::protobuf::OverridingKind;
        match insert.int("override") {
            user if user == i64::from(OverridingKind::OverridingUserValue as i32) => {
                Overriding::User
            }
            system if system == i64::from(OverridingKind::OverridingSystemValue as i32) => {
                Overriding::System
            }
            _neither => Overriding::Neither,
        }
    }
}

impl<'a> Says<'_, 'a> {
    /// Whether a value that an INSERT gives for a column is used; `defaults`: it is DEFAULT in every row.
    pub(in crate::rewrite) fn uses(
        &self,
        column: &LegacyColumn,
        overriding: Overriding,
        defaults: bool,
    ) -> Result<bool, Refusal> {
        let refused = |hint: &str| {
            Err(Refusal {
                sqlstate: GENERATED_ALWAYS,
                message: format!(
                    "cannot insert a non-DEFAULT value into column \"{}\"",
                    column.name
                ),
                hint: hint.to_owned(),
                position: None,
            })
        };
        match (&column.generated, overriding) {
            (None, _) => Ok(true),
            (Some(Generated::Identity { .. }), Overriding::User) => Ok(false),
            (Some(Generated::Identity { always: true }), Overriding::Neither) if !defaults => {
                refused("Use OVERRIDING SYSTEM VALUE to override.")
            }
            (Some(Generated::Identity { .. }), _) => Ok(true),
            (Some(Generated::Expression(_)), _) if defaults => Ok(false),
            (Some(Generated::Expression(_)), _) => refused(""),
        }
    }

    /// Fails where a SET gives a column a value that only takes DEFAULT.
    pub(in crate::rewrite) fn sets_default(
        &self,
        column: &LegacyColumn,
        value: Option<&Tokens<'a>>,
    ) -> Result<(), Refusal> {
        let only_default = match column.generated {
            None | Some(Generated::Identity { always: false }) => false,
            Some(Generated::Identity { always: true } | Generated::Expression(_)) => true,
        };
        if only_default && value.is_some_and(is_default) {
            if self.mirrors() && !column.is_computed() {
                return Err(refuse::unsupported(
                    &format!(
                        "DEFAULT for {}, which is GENERATED ALWAYS AS IDENTITY, in an UPDATE",
                        column.name
                    ),
                    &self.target.table_name(),
                    "Legacy takes no number but one that it draws itself.",
                ));
            }
            return Ok(());
        }
        if !only_default {
            return Ok(());
        }
        let message = format!("column \"{}\" can only be updated to DEFAULT", column.name);
        Err(refuse::mistake(GENERATED_ALWAYS, message, None))
    }

    /// Fails where the values of before and after that a computed column depends on are not at hand.
    pub(in crate::rewrite) fn brings_nothing(
        &self,
        sets: &[(&LegacyColumn, Value<'a>)],
        what: &str,
    ) -> Result<(), Refusal> {
        let set = |column: &LegacyColumn| {
            let mut sets = sets.iter();
            sets.any(|(set, _)| set.name == column.name || column.is_computed_from(set))
        };
        let computed = sets
            .iter()
            .map(|(column, _)| *column)
            .find(|c| c.is_computed());
        match computed.or_else(|| self.lens.brought().find(|column| set(column))) {
            None => Ok(()),
            Some(column) => Err(refuse::unsupported(
                &format!(
                    "{what} of what the generated column {} is computed from, once reads are unified,",
                    column.name
                ),
                &self.target.table_name(),
                "Set it by an UPDATE.",
            )),
        }
    }
}
