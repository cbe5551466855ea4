//! A client's write to the legacy name once unified leads.
//!
//! Whoever writes locks the legacy row first (where legacy still follows) and then the rows that
//! `read` joins for its key, so that between looking again and putting nobody can interfere.

use super::{Call, Functions, templates, written};
use crate::lens::{Function, Part, quote_ident, quote_literal};

templates! {
    InsertOne "steps/insert_one.sql"
    Insert "steps/insert.sql"
    Change "steps/change.sql"
    Delete "steps/delete.sql"
    Lock "steps/lock.sql"
    LockOne "steps/lock_one.sql"
}

impl Functions<'_> {
    pub(super) fn client_functions(&self) -> [Function; 6] {
        let name = |call: Call| self.lens.call_name(call);
        [
            InsertOne::function(self, name(Call::InsertOne)),
            Insert::function(self, name(Call::Insert)),
            Change::function(self, name(Call::Change)),
            Delete::function(self, name(Call::Delete)),
            LockOne::function(self, name(Call::LockOne)),
            Lock::function(self, name(Call::Lock)),
        ]
    }

    /// The columns that a client may set, each with its name as a literal.
    fn settable(&self) -> Vec<(String, String)> {
        let columns = self.lens.columns.iter();
        columns
            .filter(|column| self.moves_keys() || !self.lens.is_key(column))
            .map(|column| (quote_ident(&column.name), quote_literal(&column.name)))
            .collect()
    }

    /// What is said of a row that its lens maps to nothing.
    fn not_read_back(&self) -> String {
        quote_literal(&format!(
            "a row of {} does not read back after it was put; its lens maps it to nothing",
            self.lens.legacy.name
        ))
    }

    /// Locks what `read` joins for a key: those rows that must be there.
    pub(super) fn inner_lock(&self, image: &str) -> Option<String> {
        let query = &self.written.query;
        let inner: Vec<String> = self
            .locked_parts()
            .filter(|part| !part.nullable)
            .map(|part| quote_ident(&part.alias))
            .collect();
        let conditions = self.conditions_on(image);
        (!inner.is_empty()).then(|| {
            let of = inner.join(", ");
            format!(
                "PERFORM 1 FROM {} WHERE {conditions} FOR UPDATE OF {of}",
                query.from
            )
        })
    }

    /// The same of each that need not be there: of what clients may write, since lenses lock the others' rows.
    pub(super) fn outer_locks(&self, image: &str) -> Vec<String> {
        let clients = |part: &&Part| self.written.tables.contains(&part.table);
        let conditions = self.conditions_on(image);
        let lock = |part: &Part| {
            let (from, alias) = (&part.from, quote_ident(&part.alias));
            format!("PERFORM 1 FROM {from} WHERE {conditions} FOR UPDATE OF {alias}")
        };
        let parts = self.locked_parts().filter(|part| part.nullable);
        parts.filter(clients).map(lock).collect()
    }

    fn locked_parts(&self) -> impl Iterator<Item = &Part> {
        let ours =
            |table| self.written.tables.contains(table) || self.written.crosswalk.contains(table);
        let parts = self.written.query.parts.iter();
        parts.filter(move |part| ours(&part.table))
    }

    fn conditions_on(&self, image: &str) -> String {
        let mut conditions = vec![self.lens.has_key_of(self.written, image)];
        conditions.extend(
            self.written
                .query
                .condition
                .iter()
                .map(|c| format!("({c})")),
        );
        conditions.join(" AND ")
    }
}
