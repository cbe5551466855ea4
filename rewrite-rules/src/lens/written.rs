//! A lens whose SQL the operator wrote: a legacy row split over several unified rows, or merged
//! into a row that was there.
//!
//! Its `read` is a query like any other. Its `put` and `remove` are statements that follow each
//! other, so they run in functions (`functions`), one row image after the other, each statement
//! with a snapshot of its own: two images of one chunk may meet in the same unified row.

mod functions;
mod trial;

pub(crate) use functions::Call;
pub use trial::RekeyTrial;

use super::{LegacyColumn, Lens, Part, TableName, Work, Written, quote_ident};
use crate::lens::{all_of, list};
use crate::text::splice::Output;

impl Written {
    /// The part of a unified table in the legacy rows; `None`: it has none, or an unclear one.
    #[must_use]
    pub fn part_of(&self, table: &TableName) -> Option<&Part> {
        let mut parts = self.query.parts.iter().filter(|part| part.table == *table);
        let part = parts.next()?;
        (parts.next().is_none() && part.of_rows.is_some()).then_some(part)
    }

    /// Whether keys may change.
    #[must_use]
    pub fn can_rekey(&self) -> bool {
        !self.rekey.is_empty()
    }

    /// Whether a legacy column (by its place) is read from a column of a row that is always there.
    pub(crate) fn is_plain(&self, column: usize) -> bool {
        let sql = &self.query.columns[column];
        let word = |text: &str| {
            text.chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '"')
        };
        let Some((alias, name)) = sql.split_once('.') else {
            return false;
        };
        let alias = alias.trim_matches('"');
        let mut parts = self.query.parts.iter();
        word(name) && parts.any(|part| part.alias == alias && !part.nullable)
    }

    /// Whether a write that is no DELETE may delete from a table.
    pub(super) fn puts_by_deleting(&self, table: &TableName) -> bool {
        let mut steps = self.put.iter().chain(&self.rekey);
        steps.any(|step| step.deletes.as_ref() == Some(table))
    }

    /// Whether `read` names a table at all.
    #[must_use]
    pub fn reads(&self, table: &TableName) -> bool {
        self.query.parts.iter().any(|part| part.table == *table)
    }

    /// Whether rows of `read` can be locked where it stands: not if an outer join is in it.
    #[must_use]
    pub fn is_lockable(&self) -> bool {
        !self.query.parts.iter().any(|part| part.nullable)
    }
}

impl Lens {
    /// The legacy table's primary key, as PostgreSQL names it.
    pub(crate) fn key_constraint(&self) -> String {
        // A name has 63 bytes at most.
        let mut table = self.legacy.name.as_str();
        while table.len() > 63 - "_pkey".len() {
            table = &table[..table.floor_char_boundary(table.len() - 1)];
        }
        format!("{table}_pkey")
    }

    /// The type of a row image in the lens's functions.
    pub(crate) fn image_type(&self) -> String {
        match self.has_own_images() {
            false => self.legacy.sql(),
            true => self.named("image"),
        }
    }

    /// `read` of a written lens, with further conditions.
    pub(super) fn read_written(&self, written: &Written, conditions: &[String]) -> String {
        self.read_written_with(written, conditions, &[])
    }

    /// The same with further columns.
    pub(super) fn read_written_with(
        &self,
        written: &Written,
        conditions: &[String],
        more: &[String],
    ) -> String {
        let columns = self.columns.iter().zip(&written.query.columns);
        let items = list(
            columns
                .map(|(column, sql)| column_item(column, sql))
                .chain(more.iter().cloned()),
        );
        let mut all: Vec<String> = written
            .query
            .condition
            .iter()
            .map(|condition| format!("({condition})"))
            .collect();
        all.extend_from_slice(conditions);
        let mut sql = format!("SELECT {} FROM {}", items, written.query.from);
        if !all.is_empty() {
            sql += &format!(" WHERE {}", all.join(" AND "));
        }
        sql
    }

    /// `read` of a written lens as the operator wrote it, before its columns get the legacy types.
    #[must_use]
    pub fn read_as_written(&self) -> Option<String> {
        let query = &self.steps()?.query;
        let columns = self.columns.iter().zip(&query.columns);
        let items =
            list(columns.map(|(column, sql)| format!("{sql} AS {}", quote_ident(&column.name))));
        let mut sql = format!("SELECT {} FROM {}", items, query.from);
        if let Some(condition) = &query.condition {
            sql += &format!(" WHERE {condition}");
        }
        Some(sql)
    }

    /// `read` of the one row that has the key of an image in scope.
    fn read_of(&self, written: &Written, image: &str) -> String {
        self.read_written(written, &[self.has_key_of(written, image)])
    }

    pub(super) fn has_key_of(&self, written: &Written, image: &str) -> String {
        all_of(
            written
                .query
                .key
                .iter()
                .zip(self.legacy_key())
                .map(|(sql, key)| format!("{sql} = ({image}).{key}")),
        )
    }

    /// The legacy keys (as images with nothing else in them) that rows of a unified table have a
    /// part in.
    pub(crate) fn keys_of_rows(
        &self,
        written: &Written,
        part: &Part,
        rows: impl Into<Output>,
    ) -> Output {
        let keys = list(
            self.key_columns()
                .zip(&written.query.key)
                .map(|(column, sql)| column_item(column, sql)),
        );
        let condition = match &written.query.condition {
            Some(condition) => format!(" WHERE {condition}"),
            None => String::new(),
        };
        let mut found = Output::from(format!("SELECT {} FROM ", keys));
        if let Some(from) = &part.of_rows {
            found.append(from.around(&rows.into()));
        }
        found.own(&condition);
        found
    }

    /// An image with nothing but the key of a row in scope.
    pub(crate) fn key_image(&self, row: &str) -> String {
        let keys = self.legacy_key();
        self.key_image_of(|at| format!("{row}.{}", keys[at]))
    }

    /// An image with nothing but a key, whose columns are given in the key's order.
    pub(crate) fn key_image_of(&self, value: impl Fn(usize) -> String) -> String {
        let columns = self.columns.iter().map(|column| {
            let at = self.key_columns().position(|key| key.name == column.name);
            at.map_or("NULL".to_owned(), &value)
        });
        let columns = list(columns);
        format!("ROW({})::{}", columns, self.image_type())
    }

    /// An image's columns, by the legacy table's names and of its types.
    pub(crate) fn image_fields(&self, image: &str) -> String {
        let columns = self.columns.iter().map(|column| {
            let name = quote_ident(&column.name);
            column_item(column, &format!("({image}).{name}"))
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    /// A call of one of the functions that take images.
    pub(crate) fn call(&self, call: Call, arguments: &str) -> String {
        format!("{}({arguments})", self.call_name(call))
    }

    pub(crate) fn call_name(&self, call: Call) -> String {
        self.named(call.word())
    }

    /// The images in a relation as one array.
    pub(crate) fn images_in(&self, relation: &str) -> String {
        format!(
            "(SELECT array_agg({}) FROM {relation} AS {})",
            self.image_row(Self::IMAGE),
            Self::IMAGE
        )
    }

    /// [`Lens::copy`] of a written lens: `put` takes those rows that read back differently.
    pub(super) fn copy_written(&self, rows: &str) -> String {
        let same = self.same_key("cf_u", Self::IMAGE);
        let done = format!(
            "SELECT 1 FROM ({}) AS cf_u WHERE {} AND NOT ({})",
            self.read_judged(),
            same,
            self.any_difference(Self::IMAGE, "cf_u")
        );
        let put = format!(
            "SELECT CASE WHEN {}(array_agg({}), false) THEN count(*) END FROM cf_due AS {}",
            self.function_name(Work::Put),
            self.image_row(Self::IMAGE),
            Self::IMAGE
        );
        self.chunk(
            &format!(
                "{rows}, cf_due AS MATERIALIZED (SELECT * FROM cf_rows AS {} WHERE NOT EXISTS ({done}))",
                Self::IMAGE
            ),
            &put,
        )
    }

    /// [`Lens::copy_back`] of a written lens.
    pub(super) fn copy_back_written(&self, condition: &str) -> String {
        let rows = format!(
            "cf_rows AS MATERIALIZED (SELECT * FROM ({}) AS {} WHERE {condition})",
            self.read(),
            Self::IMAGE
        );
        let put = format!(
            "SELECT CASE WHEN {} THEN count(*) END FROM cf_rows AS {}",
            self.call(
                Call::Sync,
                &format!(
                    "array_agg({}), NULL, true, true, false",
                    self.image_row(Self::IMAGE)
                )
            ),
            Self::IMAGE
        );
        self.chunk(&rows, &put)
    }

    /// What a chunk did: its rows, how many were put, and how many left the ledger.
    fn chunk(&self, rows: &str, put: &str) -> String {
        format!(
            "WITH {rows}, \
             {settled} \
             SELECT (SELECT count(*) FROM cf_rows), ({put}), (SELECT count(*) FROM cf_settled)",
            settled = self.settled(),
        )
    }

    /// [`Lens::remove_ghosts`] of a written lens: yields no count of its own, so the removed rows
    /// are what the statement selects.
    pub(super) fn remove_ghosts_written(&self, relation: &str) -> String {
        let same = |left: &str| self.same_key(left, Self::IMAGE);
        let ghosts = format!(
            "(SELECT {image}.* FROM ({}) AS {image} JOIN {relation} AS cf_g ON {} \
             WHERE NOT EXISTS (SELECT 1 FROM {} AS cf_l WHERE {}))",
            self.read(),
            same("cf_g"),
            self.legacy,
            same("cf_l"),
            image = Self::IMAGE,
        );
        format!(
            "SELECT 1 FROM {ghosts} AS {} WHERE {}(ARRAY[{}], false)",
            Self::IMAGE,
            self.function_name(Work::Remove),
            self.image_row(Self::IMAGE),
        )
    }
}

/// A legacy column of a query, from what it is read from.
fn column_item(column: &LegacyColumn, sql: &str) -> String {
    format!(
        "({sql})::{} AS {}",
        column.sql_type,
        quote_ident(&column.name)
    )
}
