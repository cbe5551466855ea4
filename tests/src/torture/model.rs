//! What one client knows of its rows. Nobody else writes them.
//!
//! A connection that is lost during a commit leaves two worlds, one in which it happened and one
//! in which it did not; later answers tell which it was. An answer that no world gives is wrong.

use std::collections::BTreeMap;

use super::dependents::{Change, Dependents, Table};
use super::tables::Tables;

/// A row, in the unified vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub email: String,
    pub name: String,
    pub role: &'static str,
    pub margin: i64,
    /// What only writes under the legacy name count up, and only that name shows. Of a row that is split it is kept
    /// elsewhere than the rest, and of those that share a person each has its own.
    pub terms: i64,
    /// Only `users` has it; writes under the legacy name must keep it.
    pub phone: Option<String>,
}

pub const CUSTOMER: &str = "customer";

impl Row {
    /// The role that the legacy name shows, if it shows the row at all.
    #[must_use]
    pub fn legacy_role(&self, tables: Tables) -> Option<&'static str> {
        match self.role {
            CUSTOMER => None,
            role => Some(legacy_word(tables, role)),
        }
    }
}

/// What the legacy name calls a role.
#[must_use]
pub fn legacy_word(tables: Tables, role: &'static str) -> &'static str {
    match (tables, role) {
        (Tables::ByColumns, "sales_rep") => "iso_agent",
        (Tables::ByColumns | Tables::BySteps, role) => role,
    }
}

/// A client's rows, by id, and what refers to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    pub rows: BTreeMap<String, Row>,
    pub errands: Dependents,
    pub pledges: Dependents,
}

impl World {
    #[must_use]
    pub fn dependents(&self, table: Table) -> &Dependents {
        match table {
            Table::Errands => &self.errands,
            Table::Pledges => &self.pledges,
        }
    }

    pub fn dependents_mut(&mut self, table: Table) -> &mut Dependents {
        match table {
            Table::Errands => &mut self.errands,
            Table::Pledges => &mut self.pledges,
        }
    }

    #[must_use]
    pub fn is_referred_to(&self, id: &str) -> bool {
        self.errands.refer_to(id) || self.pledges.refer_to(id)
    }

    /// Whether a row is there to refer to: one of these, or the one that is referred to by default.
    #[must_use]
    pub fn is_there(&self, tables: Tables, id: &str) -> bool {
        self.rows.contains_key(id) || id == tables.shared_id(0)
    }

    /// What refers to nothing.
    #[must_use]
    pub fn dangling(&self, tables: Tables) -> Vec<(Table, usize, String)> {
        let of = |table: Table| {
            let all = self
                .dependents(table)
                .dangling(|id| self.is_there(tables, id));
            let all: Vec<_> = all.map(|(row, of)| (table, row, of.to_owned())).collect();
            all
        };
        [of(Table::Errands), of(Table::Pledges)].concat()
    }

    /// What refers to a row that has gone or moved follows; an error, if it does not let it.
    pub fn follow(&mut self, tables: Tables, id: &str, change: Change) -> Result<(), &'static str> {
        if self.errands.refuse(id) || self.pledges.refuse(id) {
            return Err("23503");
        }
        let default = tables.shared_id(0);
        self.errands.follow(id, change, &default);
        self.pledges.follow(id, change, &default);
        Ok(())
    }
}
/// One row of an answer, as texts.
pub type Line = Vec<Option<String>>;

/// Which name a statement uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Legacy,
    Unified,
}

impl Name {
    /// A row as this name shows it.
    #[must_use]
    pub fn line(self, tables: Tables, id: &str, row: &Row) -> Option<Line> {
        let role = match self {
            Name::Legacy => row.legacy_role(tables)?,
            Name::Unified => row.role,
        };
        let texts = [id, &row.email, &row.name, role, &row.margin.to_string()];
        let mut line: Line = texts.map(|text| Some(text.to_owned())).into();
        line.push(match self {
            Name::Legacy => Some(row.terms.to_string()),
            Name::Unified => row.phone.clone(),
        });
        Some(line)
    }

    /// All rows of a world.
    #[must_use]
    pub fn lines(self, tables: Tables, world: &World) -> Vec<Line> {
        let rows = world.rows.iter();
        let lines = rows.filter_map(|(id, row)| self.line(tables, id, row));
        lines.collect()
    }
}

#[derive(Clone, Debug)]
pub struct Model {
    worlds: Vec<World>,
}

impl Default for Model {
    fn default() -> Self {
        Model {
            worlds: vec![World::default()],
        }
    }
}

impl Model {
    #[must_use]
    pub fn of(world: World) -> Self {
        Model {
            worlds: vec![world],
        }
    }

    /// One of the possible worlds, to draw from.
    #[must_use]
    pub fn some(&self) -> &World {
        &self.worlds[0]
    }

    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.worlds.len() == 1
    }

    /// Worlds that nobody could tell apart are one.
    pub fn settle(&mut self) {
        self.worlds.truncate(1);
    }

    /// Keeps the worlds of which something is true; an error tells of all of them.
    pub fn keep(&mut self, mut is_true: impl FnMut(&World) -> bool) -> Result<(), String> {
        let before = self.worlds.clone();
        self.worlds.retain(|world| is_true(world));
        self.check(before)
    }

    /// The same for something that also changes the world.
    pub fn step(&mut self, mut happens: impl FnMut(&mut World) -> bool) -> Result<(), String> {
        let before = self.worlds.clone();
        self.worlds.retain_mut(|world| happens(world));
        self.check(before)
    }

    fn check(&mut self, before: Vec<World>) -> Result<(), String> {
        if self.worlds.is_empty() {
            return Err(format!("no possible world has it: {before:#?}"));
        }
        self.worlds.dedup();
        Ok(())
    }

    /// Either this or that happened.
    #[must_use]
    pub fn or(mut self, other: Model) -> Model {
        self.worlds.extend(other.worlds);
        self.worlds.dedup();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(role: &'static str) -> Row {
        Row {
            email: "e".to_owned(),
            name: "n".to_owned(),
            role,
            margin: 1,
            terms: 2,
            phone: None,
        }
    }

    #[test]
    fn an_answer_tells_which_of_two_worlds_it_was_and_a_third_answer_is_wrong() {
        let before = Model::default();
        let mut after = before.clone();
        after
            .step(|world| world.rows.insert("a".to_owned(), row("admin")).is_none())
            .unwrap();
        let mut either = before.or(after);
        assert!(either.clone().keep(|world| world.rows.len() == 2).is_err());
        either.keep(|world| world.rows.len() == 1).unwrap();
        assert!(either.keep(|world| world.rows.is_empty()).is_err());
    }

    #[test]
    fn the_legacy_name_shows_no_customer_and_its_own_word_for_a_role() {
        let tables = Tables::ByColumns;
        assert_eq!(Name::Legacy.line(tables, "a", &row(CUSTOMER)), None);
        let line = Name::Legacy.line(tables, "a", &row("sales_rep")).unwrap();
        assert_eq!(line[3].as_deref(), Some("iso_agent"));
        assert_eq!(line[5].as_deref(), Some("2"));
        let line = Name::Unified.line(tables, "a", &row(CUSTOMER)).unwrap();
        assert_eq!(line[5], None);
    }

    #[test]
    fn what_is_kept_by_one_that_refers_to_it_does_not_go() {
        let mut world = World::default();
        world.rows.insert("a".to_owned(), row("admin"));
        world.pledges.0.insert(13, Some("a".to_owned()));
        let tables = Tables::ByColumns;
        assert!(world.dangling(tables).is_empty() && world.is_referred_to("a"));
        assert_eq!(world.follow(tables, "a", Change::Gone), Err("23503"));
        world.rows.clear();
        assert_eq!(
            world.dangling(tables),
            [(Table::Pledges, 13, "a".to_owned())]
        );
    }
}
