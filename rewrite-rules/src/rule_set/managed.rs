//! Which tables are under migration, and on which side of which lens.

use super::{Migration, RuleSet};
use crate::lens::{Lens, TableName};
use crate::phase::Phase;

/// A table that statements may name, and which side of which lens it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Managed<'a> {
    pub migration: &'a Migration,
    pub lens: &'a Lens,
    pub side: Side,
    /// The table of that side.
    pub table: &'a TableName,
}

impl<'a> Managed<'a> {
    /// The lenses that write this table of the migration: several where several legacy tables become one. Their
    /// order, that of the rule file, is the one in which whoever writes under the unified name locks legacy rows.
    pub(crate) fn lenses(self) -> impl Iterator<Item = &'a Lens> {
        let (migration, one) = (self.migration, self.lens);
        let several = self.side == Side::Unified && one.steps().is_some();
        let all = migration.tables.iter().filter(move |_| several);
        let others = all.filter(move |lens| lens.shares(self.table));
        let alone = (!several).then_some(one);
        alone.into_iter().chain(others)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Legacy,
    Unified,
}

impl RuleSet {
    /// The declared tables that each tenant has, in phases in which their names are not just legacy's.
    pub(crate) fn of_any_tenant(&self) -> impl Iterator<Item = (&Migration, &Lens)> {
        let migrations = self
            .declared
            .iter()
            .filter(|m| m.phase != Phase::LegacyOnly);
        migrations
            .flat_map(|migration| migration.tables.iter().map(move |lens| (migration, lens)))
            .filter(|(_, lens)| lens.is_of_any_tenant())
    }

    /// Every managed table that a name in a statement may mean. `schema` is `None` for an unqualified
    /// name, which may mean each of this name. A unified table of several lenses is told once, with the first of them.
    pub(crate) fn all_managed(&self, schema: Option<&str>, name: &str) -> Vec<Managed<'_>> {
        let is = |table: &TableName| {
            table.name == name && schema.is_none_or(|schema| schema == table.schema)
        };
        self.migrations
            .iter()
            .filter(|migration| migration.phase != Phase::LegacyOnly)
            .flat_map(|migration| migration.tables.iter().map(move |lens| (migration, lens)))
            .flat_map(|(migration, lens)| {
                let lens = lens.in_phase(migration.phase);
                let found = |side, table| Managed {
                    migration,
                    lens,
                    side,
                    table,
                };
                let legacy = is(&lens.legacy).then(|| found(Side::Legacy, &lens.legacy));
                // What is shared by all tenants is none's.
                let shared = lens.discriminator().is_some();
                let here = match shared {
                    true => lens.is_of_any_tenant(),
                    false => legacy.is_none() && migration.phase.writes_both(),
                };
                let mut unified = lens.unified_tables().into_iter();
                let table = unified.find(|table| here && is(table));
                let is_first = |table: &&TableName| {
                    let mut all = migration.tables.iter();
                    let first = all.find(|other| other.shares(table));
                    first.is_none_or(|first| first.legacy == lens.legacy)
                };
                let table = table.filter(is_first);
                legacy
                    .into_iter()
                    .chain(table.map(|table| found(Side::Unified, table)))
            })
            .collect()
    }
}
