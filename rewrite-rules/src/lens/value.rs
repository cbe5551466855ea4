//! A value on its way between a legacy column and its unified one, either way.
//!
//! ```text
//! id integer, unified bigint:
//! read   CASE WHEN cf_u."id" >= -2147483648 AND … THEN (cf_u."id")::integer ELSE NULL::integer END
//! put    ((cf_n."id")::integer)::bigint
//! ```
//!
//! What is put goes through the legacy column's type as by assignment, so what legacy never let in is
//! the error that it was. A unified value that legacy cannot hold has no legacy image, as one without
//! a legacy word has none: it is neither cut nor an error of every read.

use super::types::{self, Held, VALUE};
use super::{Cast, LegacyColumn, Over, quote_literal, without_modifier};
use crate::failure::Failure;
use crate::lens::list;
use crate::text::splice::Output;

impl Cast {
    /// `at time zone '…'` between a type with a time zone and one without.
    pub(crate) fn at_time_zone(zone: &str, legacy: &str, unified: &str) -> Option<Cast> {
        let zone = quote_literal(zone);
        let moved = |from: &str| Over::of(&format!("({VALUE})::{from} AT TIME ZONE {zone}"));
        Some(match types::zoned(legacy, unified)? {
            true => Cast {
                to_unified: moved("timestamp with time zone"),
                to_legacy: moved("timestamp without time zone"),
            },
            false => Cast {
                to_unified: moved("timestamp without time zone"),
                to_legacy: moved("timestamp with time zone"),
            },
        })
    }
}

impl LegacyColumn {
    /// The legacy value, as SQL over the unified value.
    pub(crate) fn read_value(&self, unified_value: &str) -> String {
        if self.values.is_empty() {
            if self.is_same() {
                return unified_value.to_owned();
            }
            let legacy = self.as_legacy(unified_value);
            return match self.held().over(unified_value) {
                // Without a type of its own NULL would take the modifier and the domain from the whole.
                Some(held) => format!(
                    "(CASE WHEN {held} THEN {legacy} ELSE NULL::{} END)",
                    self.sql_type
                ),
                None => legacy,
            };
        }
        // The column gives its literals their type, and the first result gives it to the others, but no modifier.
        let modified = without_modifier(&self.sql_type) != self.sql_type;
        let mut sql = format!("CASE {unified_value}");
        for (number, (legacy, unified)) in self.values.iter().enumerate() {
            let (found, told) = (quote_literal(unified), quote_literal(legacy));
            sql += &match number > 0 && !modified {
                true => format!(" WHEN {found} THEN {told}"),
                false => format!(" WHEN {found} THEN {told}::{}", self.sql_type),
            };
        }
        if modified {
            sql += &format!(" ELSE NULL::{}", self.sql_type);
        }
        sql + " END"
    }

    /// The unified value, as SQL over the legacy value. A legacy value without a unified one is an
    /// error at run time: NULL in its place would be a lost value.
    pub(crate) fn put_value(&self, legacy_value: &str) -> String {
        if self.values.is_empty() {
            return if self.is_same() {
                legacy_value.to_owned()
            } else {
                self.as_unified(&types::taken(&self.sql_type, legacy_value))
            };
        }
        let lost = quote_literal(&format!("{} {} = ", Failure::Unmapped.said(), self.name));
        // NULL takes the last arm too and stays NULL; anything else fails its cast with these words.
        format!(
            "CASE {legacy_value}{} ELSE ({lost} || ({legacy_value})::text)::integer::text::{} END",
            self.value_arms(),
            self.unified_type
        )
    }

    /// The unified value to search for, as SQL over a legacy value; NULL, which no comparison
    /// finds, for a legacy value that has none.
    pub(crate) fn search_value(&self, legacy_value: impl Into<Output>) -> Output {
        let mut case = Output::from("CASE ");
        case.append(legacy_value.into());
        case.own(&self.value_arms()).own(" END");
        case
    }

    fn value_arms(&self) -> String {
        // What is looked for may be any expression of the client's: with a type on each literal a
        // wrong one is told as an operator that does not exist, not as a value that is no number.
        let mut sql = String::new();
        for (number, (legacy, unified)) in self.values.iter().enumerate() {
            let (found, told) = (quote_literal(legacy), quote_literal(unified));
            sql += &format!(" WHEN {found}::{} THEN {told}", self.sql_type);
            if number == 0 {
                sql += &format!("::{}", self.unified_type);
            }
        }
        sql
    }

    /// The unified values that have a legacy image, as a SQL condition; `None` when all have.
    pub(super) fn has_image(&self, unified_value: &str) -> Option<String> {
        if !self.values.is_empty() {
            let list = list(
                self.values
                    .iter()
                    .map(|(_, unified)| quote_literal(unified)),
            );
            return Some(format!(
                "({unified_value} IN ({}) OR {unified_value} IS NULL)",
                list
            ));
        }
        let held = self.held().over(unified_value)?;
        Some(format!("({held} OR {unified_value} IS NULL)"))
    }

    /// Whether both sides hold the same values in the same type.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.values.is_empty() && self.cast.is_none() && self.sql_type == self.unified_type
    }

    /// Which unified values the legacy column can hold, of a column without mapped values.
    #[must_use]
    pub fn held(&self) -> Held {
        match (&self.holds, &self.cast) {
            (Some(condition), _) => Held::If(condition.clone()),
            (None, None) => types::held(&self.sql_type, &self.unified_type),
            // What comes back as it was.
            (None, Some(_))
                if types::zoned(&self.sql_type, &self.unified_type).is_some()
                    && types::loses(&self.unified_type, &self.sql_type) =>
            {
                let there = self.as_unified(&self.as_legacy(VALUE));
                Held::If(Over::of(&format!("{VALUE} = {there}")))
            }
            (None, Some(_)) => Held::All,
        }
    }

    /// A legacy value as a unified one, of a column without mapped values.
    #[must_use]
    pub fn as_unified(&self, legacy_value: &str) -> String {
        // Without a modifier: a cast to it would cut what an assignment does not let in.
        let unified = without_modifier(&self.unified_type);
        match &self.cast {
            None => format!("({legacy_value})::{unified}"),
            Some(cast) => {
                let value = cast.to_unified.over(legacy_value);
                format!("({value})::{unified}")
            }
        }
    }

    /// A unified value as a legacy one, of a column without mapped values; one that it can hold.
    #[must_use]
    pub fn as_legacy(&self, unified_value: &str) -> String {
        match &self.cast {
            None => format!("({unified_value})::{}", self.sql_type),
            Some(cast) => {
                let value = cast.to_legacy.over(unified_value);
                format!("({value})::{}", self.sql_type)
            }
        }
    }
}
