//! What a client has been told is in the database, so that it can tell a wrong answer.
//!
//! Holds rows in the unified vocabulary and knows, on its own authority, how an old client must
//! see them: it is the demo's second opinion and shares no code with the lens it checks.

use std::collections::HashMap;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio_postgres::Row;

/// Deleted rows are asked for again for a while: they must stay away.
const DELETED_KEPT_MAX: usize = 64;

/// The columns that both tables have, as [`Person::from_row`] reads them.
pub const COLUMNS: &str = "id::text, clerk_user_id, email, full_name, role::text, \
     margin_type::text, margin_value::text, is_active, metadata, created_at::text, \
     updated_at::text";

/// The columns that only `users` has, after [`COLUMNS`].
pub const COLUMNS_BEYOND: &str = "phone, timezone, last_login_at::text";

/// A row, whichever table it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    pub id: String,
    pub clerk_user_id: String,
    pub email: String,
    pub full_name: String,
    /// As `users` has it: `sales_rep` for what `iso_agents` calls `iso_agent`.
    pub role: String,
    pub margin_type: Option<String>,
    pub margin_value: Option<String>,
    pub is_active: Option<bool>,
    pub metadata: Option<Value>,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    /// Unknown until the new version has seen the row; from then on old writes must keep it.
    pub beyond: Option<Beyond>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Beyond {
    pub phone: Option<String>,
    pub timezone: Option<String>,
    pub last_login_at: Option<String>,
}

impl Person {
    /// Reads [`COLUMNS`] of `iso_agents`, or with `beyond` [`COLUMNS_BEYOND`] of `users` as well.
    pub fn from_row(row: &Row, beyond: bool) -> anyhow::Result<Self> {
        let role: String = row.try_get(4)?;
        let role = if beyond {
            role
        } else {
            match role.as_str() {
                "iso_agent" => "sales_rep".to_owned(),
                "admin" | "operator" => role,
                other => bail!("an old client was shown the role `{other}`"),
            }
        };
        Ok(Person {
            id: row.try_get(0)?,
            clerk_user_id: row.try_get(1)?,
            email: row.try_get(2)?,
            full_name: row.try_get(3)?,
            role,
            margin_type: row.try_get(5)?,
            margin_value: row.try_get(6)?,
            is_active: row.try_get(7)?,
            metadata: row.try_get(8)?,
            created_at: row.try_get(9)?,
            updated_at: row.try_get(10)?,
            beyond: if beyond {
                Some(Beyond {
                    phone: row.try_get(11)?,
                    timezone: row.try_get(12)?,
                    last_login_at: row.try_get(13)?,
                })
            } else {
                None
            },
        })
    }

    /// The role an old client must see, or `None` if the row must not exist for it.
    #[must_use]
    pub fn legacy_role(&self) -> Option<&str> {
        match self.role.as_str() {
            "sales_rep" => Some("iso_agent"),
            "customer" => None,
            other => Some(other),
        }
    }

    /// What differs from `answer`, column by column; columns that one side has not seen are equal.
    #[must_use]
    pub fn differences(&self, answer: &Person) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |column: &str, expected: String, came: String| {
            if expected != came {
                found.push(format!("{column}: expected {expected}, came {came}"));
            }
        };
        macro_rules! columns {
            ($($column:ident)*) => {$(
                compare(
                    stringify!($column),
                    format!("{:?}", self.$column),
                    format!("{:?}", answer.$column),
                );
            )*};
        }
        columns!(id clerk_user_id email full_name role margin_type margin_value is_active metadata
            created_at updated_at);
        if let (Some(expected), Some(came)) = (&self.beyond, &answer.beyond) {
            compare("beyond", format!("{expected:?}"), format!("{came:?}"));
        }
        found
    }
}

/// The rows of one client of each version. Nobody else writes them.
#[derive(Debug, Default)]
pub struct Model {
    /// Which share of the application this is; part of the names of the rows it adds.
    pub number: usize,
    people: HashMap<String, Person>,
    /// The keys again, to draw one at random.
    ids: Vec<String>,
    deleted: Vec<String>,
    added: u64,
}

impl Model {
    #[must_use]
    pub fn new(number: usize) -> Self {
        Model {
            number,
            ..Model::default()
        }
    }

    /// What distinguishes the rows that this share added from those it found.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("demo-{}-", self.number)
    }

    /// A number for a new row's names.
    pub fn next_number(&mut self) -> u64 {
        self.added += 1;
        self.added
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// The rows it added that an old client may see.
    pub fn own_legacy(&self) -> impl Iterator<Item = &Person> {
        let prefix = self.prefix();
        self.people.values().filter(move |person| {
            person.clerk_user_id.starts_with(&prefix) && person.legacy_role().is_some()
        })
    }

    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Person> {
        self.people.get(id)
    }

    /// Some row, by a random number.
    #[must_use]
    pub fn pick(&self, random: u64) -> Option<Person> {
        let count = u64::try_from(self.ids.len()).ok()?;
        let index = usize::try_from(random.checked_rem(count)?).ok()?;
        self.people.get(self.ids.get(index)?).cloned()
    }

    /// Some row that an old client may see: the first from a random place on.
    #[must_use]
    pub fn pick_legacy(&self, random: u64) -> Option<Person> {
        (0..16)
            .filter_map(|step| self.pick(random.wrapping_add(step)))
            .find(|person| person.legacy_role().is_some())
    }

    #[must_use]
    pub fn pick_deleted(&self, random: u64) -> Option<&String> {
        let count = u64::try_from(self.deleted.len()).ok()?;
        self.deleted
            .get(usize::try_from(random.checked_rem(count)?).ok()?)
    }

    /// A row that was acknowledged as inserted or found.
    pub fn add(&mut self, person: Person) {
        if self
            .people
            .insert(person.id.clone(), person.clone())
            .is_none()
        {
            self.ids.push(person.id);
        }
    }

    /// A row's new state as acknowledged; what it does not say of columns beyond stays.
    pub fn replace(&mut self, mut person: Person) {
        if let Some(known) = self.people.get(&person.id)
            && person.beyond.is_none()
        {
            person.beyond.clone_from(&known.beyond);
        }
        self.add(person);
    }

    pub fn remove(&mut self, id: &str) {
        self.people.remove(id);
        self.ids.retain(|known| known != id);
        if self.deleted.len() == DELETED_KEPT_MAX {
            self.deleted.remove(0);
        }
        self.deleted.push(id.to_owned());
    }

    /// Checks an answer against what is known and learns what only the answer knows.
    pub fn check(&mut self, expected: &Person, answer: Person) -> anyhow::Result<()> {
        let differences = expected.differences(&answer);
        ensure!(
            differences.is_empty(),
            "a wrong row for {}: {}",
            expected.email,
            differences.join("; ")
        );
        self.replace(answer);
        Ok(())
    }
}

/// `12.50` as 1250, so that the demo computes margins without rounding.
pub fn cents(value: &str) -> anyhow::Result<i64> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "00"));
    format!("{whole}{fraction:0<2}")
        .parse()
        .with_context(|| format!("`{value}` is no margin"))
}

#[must_use]
pub fn margin(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(id: &str, role: &str) -> Person {
        Person {
            id: id.to_owned(),
            clerk_user_id: format!("demo-1-{id}"),
            email: format!("{id}@example.com"),
            full_name: id.to_owned(),
            role: role.to_owned(),
            margin_type: None,
            margin_value: Some("1.50".to_owned()),
            is_active: None,
            metadata: None,
            created_at: None,
            updated_at: None,
            beyond: None,
        }
    }

    #[test]
    fn a_wrong_answer_is_told_by_its_columns() {
        let mut model = Model::new(1);
        let known = person("a", "sales_rep");
        model.add(known.clone());
        let mut answer = known.clone();
        answer.email = "b@example.com".to_owned();
        let error = model.check(&known, answer).unwrap_err().to_string();
        assert!(error.contains("email: expected"), "{error}");
        assert!(!error.contains("full_name"), "{error}");
        assert!(model.check(&known, known.clone()).is_ok());
    }

    #[test]
    fn what_the_new_version_learned_is_kept_over_old_writes_and_compared() {
        let mut model = Model::new(1);
        let beyond = Beyond {
            phone: Some("1".to_owned()),
            timezone: None,
            last_login_at: None,
        };
        let mut seen = person("a", "sales_rep");
        seen.beyond = Some(beyond.clone());
        model.add(seen.clone());
        model.replace(person("a", "admin"));
        assert_eq!(model.find("a").unwrap().beyond, Some(beyond));
        let mut lost = model.find("a").unwrap().clone();
        lost.beyond.as_mut().unwrap().phone = None;
        let known = model.find("a").unwrap().clone();
        assert!(model.check(&known, lost).is_err());
    }

    #[test]
    fn customers_do_not_exist_for_old_clients() {
        let mut model = Model::new(1);
        model.add(person("a", "customer"));
        assert!(model.pick(7).is_some());
        assert!(model.pick_legacy(7).is_none());
        model.add(person("b", "operator"));
        assert_eq!(model.pick_legacy(7).unwrap().id, "b");
        model.remove("b");
        assert!(model.pick_legacy(7).is_none());
        assert_eq!(model.pick_deleted(3).unwrap(), "b");
    }

    #[test]
    fn margins_are_computed_in_cents() {
        assert_eq!(cents("12.50").unwrap(), 1250);
        assert_eq!(cents("7").unwrap(), 700);
        assert_eq!(margin(1275), "12.75");
        assert_eq!(margin(5), "0.05");
    }
}
