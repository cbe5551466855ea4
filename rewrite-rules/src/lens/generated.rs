//! Columns that fill themselves, on either side.
//!
//! ```text
//! full_name text GENERATED ALWAYS AS (first || ' ' || last) STORED
//! ```
//!
//! No statement gives such a column a value, so neither put writes it where it is computed. Where only
//! legacy computes it, unified's is a plain column, and what is written under the legacy name once unified
//! leads brings the value that legacy would have computed.

use super::{Generated, LegacyColumn, Lens, quote_ident, types};

impl Generated {
    fn is_expression(&self) -> bool {
        matches!(self, Generated::Expression(_))
    }
}

impl LegacyColumn {
    /// Whether the legacy table computes it: nobody writes it there.
    #[must_use]
    pub fn is_computed(&self) -> bool {
        self.generated
            .as_ref()
            .is_some_and(Generated::is_expression)
    }

    /// Whether no UPDATE of the legacy table can give it a value.
    #[must_use]
    pub fn is_never_set(&self) -> bool {
        match self.generated {
            None | Some(Generated::Identity { always: false }) => false,
            Some(Generated::Identity { always: true } | Generated::Expression(_)) => true,
        }
    }

    /// Whether the unified table computes it.
    #[must_use]
    pub fn is_computed_in_unified(&self) -> bool {
        let generated = self.unified_generated.as_ref();
        generated.is_some_and(Generated::is_expression)
    }

    /// Whether only a write under the legacy name can bring the value that legacy computes.
    #[must_use]
    pub fn is_brought(&self) -> bool {
        self.is_computed() && !self.is_computed_in_unified()
    }

    /// Whether the value is computed from a column.
    pub(crate) fn is_computed_from(&self, column: &LegacyColumn) -> bool {
        match &self.generated {
            Some(Generated::Expression(sql)) => sql.names(&column.name),
            Some(Generated::Identity { .. }) | None => false,
        }
    }
}

impl Lens {
    /// What legacy computes for a column, as SQL over the values that `value` gives of the others.
    pub(crate) fn computed(
        &self,
        column: &LegacyColumn,
        value: impl Fn(&LegacyColumn) -> String,
    ) -> Option<String> {
        let Some(Generated::Expression(sql)) = &column.generated else {
            return None;
        };
        let sql = sql.columns(|name| match self.column(name) {
            // A value gets its column's type before anything is computed from it.
            Some(other) => format!("({})", types::taken(&other.sql_type, &value(other))),
            None => quote_ident(name),
        });
        Some(format!("({sql})::{}", column.sql_type))
    }

    /// The same over a row image in scope under a name.
    pub(crate) fn computed_of(&self, column: &LegacyColumn, image: &str) -> Option<String> {
        self.computed(column, |other| {
            format!("{image}.{}", quote_ident(&other.name))
        })
    }

    /// Legacy columns that an UPDATE which changes nothing can set to themselves: the key, if it may be set.
    pub(crate) fn touched_columns(&self) -> Vec<String> {
        let fixed = self.key_columns().any(LegacyColumn::is_never_set);
        let free = self.columns.iter().find(|column| !column.is_never_set());
        match free.filter(|_| fixed) {
            Some(column) => vec![quote_ident(&column.name)],
            None => self.legacy_key(),
        }
    }

    /// Counts, among some legacy rows, those whose computed value is not what the rule file says.
    #[must_use]
    pub fn count_computed_otherwise(&self, column: &LegacyColumn) -> Option<String> {
        const ROWS_MAX: u32 = 10_000;
        let image = Self::IMAGE;
        let computed = self.computed_of(column, image)?;
        let stored = format!("{image}.{}", quote_ident(&column.name));
        Some(format!(
            "SELECT count(*) FROM (SELECT * FROM {} LIMIT {ROWS_MAX}) AS {image} WHERE {}",
            self.legacy,
            column.legacy_differs(&stored, &computed)
        ))
    }

    /// The columns whose values writes under the legacy name bring to unified once it leads.
    pub(crate) fn brought(&self) -> impl Iterator<Item = &LegacyColumn> {
        self.columns.iter().filter(|column| column.is_brought())
    }
}
