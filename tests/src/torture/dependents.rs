//! What refers to the migrated rows: `errands`, which nobody moves, and `pledges`, which move as well. Each refers by one
//! column, and each column has its own actions. Knows what PostgreSQL's foreign keys do to them.

use std::collections::BTreeMap;

/// The columns with what their foreign keys say. A row's id decides which is its own.
pub const COLUMNS: [(&str, &str); 5] = [
    ("cascading", "ON DELETE CASCADE ON UPDATE CASCADE"),
    ("nulled", "ON DELETE SET NULL ON UPDATE SET NULL"),
    ("defaulted", "ON DELETE SET DEFAULT ON UPDATE CASCADE"),
    ("kept", "ON DELETE RESTRICT ON UPDATE RESTRICT"),
    ("late", "DEFERRABLE INITIALLY DEFERRED"),
];
const NULLED: usize = 1;
const DEFAULTED: usize = 2;
const KEPT: usize = 3;
const LATE: usize = 4;

/// Which of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Errands,
    Pledges,
}

impl Table {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Table::Errands => "errands",
            Table::Pledges => "pledges",
        }
    }
}

/// The place of the column by which a row refers.
#[must_use]
pub fn column_of(id: usize) -> usize {
    id % COLUMNS.len()
}

/// Whether what it refers to may come later in the transaction.
#[must_use]
pub fn may_wait(id: usize) -> bool {
    column_of(id) == LATE
}

/// What becomes of a row that somebody refers to.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    Gone,
    Moved(&'a str),
}

/// By id, what each refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependents(pub BTreeMap<usize, Option<String>>);

impl Dependents {
    #[must_use]
    pub fn refer_to(&self, id: &str) -> bool {
        self.0.values().any(|of| of.as_deref() == Some(id))
    }

    /// Whether the change is refused at once.
    #[must_use]
    pub fn refuse(&self, id: &str) -> bool {
        let mut all = self.0.iter();
        all.any(|(row, of)| column_of(*row) == KEPT && of.as_deref() == Some(id))
    }

    /// Does what the foreign keys do. Where rows end that have lost what they referred to, if not at the default.
    pub fn follow(&mut self, id: &str, change: Change, default: &str) {
        let to = match change {
            Change::Gone => None,
            Change::Moved(to) => Some(to),
        };
        self.0.retain(|row, of| {
            if of.as_deref() != Some(id) {
                return true;
            }
            match (column_of(*row), to) {
                (KEPT | LATE, _) => {}
                (NULLED, _) => *of = None,
                (DEFAULTED, None) => *of = Some(default.to_owned()),
                (_, Some(to)) => *of = Some(to.to_owned()),
                (_, None) => return false,
            }
            true
        });
    }

    /// Rows whose transaction may not end so.
    pub fn dangling(&self, is_there: impl Fn(&str) -> bool) -> impl Iterator<Item = (usize, &str)> {
        self.0.iter().filter_map(move |(row, of)| {
            let of = of.as_deref().filter(|of| !is_there(of))?;
            Some((*row, of))
        })
    }

    #[must_use]
    pub fn lines(&self) -> Vec<Vec<Option<String>>> {
        let lines = self.0.iter();
        lines
            .map(|(row, of)| vec![Some(row.to_string()), of.clone()])
            .collect()
    }
}

/// What is selected of a row.
#[must_use]
pub fn referred(alias: &str) -> String {
    let columns = COLUMNS.map(|(column, _)| format!("{alias}.{column}"));
    format!("coalesce({})", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Dependents {
        Dependents((10..15).map(|row| (row, Some("a".to_owned()))).collect())
    }

    #[test]
    fn a_row_that_goes_takes_what_cascades_and_leaves_the_rest_as_each_action_says() {
        let mut dependents = all();
        assert!(dependents.refuse("a") && !dependents.refuse("b"));
        dependents.follow("a", Change::Gone, "d");
        let of: Vec<Option<&str>> = dependents.0.values().map(Option::as_deref).collect();
        assert_eq!(of, [None, Some("d"), Some("a"), Some("a")]);
        let late: Vec<_> = dependents.dangling(|id| id == "d").collect();
        assert_eq!(late, [(13, "a"), (14, "a")]);
    }

    #[test]
    fn a_row_that_moves_is_followed() {
        let mut dependents = all();
        dependents.follow("a", Change::Moved("b"), "d");
        let of: Vec<Option<&str>> = dependents.0.values().map(Option::as_deref).collect();
        assert_eq!(of, [Some("b"), None, Some("b"), Some("a"), Some("a")]);
    }
}
