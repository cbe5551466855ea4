//! What differs between lenses of the three kinds, each question by its name.
//!
//! ```text
//!                   Columns                   Steps           InPlace
//! is_row_for_row    yes                       no              yes
//! pairs_rows        yes                       no              no
//! is_one_table      no                        no              yes
//! has_own_images    no                        yes             no
//! puts_at_once      but under row policies    no              but under row policies
//! moves_keys        yes                       with `rekey`    yes
//! uniques, checks   none                      as declared     none
//! ```

use std::sync::Arc;

use super::model::{Composed, Kind};
use super::{
    BesideColumns, Check, Constant, LegacyColumn, Lens, TableName, Unique, Visible, Written,
};

impl Lens {
    /// A lens that is derived from the columns of two tables.
    pub(crate) fn of_columns(
        migration: &str,
        (legacy, unified): (TableName, TableName),
        (columns, key): (Vec<LegacyColumn>, Vec<usize>),
        further: BesideColumns,
    ) -> Lens {
        Lens {
            migration: migration.to_owned(),
            legacy,
            unified,
            columns: Arc::new(columns),
            key,
            constraints: Vec::new(),
            row_security: false,
            when_hidden: None,
            discriminator: None,
            kind: Kind::Columns(further),
            composed: Composed::default(),
        }
    }

    /// The same of tables that the operator's own SQL maps.
    pub(crate) fn made_of_steps(self, steps: Written) -> Lens {
        Lens {
            kind: Kind::Steps(Box::new(steps)),
            ..self
        }
    }

    /// Whether one unified row stands for each legacy row, each of its columns for a legacy one. Else only who
    /// wrote the lens knows what stands for a row.
    #[must_use]
    pub fn is_row_for_row(&self) -> bool {
        match self.kind {
            Kind::Columns(_) | Kind::InPlace(_) => true,
            Kind::Steps(_) => false,
        }
    }

    /// Whether a legacy row and the unified row that stands for it are two rows, of two tables.
    #[must_use]
    pub fn pairs_rows(&self) -> bool {
        match self.kind {
            Kind::Columns(_) => true,
            Kind::Steps(_) | Kind::InPlace(_) => false,
        }
    }

    /// Whether both sides are the same row of the same table, which a trigger keeps in step.
    #[must_use]
    pub fn is_one_table(&self) -> bool {
        match self.kind {
            Kind::InPlace(_) => true,
            Kind::Columns(_) | Kind::Steps(_) => false,
        }
    }

    /// Whether images are of a type of the lens's own, so that it and its functions outlive the legacy table.
    #[must_use]
    pub fn has_own_images(&self) -> bool {
        match self.kind {
            Kind::Steps(_) => true,
            Kind::Columns(_) | Kind::InPlace(_) => false,
        }
    }

    /// Whether a put is one statement, which can stand in a client's own.
    pub(crate) fn puts_at_once(&self) -> bool {
        match self.kind {
            Kind::Columns(_) | Kind::InPlace(_) => !self.row_security,
            Kind::Steps(_) => false,
        }
    }

    /// Whether the unified rows of a legacy row follow it to another key.
    pub(crate) fn moves_keys(&self) -> bool {
        match &self.kind {
            Kind::Columns(_) | Kind::InPlace(_) => true,
            Kind::Steps(written) => written.can_rekey(),
        }
    }

    /// Whether rows that `read` yields can be locked where it stands.
    pub(crate) fn is_lockable(&self) -> bool {
        match &self.kind {
            Kind::Columns(_) | Kind::InPlace(_) => true,
            Kind::Steps(written) => written.is_lockable(),
        }
    }

    /// Whether the lens sees to foreign keys that refer to its rows, where unified has none that stands for them.
    pub(crate) fn sees_to_references(&self) -> bool {
        match self.kind {
            Kind::Steps(_) => true,
            Kind::Columns(_) | Kind::InPlace(_) => false,
        }
    }

    /// What only a lens of steps has.
    #[must_use]
    pub fn steps(&self) -> Option<&Written> {
        match &self.kind {
            Kind::Steps(written) => Some(written),
            Kind::Columns(_) | Kind::InPlace(_) => None,
        }
    }

    pub(in crate::lens) fn steps_mut(&mut self) -> Option<&mut Written> {
        match &mut self.kind {
            Kind::Steps(written) => Some(written),
            Kind::Columns(_) | Kind::InPlace(_) => None,
        }
    }

    /// Which unified rows exist for legacy readers, as the rule file says it; `None`: all.
    #[must_use]
    pub fn visible(&self) -> Option<&Visible> {
        match &self.kind {
            Kind::Columns(columns) => columns.visible.as_ref(),
            Kind::Steps(_) | Kind::InPlace(_) => None,
        }
    }

    /// Unified columns that legacy lacks, with what a row that is put has in them.
    #[must_use]
    pub fn constants(&self) -> &[Constant] {
        match &self.kind {
            Kind::Columns(columns) => &columns.constants,
            Kind::Steps(_) | Kind::InPlace(_) => &[],
        }
    }

    /// The columns that move within the table: legacy and unified names.
    #[must_use]
    pub fn moved(&self) -> &[(String, String)] {
        match &self.kind {
            Kind::InPlace(in_place) => &in_place.moved,
            Kind::Columns(_) | Kind::Steps(_) => &[],
        }
    }

    /// The unified tables, which clients may write, the main one first.
    #[must_use]
    pub fn unified_tables(&self) -> Vec<&TableName> {
        match &self.kind {
            Kind::Columns(_) | Kind::InPlace(_) => vec![&self.unified],
            Kind::Steps(written) => written.tables.iter().collect(),
        }
    }

    /// Whether it is one of the lenses that may write this unified table together: their steps say what becomes of
    /// rows that meet.
    #[must_use]
    pub fn shares(&self, table: &TableName) -> bool {
        self.steps()
            .is_some_and(|steps| steps.tables.contains(table))
    }

    /// Tables of the unified side that only lenses write.
    #[must_use]
    pub fn crosswalk(&self) -> &[TableName] {
        match &self.kind {
            Kind::Columns(_) | Kind::InPlace(_) => &[],
            Kind::Steps(written) => &written.crosswalk,
        }
    }

    /// Every table of the unified side that it writes.
    #[must_use]
    pub fn unified_side(&self) -> Vec<&TableName> {
        let mut tables = self.unified_tables();
        tables.extend(self.crosswalk());
        tables
    }

    /// Unified tables with the legacy columns that are read from them, each with its name there.
    #[must_use]
    pub fn read_from_tables(&self) -> Vec<(&TableName, Vec<(&str, &str)>)> {
        match &self.kind {
            Kind::Columns(_) | Kind::InPlace(_) => {
                let columns = self.columns.iter();
                let pairs = columns.map(|column| (&*column.name, &*column.unified));
                vec![(&self.unified, pairs.collect())]
            }
            Kind::Steps(written) => {
                let parts = written.query.parts.iter();
                let columns = parts.map(|part| {
                    let feeds = part.feeds.iter();
                    let named = feeds.map(|(theirs, at)| (&*self.columns[*at].name, &**theirs));
                    (&part.table, named.collect())
                });
                columns.collect()
            }
        }
    }

    /// A relation of as many rows as there are unified ones for legacy readers, about: for the planner to tell or
    /// the server to count.
    #[must_use]
    pub fn unified_rows(&self) -> String {
        match self.kind {
            Kind::Columns(_) | Kind::InPlace(_) => self.unified.sql(),
            Kind::Steps(_) => format!("({}) AS r", self.read()),
        }
    }

    /// UNIQUE constraints of the legacy table that hold on by what the rule file declares.
    #[must_use]
    pub fn uniques(&self) -> &[Unique] {
        match &self.kind {
            Kind::Steps(written) => &written.uniques,
            Kind::Columns(_) | Kind::InPlace(_) => &[],
        }
    }

    /// Its CHECKs of which the same is true.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        match &self.kind {
            Kind::Steps(written) => &written.checks,
            Kind::Columns(_) | Kind::InPlace(_) => &[],
        }
    }

    /// Whether a constraint that makes rows of the legacy table unique is the lens's own affair, without a constraint
    /// of unified that stands for it.
    pub(crate) fn keeps_unique(&self, constraint: &str) -> bool {
        match &self.kind {
            Kind::Steps(written) => {
                let mut uniques = written.uniques.iter();
                uniques.any(|unique| unique.name == constraint)
                    || self.key_constraint() == constraint
            }
            Kind::Columns(_) | Kind::InPlace(_) => false,
        }
    }

    /// Whether a write that is no DELETE may delete from a unified table.
    #[must_use]
    pub fn puts_by_deleting(&self, table: &TableName) -> bool {
        match &self.kind {
            Kind::Steps(written) => written.puts_by_deleting(table),
            Kind::Columns(_) | Kind::InPlace(_) => false,
        }
    }

    /// A row of the legacy table in scope under a name, as the lens's functions take it.
    pub(crate) fn whole_row(&self, alias: &str) -> String {
        match self.kind {
            Kind::Columns(_) | Kind::InPlace(_) => format!("ROW({alias}.*)::{}", self.legacy),
            Kind::Steps(_) => self.image_row(alias),
        }
    }
}
