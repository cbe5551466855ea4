//! The functions that a lens needs inside the database, installed by `crossfade prepare`.
//!
//! Dual writes call them from within the client's one statement. A volatile PL/pgSQL function
//! takes a fresh snapshot for each statement in it (at READ COMMITTED), so a delete that had to
//! wait for a backfill chunk sees the unified row that the chunk inserted; and its exception
//! block is the savepoint that `on_unified_error = "record"` needs. Their names carry a hash of
//! the lens: two generations of a rule file can be served side by side.

mod columns;

use crate::lens::list;
use std::hash::{Hash, Hasher};

use super::guarded::Guarded;
use super::model::Kind;
use super::{ForeignKey, Function, LegacyColumn, Lens, Work, Written, quote_ident, quote_literal};

impl Lens {
    /// Everything that `crossfade prepare` creates for this lens, in the order to create it.
    #[must_use]
    pub fn functions(&self) -> Vec<Function> {
        match &self.kind {
            Kind::Columns(_) => self.functions_by_columns(),
            Kind::Steps(written) => {
                let mut all = self.written_functions(written);
                all.extend(self.guarded_functions());
                all.extend(self.look_functions());
                all
            }
            Kind::InPlace(_) => vec![self.in_place_trigger()],
        }
    }

    /// The name of one of the lens's functions, as SQL.
    pub(crate) fn function_name(&self, work: Work) -> String {
        self.named(work.word())
    }

    /// The name of something of this lens in the schema `crossfade`.
    pub(super) fn named(&self, word: &str) -> String {
        format!("crossfade.{}", self.bare_name(word))
    }

    /// The same without the schema.
    pub(super) fn bare_name(&self, word: &str) -> String {
        let mut table = self.legacy.name.clone();
        while table.len() > LENS_NAME_BYTES_MAX {
            table.pop();
        }
        quote_ident(&format!("{word}_{table}_{:08x}", self.hash()))
    }

    /// A stable hash of all that shapes the functions.
    pub(super) fn hash(&self) -> u32 {
        *self.composed.hash.get_or_init(|| {
            let base = self.hashed();
            match &self.kind {
                Kind::Steps(written) => self.hashed_with_references(base, written),
                Kind::Columns(_) | Kind::InPlace(_) => base,
            }
        })
    }

    /// With the foreign keys that lenses see to, whose functions are those of two lenses.
    fn hashed_with_references(&self, base: u32, written: &Written) -> u32 {
        let keys = written.foreign_keys.iter();
        let held: Vec<(&ForeignKey, &Lens)> = keys
            .filter_map(|key| Some((key, key.holder.as_deref()?)))
            .chain(written.referrers.iter().map(|r| (&r.key, &*r.child)))
            .collect();
        if held.is_empty() {
            return base;
        }
        let mut hasher = Fnv::default();
        base.hash(&mut hasher);
        for (key, other) in held {
            (&key.name, &key.columns, &key.referred).hash(&mut hasher);
            (key.on_delete, key.on_update, key.deferral).hash(&mut hasher);
            other.hashed().hash(&mut hasher);
        }
        let wide = hasher.finish();
        (wide ^ (wide >> 32)) as u32
    }

    fn hashed(&self) -> u32 {
        let mut hasher = Fnv::default();
        FORM.hash(&mut hasher);
        self.migration.hash(&mut hasher);
        self.read().hash(&mut hasher);
        for column in self.columns.iter().filter(|c| c.generated.is_some()) {
            (&column.name, &column.generated).hash(&mut hasher);
        }
        if self.row_security {
            "row_security".hash(&mut hasher);
        }
        self.hidden_rows().hash(&mut hasher);
        match &self.kind {
            Kind::Columns(_) => {
                self.put_from("x").hash(&mut hasher);
                self.constraints.hash(&mut hasher);
            }
            Kind::InPlace(_) => self.put_from("x").hash(&mut hasher),
            Kind::Steps(written) => {
                for step in written.put.iter().chain(&written.remove) {
                    step.name.hash(&mut hasher);
                    step.sql.hash(&mut hasher);
                }
                for step in &written.rekey {
                    ("rekey", &step.name, &step.sql).hash(&mut hasher);
                }
                for column in self.columns.iter() {
                    (column.lossy, column.not_null).hash(&mut hasher);
                }
                if self.columns.iter().any(LegacyColumn::may_be_domain) {
                    "images of base types".hash(&mut hasher);
                }
                written.query.lossy.hash(&mut hasher);
                self.key.hash(&mut hasher);
                for check in &written.checks {
                    (&check.name, &check.sql).hash(&mut hasher);
                }
            }
        }
        let wide = hasher.finish();
        (wide ^ (wide >> 32)) as u32
    }

    /// The statement that does so with the error that a handler has.
    pub(super) fn recording(&self) -> String {
        format!("PERFORM {}", self.record("SQLERRM", "SQLSTATE"))
    }

    pub(super) fn record(&self, reason: &str, sqlstate: &str) -> String {
        self.record_of("cf_image", reason, sqlstate)
    }

    /// A call that enters the key of an image into the ledger.
    pub(super) fn record_of(&self, image: &str, reason: &str, sqlstate: &str) -> String {
        self.call_guarded(Guarded::Record, &format!("{image}, {reason}, {sqlstate}"))
    }

    /// The key of a legacy image as a JSON array of texts, for the ledgers.
    #[must_use]
    pub fn key_json(&self, image: &str) -> String {
        let keys = list(
            self.legacy_key()
                .iter()
                .map(|key| format!("({image}).{key}::text")),
        );
        format!("jsonb_build_array({})", keys)
    }

    /// A call that leaves the key of an image in scope for the backfill's sweep.
    pub(super) fn leave_tombstone(&self) -> String {
        self.call_guarded(Guarded::Tombstone, &self.image_row(Self::IMAGE))
    }

    /// Whether the caller may leave one: a role that changes keys need not be one that may delete.
    pub(super) fn may_leave_tombstone(&self) -> String {
        let tombstone = format!("{}({})", self.named("tombstone"), self.image_type());
        format!(
            "has_function_privilege({}, 'EXECUTE')",
            quote_literal(&tombstone)
        )
    }
}

/// 63 bytes is PostgreSQL's limit for a name: that of a function is a word, this much of the table's, and the hash.
pub(crate) const LENS_NAME_BYTES_MAX: usize = 32;

/// To be changed with the parameters of a function: an older version of Crossfade calls those of its own.
const FORM: u8 = 2;

/// FNV-1a, whose value is the same in every build (the standard hasher promises nothing).
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
