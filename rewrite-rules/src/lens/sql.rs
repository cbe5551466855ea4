//! The SQL of a one-to-one lens, derived from its column table.

use super::{LegacyColumn, Lens, Work, quote_ident, quote_literal};
use crate::failure::Failure;
use crate::lens::{all_of, list};
use crate::text::splice::Output;

impl Lens {
    /// The query over the unified table that yields the legacy rows: names, order and types as
    /// in the legacy shape.
    #[must_use]
    pub fn read(&self) -> String {
        match self.steps() {
            Some(written) => self.read_written(written, &[]),
            None => self.read_from(&self.unified.sql()),
        }
    }

    /// [`Lens::read`] with further conditions over the unified row [`Lens::ROW`].
    pub(crate) fn read_where(&self, conditions: &[Output]) -> Output {
        let mut read = Output::from(self.read());
        let mut has_some = match self.steps() {
            Some(written) => written.query.condition.is_some(),
            None => !self.row_is_visible().is_empty(),
        };
        for condition in conditions {
            read.own(if has_some { " AND " } else { " WHERE " });
            read.append(condition.clone());
            has_some = true;
        }
        read
    }

    /// [`Lens::read`] over a relation of unified row images in place of the table.
    #[must_use]
    pub fn read_from(&self, relation: &str) -> String {
        let mut sql = self.images(relation);
        let visible = self.row_is_visible();
        if !visible.is_empty() {
            sql += &format!(" WHERE {}", visible.join(" AND "));
        }
        sql
    }

    /// [`Lens::read_from`] over rows that were written under the legacy name: an error where one of them is none
    /// of the table's any more.
    pub(crate) fn read_back_from(&self, relation: &str) -> String {
        let images = self.images(relation);
        match self.visible_condition(Self::ROW) {
            None => images,
            Some(visible) => {
                let key = self.legacy_key_of(Self::ROW);
                let lost = Failure::Lost.unless_true(&format!("(ROW({key}) IS NULL)::text"));
                format!("{images} WHERE CASE WHEN {visible} THEN true ELSE {lost} END")
            }
        }
    }

    /// Whether a row may be none of the legacy table's any more once these of its columns are written.
    pub(crate) fn may_lose<'c>(&self, mut written: impl Iterator<Item = &'c LegacyColumn>) -> bool {
        self.visible()
            .is_some_and(|visible| written.any(|column| visible.loses.contains(&column.unified)))
    }

    /// In `dual_read`: [`Lens::read`] plus the legacy rows that the unified table lacks, each of
    /// them counted by `crossfade.fell_back`.
    #[must_use]
    pub fn read_with_fallback(&self) -> String {
        format!("{}{}", self.read(), self.fallback())
    }

    /// What [`Lens::read_with_fallback`] reads of legacy.
    pub(crate) fn fallback(&self) -> String {
        let columns = list(
            self.columns
                .iter()
                .map(|column| format!("cf_l.{}", quote_ident(&column.name))),
        );
        let (unified, join, first_key) = self.key_match("cf_m", "cf_l");
        let filter = [
            format!("cf_m.{first_key} IS NULL"),
            // Its argument comes from the outer side of the join, so the planner cannot call it
            // before it knows that the row is missing.
            format!(
                "crossfade.fell_back({}, cf_m.{first_key}::text)",
                quote_literal(&self.migration)
            ),
        ];
        format!(
            " UNION ALL SELECT {} FROM {} AS cf_l LEFT JOIN {} AS cf_m ON {join} WHERE {}",
            columns,
            self.legacy,
            unified,
            filter.join(" AND ")
        )
    }

    /// What to join legacy rows with to see whether unified has them, how, and a column of it that
    /// is never NULL.
    fn key_match(&self, row: &str, image: &str) -> (String, String, String) {
        if self.is_row_for_row() {
            let first = self.unified_key().into_iter().next().unwrap_or_default();
            return (self.unified.sql(), self.key_join(row, image), first);
        }
        let join = self.same_key(row, image);
        let first = self.legacy_key().into_iter().next().unwrap_or_default();
        (format!("({})", self.read()), join, first)
    }

    /// The upsert into the unified table from a relation of legacy row images.
    ///
    /// Constants are set on a first put only: later they belong to the unified side.
    #[must_use]
    pub fn put_from(&self, relation: &str) -> String {
        if self.is_one_table() {
            return self.move_columns(relation, false);
        }
        self.put_those(&self.insert_from(relation))
    }

    /// [`Lens::put_from`] that waits for nobody as long as PostgreSQL does before it looks for a deadlock, as the functions
    /// do that record what fails (`recorded`). Not longer than the client would wait, either. The legacy rows have been
    /// written by then, and the statement's transaction ends with it: so does the setting.
    pub fn put_patiently_from(&self, relation: &str) -> String {
        const MS: &str = "greatest(1, least(\
            extract(epoch FROM pg_catalog.current_setting('deadlock_timeout')::interval) * 500, \
            nullif(extract(epoch FROM pg_catalog.current_setting('lock_timeout')::interval), 0) * 1000))";
        let patient =
            format!("pg_catalog.set_config('lock_timeout', pg_catalog.ceil({MS})::text, true)");
        self.put_those(&format!(
            "{} WHERE {patient} IS NOT NULL",
            self.insert_from(relation)
        ))
    }

    fn put_those(&self, insert: &str) -> String {
        format!(
            "{insert} ON CONFLICT ({}) DO {}",
            self.unified_arbiter().join(", "),
            on_conflict_action(
                self.columns
                    .iter()
                    .filter(|c| !self.is_key(c) && !c.is_computed_in_unified())
                    .map(|c| c.unified.as_str())
            ),
        )
    }

    /// A statement that puts every image in a relation, whatever kind of lens it is.
    #[must_use]
    pub fn put_all_from(&self, relation: &str) -> String {
        if self.is_row_for_row() {
            return self.put_from(relation);
        }
        let put = self.function_name(Work::Put);
        format!("SELECT {put}({}, false)", self.images_in(relation))
    }

    /// [`Lens::put_from`] for those images alone that no unified row stands in the way of.
    #[must_use]
    pub fn put_absent_from(&self, relation: &str) -> String {
        format!("{} ON CONFLICT DO NOTHING", self.insert_from(relation))
    }

    fn insert_from(&self, relation: &str) -> String {
        let values = self.unified_values();
        let (targets, sources): (Vec<String>, Vec<String>) = values.into_iter().unzip();
        format!(
            "INSERT INTO {} AS cf_t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {relation} AS {}",
            self.unified,
            targets.join(", "),
            sources.join(", "),
            Self::IMAGE,
        )
    }

    /// A query for what an insert of each image in a relation would write, by the unified names.
    /// Of lenses that are derived from columns of two tables.
    #[must_use]
    pub fn unified_rows_of(&self, relation: &str) -> String {
        let values = self.unified_values().into_iter();
        let named = list(values.map(|(target, source)| format!("{source} AS {target}")));
        format!("SELECT {} FROM {relation} AS {}", named, Self::IMAGE)
    }

    /// Columns of the unified table, and SQL for each over an image.
    fn unified_values(&self) -> Vec<(String, String)> {
        let written = self.columns.iter().filter(|c| !c.is_computed_in_unified());
        let of_columns = written.map(|c| {
            let image = format!("{}.{}", Self::IMAGE, quote_ident(&c.name));
            (quote_ident(&c.unified), c.put_value(&image))
        });
        let constants = self.constants().iter();
        let of_constants = constants.map(|c| (quote_ident(&c.unified), c.sql.clone()));
        of_columns.chain(of_constants).collect()
    }

    /// The upsert into the legacy table from a relation of legacy row images. Of a row that is
    /// there already only the columns in `set` change; `None` means all of them.
    #[must_use]
    pub fn put_legacy_from(&self, relation: &str, set: Option<&[&str]>) -> String {
        if self.is_one_table() {
            return self.move_columns_back(relation);
        }
        let written = || self.columns.iter().filter(|c| !c.is_computed());
        let names: Vec<String> = written().map(|c| quote_ident(&c.name)).collect();
        let sources = list(names.iter().map(|name| format!("{}.{name}", Self::IMAGE)));
        let changed = written()
            .filter(|c| {
                !self.is_key(c)
                    && !c.is_never_set()
                    && set.is_none_or(|set| set.contains(&c.name.as_str()))
            })
            .map(|c| c.name.as_str());
        format!(
            "INSERT INTO {} AS cf_t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {relation} AS {} ON CONFLICT ({}) DO {}",
            self.legacy,
            names.join(", "),
            sources,
            Self::IMAGE,
            self.legacy_key().join(", "),
            on_conflict_action(changed),
        )
    }

    /// The delete of unified rows whose legacy images are in a relation. A unified row that has
    /// no legacy image (it is not visible) is somebody else's and stays.
    #[must_use]
    pub fn remove_from(&self, relation: &str) -> String {
        let mut conditions = vec![self.key_join(Self::ROW, Self::IMAGE)];
        conditions.extend(self.row_is_visible());
        format!(
            "DELETE FROM {} AS {} USING {relation} AS {} WHERE {}",
            self.unified,
            Self::ROW,
            Self::IMAGE,
            conditions.join(" AND ")
        )
    }

    /// The delete of legacy rows whose images are in a relation.
    #[must_use]
    pub fn remove_legacy_from(&self, relation: &str) -> String {
        format!(
            "DELETE FROM {} AS cf_t USING {relation} AS {} WHERE {}",
            self.legacy,
            Self::IMAGE,
            self.same_legacy_key()
        )
    }

    /// The key columns of the legacy table, quoted, in key order.
    #[must_use]
    pub fn legacy_key(&self) -> Vec<String> {
        self.key_columns().map(|c| quote_ident(&c.name)).collect()
    }

    /// The key columns of the unified table, quoted, in key order.
    #[must_use]
    pub fn unified_key(&self) -> Vec<String> {
        self.key_columns()
            .map(|c| quote_ident(&c.unified))
            .collect()
    }

    /// `unified row = legacy image` on the key, with both relations in scope under these names.
    #[must_use]
    pub fn key_join(&self, row: &str, image: &str) -> String {
        let keys = self.key_columns().map(|c| {
            let legacy = format!("{image}.{}", quote_ident(&c.name));
            format!(
                "{row}.{} = {}",
                quote_ident(&c.unified),
                c.put_value(&legacy)
            )
        });
        let own = self.is_of_tenant(row).into_iter();
        own.chain(keys).collect::<Vec<_>>().join(" AND ")
    }

    /// A legacy row image in scope under a name, as one value of the legacy table's row type.
    #[must_use]
    pub fn image_row(&self, image: &str) -> String {
        let columns = list(
            self.columns
                .iter()
                .map(|c| format!("{image}.{}", quote_ident(&c.name))),
        );
        format!("ROW({})::{}", columns, self.image_type())
    }

    /// A condition that removes the legacy rows whose images are in a relation.
    #[must_use]
    pub fn remove_legacy_call(&self, relation: &str) -> String {
        format!(
            "(SELECT {}(array_agg({}), false) FROM {relation} AS {})",
            self.function_name(Work::RemoveLegacy),
            self.image_row(Self::IMAGE),
            Self::IMAGE
        )
    }

    /// A condition that puts the images in a relation into legacy, once unified decides.
    #[must_use]
    pub fn put_legacy_call(&self, relation: &str) -> String {
        format!(
            "(SELECT {}(array_agg({})) FROM {relation} AS {})",
            self.function_name(Work::PutLegacy),
            self.image_row(Self::IMAGE),
            Self::IMAGE
        )
    }

    /// Legacy images of the unified rows in a relation that have none to show: the opposite of
    /// [`Lens::read_from`], of use for their keys.
    #[must_use]
    pub fn hidden_from(&self, relation: &str) -> String {
        let visible = self.row_is_visible();
        let hidden = if visible.is_empty() {
            "false".to_owned()
        } else {
            format!("({}) IS NOT TRUE", visible.join(" AND "))
        };
        format!("{} WHERE {hidden}", self.images(relation))
    }

    /// The results that tell of a unified row in scope under a name whether legacy readers see it, by
    /// its key.
    #[must_use]
    pub fn was_shown(&self, row: &str) -> String {
        let keys = self.unified_key();
        let keys = list(keys.iter().map(|key| format!("{row}.{key}")));
        format!(
            "{}, {} AS cf_shown",
            keys,
            self.visible_condition(row).unwrap_or("true".to_owned())
        )
    }

    /// Those rows of a relation of unified rows that were not shown before, as a relation of
    /// [`Lens::was_shown`] tells.
    #[must_use]
    pub fn shown_among(&self, relation: &str, was: &str) -> String {
        let keys = self.unified_key();
        let same = all_of(keys.iter().map(|key| format!("cf_w.{key} = cf_r.{key}")));
        format!(
            "(SELECT cf_r.* FROM {relation} AS cf_r WHERE NOT EXISTS \
             (SELECT 1 FROM {was} AS cf_w WHERE {} AND cf_w.cf_shown))",
            same
        )
    }

    /// The update of legacy rows that are there, in some columns, from a relation of images.
    #[must_use]
    pub fn update_legacy_from(&self, relation: &str, set: &[&str]) -> String {
        let never_set = |name: &str| self.column(name).is_some_and(LegacyColumn::is_never_set);
        let written = set.iter().filter(|name| !never_set(name));
        let mut sets: Vec<String> = written
            .map(|name| quote_ident(name))
            .map(|name| format!("{name} = {}.{name}", Self::IMAGE))
            .collect();
        if sets.is_empty() {
            // What legacy computes follows from the rest: the row is written as it is.
            let touched = self.touched_columns().into_iter();
            sets.extend(touched.map(|name| format!("{name} = cf_t.{name}")));
        }
        format!(
            "UPDATE {} AS cf_t SET {} FROM {relation} AS {} WHERE {}",
            self.legacy,
            sets.join(", "),
            Self::IMAGE,
            self.same_legacy_key()
        )
    }

    /// The plain insert of legacy rows from a relation of images: a row that is there already is
    /// an error, as it would have been for the client's own INSERT.
    #[must_use]
    pub fn insert_legacy_from(&self, relation: &str) -> String {
        let written = self.columns.iter().filter(|c| !c.is_computed());
        let names: Vec<String> = written.map(|c| quote_ident(&c.name)).collect();
        let sources = list(names.iter().map(|name| format!("{}.{name}", Self::IMAGE)));
        format!(
            "INSERT INTO {} AS cf_t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {relation} AS {}",
            self.legacy,
            names.join(", "),
            sources,
            Self::IMAGE
        )
    }

    /// Locks the legacy rows of the keys that a query yields, so that every writer takes its
    /// locks on legacy first and two directions cannot deadlock.
    pub(crate) fn lock_legacy(&self, keys: impl Into<Output>, strength: &str) -> Output {
        let key = self.keys_of("cf_t");
        let mut lock = Output::default();
        lock.own(&format!(
            "SELECT 1 FROM {} AS cf_t WHERE ({}) IN (",
            self.legacy,
            key.join(", ")
        ));
        lock.append(keys.into()).own(&format!(") FOR {strength}"));
        lock
    }

    /// The legacy key of a unified row in scope under a name.
    #[must_use]
    pub fn legacy_key_of(&self, row: &str) -> String {
        self.key_columns()
            .map(|c| c.read_value(&format!("{row}.{}", quote_ident(&c.unified))))
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub(super) fn same_legacy_key(&self) -> String {
        self.same_key("cf_t", Self::IMAGE)
    }

    /// The legacy key of a row of legacy's shape in scope under a name, column by column.
    pub(crate) fn keys_of(&self, row: &str) -> Vec<String> {
        let keys = self.legacy_key().into_iter();
        keys.map(|key| format!("{row}.{key}")).collect()
    }

    /// Whether two such rows have one key, as SQL.
    pub(crate) fn same_key(&self, one: &str, other: &str) -> String {
        let pairs = self.keys_of(one).into_iter().zip(self.keys_of(other));
        all_of(pairs.map(|(one, other)| format!("{one} = {other}")))
    }

    fn images(&self, relation: &str) -> String {
        let list = &self.composed.image_list;
        format!(
            "SELECT {} FROM {relation} AS {}",
            list.get_or_init(|| self.image_list()),
            Self::ROW
        )
    }

    fn image_list(&self) -> String {
        list(self.columns.iter().map(|column| {
            let stored = format!("{}.{}", Self::ROW, quote_ident(&column.unified));
            let value = column.read_value(&stored);
            if value == stored && column.unified == column.name {
                // It has the name already: less for two parsers to read in each statement.
                return value;
            }
            format!("{value} AS {}", quote_ident(&column.name))
        }))
    }

    /// Counts the unified rows that legacy readers should see and cannot, since the legacy column has no
    /// room for a value; `None`: there are none. `sample` stands behind the table.
    #[must_use]
    pub fn count_unheld(&self, column: &LegacyColumn, sample: &str) -> Option<String> {
        if !self.is_row_for_row() || column.is_same() || !column.values.is_empty() {
            return None;
        }
        let row = Self::ROW;
        let held = column.has_image(&format!("{row}.{}", quote_ident(&column.unified)))?;
        let visible = self.visible().into_iter();
        let visible = visible.map(|v| format!("({})", v.over(row)));
        let mut conditions: Vec<String> =
            self.is_of_tenant(row).into_iter().chain(visible).collect();
        conditions.push(format!("NOT {held}"));
        Some(format!(
            "SELECT count(*) FROM {} AS {row} {sample} WHERE {}",
            self.unified,
            conditions.join(" AND ")
        ))
    }

    /// When a unified row in scope under a name has a legacy image; `None`: always.
    #[must_use]
    pub fn visible_condition(&self, row: &str) -> Option<String> {
        let conditions = self.conditions_on(row);
        (!conditions.is_empty()).then(|| format!("({})", conditions.join(" AND ")))
    }

    fn row_is_visible(&self) -> Vec<String> {
        self.conditions_on(Self::ROW)
    }

    fn conditions_on(&self, row: &str) -> Vec<String> {
        let declared = self
            .visible()
            .into_iter()
            .map(|visible| format!("({})", visible.over(row)));
        let mapped = self.columns.iter().filter_map(|column| {
            column.has_image(&format!("{row}.{}", quote_ident(&column.unified)))
        });
        let own = self.is_of_tenant(row).into_iter();
        own.chain(declared).chain(mapped).collect()
    }
}

fn on_conflict_action<'a>(changed: impl Iterator<Item = &'a str>) -> String {
    let sets: Vec<String> = changed
        .map(quote_ident)
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    if sets.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!("UPDATE SET {}", sets.join(", "))
    }
}
