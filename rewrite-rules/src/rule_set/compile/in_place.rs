//! The sides of a table's rule, which for columns that move in place are one table.

use std::ops::Range;

use toml::Spanned;

use super::Reader;
use crate::lens::{LegacyColumn, TableName};
use crate::rule_file::TablePart;

impl Reader<'_> {
    /// The legacy table and the unified ones.
    pub(super) fn sides(&mut self, part: &TablePart) -> (Option<TableName>, Vec<TableName>) {
        let sides = [
            part.legacy.as_ref().map(Spanned::span),
            part.unified.as_ref().map(Spanned::span),
        ];
        if let Some(table) = &part.in_place {
            for span in sides.into_iter().flatten() {
                self.error(&span, "found this beside `in_place`, which is both sides");
            }
            let table = self.table_name(table);
            return (table.clone(), table.into_iter().collect());
        }
        if sides.contains(&None) {
            self.error(
                &part.key.span(),
                "the table lacks a side; expected `legacy` and `unified`, or `in_place`",
            );
        }
        let legacy = part.legacy.as_ref().and_then(|name| self.legacy_name(name));
        (legacy, self.unified_tables(part))
    }

    /// What a table that stays must say and must not say.
    pub(super) fn in_place_only(
        &mut self,
        part: &TablePart,
        table: &Spanned<String>,
        columns: &[LegacyColumn],
        key: &[usize],
    ) {
        let stray: Vec<Range<usize>> = part
            .visible
            .iter()
            .chain(&part.read)
            .chain(&part.when_hidden)
            .map(Spanned::span)
            .chain(part.constants.0.iter().map(|(name, _)| name.span()))
            .collect();
        for span in stray {
            self.error(
                &span,
                "found this beside `in_place`: the rows stay, only columns of them move",
            );
        }
        let moves = |column: &LegacyColumn| column.name != column.unified;
        if !columns.iter().any(moves) {
            let message = "no column moves; expected `unified = \"…\"` with one at least";
            self.error(&table.span(), message);
        }
        for column in columns.iter().filter(|column| !moves(column)) {
            if !column.is_same() {
                let message = format!(
                    "column `{}` changes and does not move; expected a new name for it",
                    column.name
                );
                self.error(&table.span(), &message);
            }
        }
        for column in key.iter().map(|&index| &columns[index]) {
            if moves(column) {
                let message = format!(
                    "the key column `{}` moves; expected it to stay",
                    column.name
                );
                self.error(&part.key.span(), &message);
            }
        }
    }
}
