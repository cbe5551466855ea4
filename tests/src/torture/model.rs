//! What one client knows of its rows. Nobody else writes them.
//!
//! A connection that is lost during a commit leaves two worlds, one in which it happened and one
//! in which it did not; later answers tell which it was. An answer that no world gives is wrong.

use std::collections::BTreeMap;

/// A row, in the unified vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub email: String,
    pub name: String,
    pub role: &'static str,
    pub margin: i64,
    /// Only `users` has it; writes under the legacy name must keep it.
    pub phone: Option<String>,
}

pub const CUSTOMER: &str = "customer";

impl Row {
    /// The role that the legacy name shows, if it shows the row at all.
    #[must_use]
    pub fn legacy_role(&self) -> Option<&'static str> {
        match self.role {
            "sales_rep" => Some("iso_agent"),
            CUSTOMER => None,
            other => Some(other),
        }
    }
}

/// By id.
pub type World = BTreeMap<String, Row>;
/// One row of an answer, as texts.
pub type Line = Vec<Option<String>>;

/// Which name a statement uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Legacy,
    Unified,
}

impl Name {
    #[must_use]
    pub fn table(self) -> &'static str {
        match self {
            Name::Legacy => "iso_agents",
            Name::Unified => "users",
        }
    }

    /// The columns that [`Name::line`] has.
    #[must_use]
    pub fn columns(self) -> &'static str {
        match self {
            Name::Legacy => "id::text, email, full_name, role::text, margin_value::int8::text",
            Name::Unified => {
                "id::text, email, full_name, role::text, margin_value::int8::text, phone"
            }
        }
    }

    /// A row as this name shows it.
    #[must_use]
    pub fn line(self, id: &str, row: &Row) -> Option<Line> {
        let role = match self {
            Name::Legacy => row.legacy_role()?,
            Name::Unified => row.role,
        };
        let texts = [id, &row.email, &row.name, role, &row.margin.to_string()];
        let mut line: Line = texts.map(|text| Some(text.to_owned())).into();
        if self == Name::Unified {
            line.push(row.phone.clone());
        }
        Some(line)
    }

    /// All rows of a world.
    #[must_use]
    pub fn lines(self, world: &World) -> Vec<Line> {
        let lines = world.iter().filter_map(|(id, row)| self.line(id, row));
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
            worlds: vec![World::new()],
        }
    }
}

impl Model {
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
            phone: None,
        }
    }

    #[test]
    fn an_answer_tells_which_of_two_worlds_it_was_and_a_third_answer_is_wrong() {
        let before = Model::default();
        let mut after = before.clone();
        after
            .step(|world| world.insert("a".to_owned(), row("admin")).is_none())
            .unwrap();
        let mut either = before.or(after);
        assert!(either.clone().keep(|world| world.len() == 2).is_err());
        either.keep(|world| world.len() == 1).unwrap();
        assert!(either.keep(World::is_empty).is_err());
    }

    #[test]
    fn the_legacy_name_shows_no_customer_and_its_own_word_for_a_role() {
        assert_eq!(Name::Legacy.line("a", &row(CUSTOMER)), None);
        let line = Name::Legacy.line("a", &row("sales_rep")).unwrap();
        assert_eq!(line[3].as_deref(), Some("iso_agent"));
        assert_eq!(line.len(), 5);
        assert_eq!(Name::Unified.line("a", &row(CUSTOMER)).unwrap().len(), 6);
    }
}
