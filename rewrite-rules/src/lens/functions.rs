//! The functions that a lens needs inside the database, installed by `crossfade prepare`.
//!
//! Dual writes call them from within the client's one statement. A volatile PL/pgSQL function
//! takes a fresh snapshot for each statement in it (at READ COMMITTED), so a delete that had to
//! wait for a backfill chunk sees the unified row that the chunk inserted; and its exception
//! block is the savepoint that `on_unified_error = "record"` needs. Their names carry a hash of
//! the lens: two generations of a rule file can be served side by side.

use std::hash::{Hash, Hasher};

use super::guarded::Guarded;
use super::recorded::{self, PASSES_ON};
use super::{
    Callers, ForeignKey, Function, LegacyColumn, Lens, Work, Written, quote_ident, quote_literal,
};

impl Lens {
    /// Everything that `crossfade prepare` creates for this lens, in the order to create it.
    #[must_use]
    pub fn functions(&self) -> Vec<Function> {
        if let Some(written) = &self.written {
            let mut all = self.written_functions(written);
            all.extend(self.guarded_functions());
            all.extend(self.look_functions());
            return all;
        }
        if self.in_place.is_some() {
            return vec![self.in_place_trigger()];
        }
        let works = Work::ALL.into_iter().map(|work| Function {
            name: self.function_name(work),
            ddl: self.function_ddl(work),
            callers: Callers::Writers,
        });
        let looks = self.look_functions().into_iter();
        self.guarded_functions().chain(looks).chain(works).collect()
    }

    /// The name of one of the lens's functions, as SQL.
    pub(crate) fn function_name(&self, work: Work) -> String {
        self.named(work.word())
    }

    /// The name of something of this lens in the schema `crossfade`.
    pub(super) fn named(&self, word: &str) -> String {
        let mut table = self.legacy.name.clone();
        while table.len() > LENS_NAME_BYTES_MAX {
            table.pop();
        }
        let name = format!("{word}_{table}_{:08x}", self.hash());
        format!("crossfade.{}", quote_ident(&name))
    }

    /// A stable hash of all that shapes the functions.
    pub(super) fn hash(&self) -> u32 {
        *self.composed.hash.get_or_init(|| {
            let base = self.hashed();
            match &self.written {
                Some(written) => self.hashed_with_references(base, written),
                None => base,
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
        match &self.written {
            None => self.put_from("x").hash(&mut hasher),
            Some(written) => {
                for step in written.put.iter().chain(&written.remove) {
                    step.name.hash(&mut hasher);
                    step.sql.hash(&mut hasher);
                }
                for step in &written.rekey {
                    ("rekey", &step.name, &step.sql).hash(&mut hasher);
                }
                for column in &self.columns {
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

    fn function_ddl(&self, work: Work) -> String {
        let images = format!("{}[]", self.legacy);
        let (parameters, statements, keys_of) = match work {
            Work::Put => (
                format!("cf_images {images}"),
                self.puts_from("unnest(cf_images)"),
                "cf_images",
            ),
            Work::Remove => (
                format!("cf_images {images}"),
                vec![
                    savepoint_probe(&self.put_absent_from("unnest(cf_images)")),
                    self.remove_from("unnest(cf_images)"),
                    self.leave_tombstones("unnest(cf_images)"),
                ],
                "cf_images",
            ),
            Work::Rekey => (
                format!("cf_olds {images}, cf_images {images}"),
                vec![
                    savepoint_probe(&self.put_absent_from("unnest(cf_olds)")),
                    self.rekey(),
                ],
                "cf_images",
            ),
            Work::Truncate => return self.truncate_function(&self.remove_all()),
            Work::Empty => return self.empty_function(&self.remove_all()),
            Work::PutLegacy => return self.put_legacy_function(),
            Work::RekeyLegacy => return self.rekey_legacy_function(),
            Work::HideLegacy => return self.hide_legacy_function(),
            Work::RemoveLegacy => return self.remove_legacy_function(),
        };
        let body: String = statements
            .iter()
            .map(|sql| format!("    {sql};\n"))
            .collect();
        let each = self.one_by_one(work);
        format!(
            "CREATE OR REPLACE FUNCTION {name}({parameters}, cf_record boolean) RETURNS boolean\n\
             LANGUAGE plpgsql VOLATILE AS $crossfade$\n\
             #variable_conflict use_column\n\
             DECLARE\n  cf_image {legacy};\n{declare}\
             BEGIN\n\
             \x20 IF cf_images IS NULL THEN RETURN true; END IF;\n\
             \x20 IF NOT cf_record THEN\n{body}    RETURN true;\n  END IF;\n{begin}\
             {all}{each}  RETURN true;\n\
             END\n$crossfade$",
            name = self.function_name(work),
            legacy = self.legacy,
            declare = recorded::DECLARE,
            begin = recorded::BEGIN,
            all = self.attempted(&statements.join(";\n    "), "RETURN true", "NULL"),
            each = each.replace("{keys}", keys_of),
        )
    }

    /// The legacy half of a write in `unified_read`.
    fn put_legacy_function(&self) -> String {
        let one = self.excused_one(
            &self.puts_legacy_from("unnest(ARRAY[cf_image])"),
            &[self.record("SQLERRM", "SQLSTATE")],
        );
        self.legacy_function(
            Work::PutLegacy,
            "",
            &self.excused("", &self.puts_legacy_from("unnest(cf_images)"), &each(&one)),
        )
    }

    /// The same of deleted rows.
    fn remove_legacy_function(&self) -> String {
        let work = self.removing_legacy();
        self.legacy_function(Work::RemoveLegacy, ", cf_record boolean", &work)
    }

    /// The body of a function that removes the legacy rows of `cf_images`.
    pub(super) fn removing_legacy(&self) -> String {
        let one = self.excused_one(
            &self.remove_legacy_from("unnest(ARRAY[cf_image])"),
            &[self.record("SQLERRM", "SQLSTATE")],
        );
        self.excused(
            "",
            &self.remove_legacy_from("unnest(cf_images)"),
            &each(&one),
        )
    }

    /// A function over legacy images of unified rows.
    pub(super) fn legacy_function(&self, work: Work, further: &str, body: &str) -> String {
        format!(
            "CREATE OR REPLACE FUNCTION {name}(cf_images {legacy}[]{further}) RETURNS boolean\n\
             LANGUAGE plpgsql VOLATILE AS $crossfade$\n\
             #variable_conflict use_column\n\
             DECLARE\n  cf_image {legacy};\n\
             BEGIN\n\
             \x20 IF cf_images IS NULL THEN RETURN true; END IF;\n{body}END\n$crossfade$",
            name = self.function_name(work),
            legacy = self.legacy,
        )
    }

    /// [`Lens::put_from`] as statements that follow each other, each with a snapshot of its own: an
    /// INSERT … ON CONFLICT would ask the policies for INSERT also where it updates.
    fn puts_from(&self, relation: &str) -> Vec<String> {
        if !self.row_security {
            return vec![self.put_from(relation)];
        }
        vec![
            self.update_from(relation),
            self.put_from(&Self::absent(
                relation,
                &self.unified.sql(),
                &self.key_join("cf_t", Self::IMAGE),
            )),
        ]
    }

    pub(super) fn puts_legacy_from(&self, relation: &str) -> String {
        if !self.row_security {
            return self.put_legacy_from(relation, None);
        }
        let others = self.columns.iter().filter(|column| !self.is_key(column));
        let names: Vec<&str> = others.map(|column| column.name.as_str()).collect();
        let absent = Self::absent(relation, &self.legacy.sql(), &self.same_legacy_key());
        format!(
            "{};\n    {}",
            self.update_legacy_from(relation, &names),
            self.put_legacy_from(&absent, None)
        )
    }

    fn update_from(&self, relation: &str) -> String {
        let others = self.columns.iter();
        let others = others.filter(|c| !self.is_key(c) && !c.is_computed_in_unified());
        let sets: Vec<String> = others
            .map(|column| {
                let image = format!("{}.{}", Self::IMAGE, quote_ident(&column.name));
                format!(
                    "{} = {}",
                    quote_ident(&column.unified),
                    column.put_value(&image)
                )
            })
            .collect();
        format!(
            "UPDATE {} AS {row} SET {} FROM {relation} AS {} WHERE {}",
            self.unified,
            sets.join(", "),
            Self::IMAGE,
            self.key_join(Self::ROW, Self::IMAGE),
            row = Self::ROW,
        )
    }

    /// The images in a relation that a table has no row for.
    fn absent(relation: &str, table: &str, same_key: &str) -> String {
        format!(
            "(SELECT {image}.* FROM {relation} AS {image} \
             WHERE NOT EXISTS (SELECT FROM {table} AS cf_t WHERE {same_key}))",
            image = Self::IMAGE,
        )
    }

    /// After a set-wise failure: row by row, so that only the rows that fail enter the ledger.
    fn one_by_one(&self, work: Work) -> String {
        let one = match work {
            Work::Put => self.puts_from("unnest(ARRAY[cf_image])").join(";\n      "),
            Work::Remove => {
                let probe = savepoint_probe(&self.put_absent_from("unnest(ARRAY[cf_image])"));
                let one = self.remove_from("unnest(ARRAY[cf_image])");
                format!(
                    "{probe};\n      {one};\n      {}",
                    self.leave_tombstones("unnest(ARRAY[cf_image])")
                )
            }
            // Keys that move in a set depend on each other: all of them are recorded.
            Work::Rekey
            | Work::PutLegacy
            | Work::RekeyLegacy
            | Work::RemoveLegacy
            | Work::HideLegacy
            | Work::Truncate
            | Work::Empty => {
                return format!(
                    "  FOREACH cf_image IN ARRAY cf_images LOOP\n    PERFORM {};\n  END LOOP;\n",
                    self.record("'the set of rows failed together'", "'CF000'")
                );
            }
        };
        let record = format!("PERFORM {}", self.record("SQLERRM", "SQLSTATE"));
        format!(
            "  FOREACH cf_image IN ARRAY cf_images LOOP\n{}  END LOOP;\n",
            self.recorded(&one, &record)
        )
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
        let keys: Vec<String> = self
            .legacy_key()
            .iter()
            .map(|key| format!("({image}).{key}::text"))
            .collect();
        format!("jsonb_build_array({})", keys.join(", "))
    }

    /// For the case that [`savepoint_probe`] could not look: a row that could not be put now may have been
    /// put by a chunk before. Its key is left for the backfill's sweep.
    pub(super) fn leave_tombstones(&self, images: &str) -> String {
        self.leave_tombstones_if("", images)
    }

    /// The same of a key that its row has left. A role that changes keys need not be one that may delete: it leaves
    /// none where it has looked (not `cf_unsure`).
    pub(super) fn leave_tombstones_behind(&self, images: &str) -> String {
        let tombstone = format!("{}({})", self.named("tombstone"), self.image_type());
        let may = format!(
            " AND (cf_unsure OR has_function_privilege({}, 'EXECUTE'))",
            quote_literal(&tombstone)
        );
        self.leave_tombstones_if(&may, images)
    }

    fn leave_tombstones_if(&self, and: &str, images: &str) -> String {
        format!(
            "IF current_setting('transaction_isolation') <> 'read committed'{and} THEN\n      \
             PERFORM {} FROM {images} AS {image};\n    END IF",
            self.call_guarded(Guarded::Tombstone, &self.image_row(Self::IMAGE)),
            image = Self::IMAGE,
        )
    }

    /// The rows under other keys, and as their images are, in one UPDATE: what refers to them, be it they themselves,
    /// follows when it is done, and is not to be put again as it was. Those that unified had no row of are put.
    fn rekey(&self) -> String {
        let written = self.columns.iter().filter(|c| !c.is_computed_in_unified());
        let sets: Vec<String> = written
            .map(|c| {
                let value = c.put_value(&format!("cf_new.{}", quote_ident(&c.name)));
                format!("{} = {value}", quote_ident(&c.unified))
            })
            .collect();
        let left = "(SELECT cf_left.* FROM unnest(cf_images) WITH ORDINALITY AS cf_left \
            WHERE cf_left.ordinality NOT IN (SELECT cf_moved.cf_at FROM cf_moved))";
        format!(
            "WITH cf_moved AS (UPDATE {} AS {row} SET {} FROM unnest(cf_olds) WITH ORDINALITY AS cf_old, \
             unnest(cf_images) WITH ORDINALITY AS cf_new \
             WHERE cf_old.ordinality = cf_new.ordinality AND {} RETURNING cf_new.ordinality AS cf_at) {}",
            self.unified,
            sets.join(", "),
            self.key_join(Self::ROW, "cf_old"),
            self.put_from(left),
            row = Self::ROW,
        )
    }
}

/// 63 bytes is PostgreSQL's limit for a name: that of a function is a word, this much of the table's, and the hash.
pub(crate) const LENS_NAME_BYTES_MAX: usize = 32;

fn each(one: &str) -> String {
    format!("  FOREACH cf_image IN ARRAY cf_images LOOP\n{one}  END LOOP;\n")
}

/// A delete or a key change at REPEATABLE READ cannot see the unified row that a backfill chunk
/// committed after its snapshot. It would leave a ghost, which `dual_read` shows until it is swept.
///
/// Putting the row again, where there is none, asks the unique indexes, which know better than the
/// snapshot: a row that it cannot see is a serialization failure (40001), and the client's next
/// attempt sees it. Where there is none at all, the row that this inserts is gone at once. A row
/// that cannot be put is no reason to fail: no chunk could put it either.
pub(super) fn savepoint_probe(put_absent: &str) -> String {
    savepoint_probe_or(put_absent, "")
}

/// The same, with what is done where it could not look.
pub(super) fn savepoint_probe_or(put_absent: &str, unsure: &str) -> String {
    format!(
        "IF current_setting('transaction_isolation') <> 'read committed' THEN\n      BEGIN\n        \
         {put_absent};\n      EXCEPTION WHEN OTHERS THEN\n    {passes_on}{unsure}      END;\n    END IF",
        passes_on = PASSES_ON.trim_end_matches(' '),
    )
}

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
