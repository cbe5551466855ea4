//! One statement of a client: its text, and what it must answer and do in a world.

use super::model::{CUSTOMER, Line, Name, Row, World};

/// What a client does in one statement.
#[derive(Clone, Debug)]
pub enum Act {
    ReadAll {
        name: Name,
    },
    ReadOne {
        name: Name,
        id: String,
        lock: bool,
    },
    ReadByRole {
        name: Name,
        role: &'static str,
    },
    Insert {
        name: Name,
        id: String,
        row: Row,
        upsert: bool,
        answer: bool,
    },
    /// Counts the margin up by one, and renames.
    Update {
        name: Name,
        id: String,
        to: String,
        answer: bool,
    },
    SetRole {
        name: Name,
        id: String,
        role: &'static str,
        answer: bool,
    },
    SetPhone {
        id: String,
        phone: String,
    },
    Rekey {
        id: String,
        to: String,
        answer: bool,
    },
    Delete {
        name: Name,
        id: String,
        answer: bool,
    },
    /// Every row of the client that the name shows.
    UpdateAll {
        name: Name,
    },
}

/// What a statement answered: its rows, and the count of its command tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub rows: Vec<Line>,
    pub count: u64,
}

impl Act {
    /// The text and its parameters, all of them texts. `$1` is the client's pattern where needed.
    #[must_use]
    pub fn sql(&self, client: usize) -> (String, Vec<String>) {
        let whose = format!("c{client}-%");
        let returning = |name: Name, answer: bool| {
            if answer {
                format!(" RETURNING {}", name.columns())
            } else {
                String::new()
            }
        };
        match self {
            Act::ReadAll { name } => (
                format!(
                    "SELECT {} FROM {} WHERE clerk_user_id LIKE $1::text",
                    name.columns(),
                    name.table()
                ),
                vec![whose],
            ),
            Act::ReadOne { name, id, lock } => (
                format!(
                    "SELECT {} FROM public.{} AS t WHERE t.id = $1::text::uuid{}",
                    name.columns(),
                    name.table(),
                    if *lock { " FOR UPDATE" } else { "" }
                ),
                vec![id.clone()],
            ),
            Act::ReadByRole { name, role } => (
                format!(
                    "SELECT {} FROM {} WHERE role = '{role}' AND clerk_user_id LIKE $1::text",
                    name.columns(),
                    name.table(),
                ),
                vec![whose],
            ),
            Act::Insert {
                name,
                id,
                row,
                upsert,
                answer,
            } => {
                let phone = if *name == Name::Unified {
                    ", phone"
                } else {
                    ""
                };
                let role = match name {
                    Name::Legacy => row.legacy_role().unwrap_or("iso_agent"),
                    Name::Unified => row.role,
                };
                let mut values = vec![
                    id.clone(),
                    row.email.clone(),
                    row.name.clone(),
                    role.to_owned(),
                    row.margin.to_string(),
                ];
                let mut last = "";
                if *name == Name::Unified {
                    last = ", nullif($6::text, '')";
                    values.push(row.phone.clone().unwrap_or_default());
                }
                let conflict = if *upsert {
                    " ON CONFLICT (id) DO UPDATE SET full_name = excluded.full_name"
                } else {
                    ""
                };
                (
                    format!(
                        "INSERT INTO {} (id, clerk_user_id, email, full_name, role, margin_value{phone}) \
                         VALUES ($1::text::uuid, split_part($2::text, '@', 1), $2::text, $3::text, \
                         $4::text::user_role, $5::text::numeric{last}){conflict}{}",
                        name.table(),
                        returning(*name, *answer)
                    ),
                    values,
                )
            }
            Act::Update {
                name,
                id,
                to,
                answer,
            } => (
                format!(
                    "UPDATE {} SET margin_value = margin_value + 1, full_name = $2::text \
                     WHERE id = $1::text::uuid{}",
                    name.table(),
                    returning(*name, *answer)
                ),
                vec![id.clone(), to.clone()],
            ),
            Act::SetRole {
                name,
                id,
                role,
                answer,
            } => (
                format!(
                    "UPDATE {} SET role = $2::text::user_role WHERE id = $1::text::uuid{}",
                    name.table(),
                    returning(*name, *answer)
                ),
                vec![id.clone(), self.role_word(*name, role).to_owned()],
            ),
            Act::SetPhone { id, phone } => (
                "UPDATE users SET phone = $2::text WHERE id = $1::text::uuid".to_owned(),
                vec![id.clone(), phone.clone()],
            ),
            Act::Rekey { id, to, answer } => (
                format!(
                    "UPDATE iso_agents SET id = $2::text::uuid WHERE id = $1::text::uuid{}",
                    returning(Name::Legacy, *answer)
                ),
                vec![id.clone(), to.clone()],
            ),
            Act::Delete { name, id, answer } => (
                format!(
                    "DELETE FROM {} WHERE id = $1::text::uuid{}",
                    name.table(),
                    returning(*name, *answer)
                ),
                vec![id.clone()],
            ),
            Act::UpdateAll { name } => (
                format!(
                    "UPDATE {} SET margin_value = margin_value + 1 WHERE clerk_user_id LIKE $1::text",
                    name.table()
                ),
                vec![whose],
            ),
        }
    }

    fn role_word(&self, name: Name, role: &'static str) -> &'static str {
        if name == Name::Legacy && role == "sales_rep" {
            "iso_agent"
        } else {
            role
        }
    }

    #[must_use]
    pub fn name(&self) -> Name {
        match self {
            Act::ReadAll { name }
            | Act::ReadOne { name, .. }
            | Act::ReadByRole { name, .. }
            | Act::Insert { name, .. }
            | Act::Update { name, .. }
            | Act::SetRole { name, .. }
            | Act::Delete { name, .. }
            | Act::UpdateAll { name } => *name,
            Act::SetPhone { .. } => Name::Unified,
            Act::Rekey { .. } => Name::Legacy,
        }
    }

    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(
            self,
            Act::ReadAll { .. } | Act::ReadOne { .. } | Act::ReadByRole { .. }
        )
    }

    /// Whether the rows come back; else only their count.
    #[must_use]
    pub fn answers(&self) -> bool {
        match self {
            Act::ReadAll { .. } | Act::ReadOne { .. } | Act::ReadByRole { .. } => true,
            Act::Insert { answer, .. }
            | Act::Update { answer, .. }
            | Act::SetRole { answer, .. }
            | Act::Rekey { answer, .. }
            | Act::Delete { answer, .. } => *answer,
            Act::SetPhone { .. } | Act::UpdateAll { .. } => false,
        }
    }

    /// Does it to a world; whether that world would have answered so.
    pub fn happens(&self, world: &mut World, answer: &Answer) -> bool {
        let mut expected = self.effect(world);
        if u64::try_from(expected.len()).ok() != Some(answer.count) {
            return false;
        }
        if !self.answers() {
            return true;
        }
        let mut came = answer.rows.clone();
        came.sort();
        expected.sort();
        came == expected
    }

    /// Does it to a world; the rows of its answer.
    pub fn effect(&self, world: &mut World) -> Vec<Line> {
        let name = self.name();
        // A row that the name does not show does not exist for the statement.
        let shown = |world: &World, id: &str| {
            let row = world.get(id)?;
            name.line(id, row)
        };
        match self {
            Act::ReadAll { .. } => name.lines(world),
            Act::ReadOne { id, .. } => shown(world, id).into_iter().collect(),
            Act::ReadByRole { role, .. } => {
                let mut lines = name.lines(world);
                lines.retain(|line| line[3].as_deref() == Some(*role));
                lines
            }
            Act::Insert {
                id, row, upsert, ..
            } => {
                match world.get_mut(id) {
                    Some(known) if *upsert => known.name.clone_from(&row.name),
                    // A second row with this key is an error; no answer is right.
                    Some(_) => return Vec::new(),
                    None => {
                        world.insert(id.clone(), row.clone());
                    }
                }
                shown(world, id).into_iter().collect()
            }
            Act::Update { id, to, .. } => change(world, name, id, |row| {
                row.margin += 1;
                row.name.clone_from(to);
            }),
            Act::SetRole { id, role, .. } => change(world, name, id, |row| row.role = role),
            Act::SetPhone { id, phone } => {
                change(world, name, id, |row| row.phone = Some(phone.clone()))
            }
            Act::Rekey { id, to, .. } => {
                if shown(world, id).is_none() {
                    return Vec::new();
                }
                if let Some(row) = world.remove(id) {
                    world.insert(to.clone(), row);
                }
                shown(world, to).into_iter().collect()
            }
            Act::Delete { id, .. } => {
                let line = shown(world, id);
                if line.is_some() {
                    world.remove(id);
                }
                line.into_iter().collect()
            }
            Act::UpdateAll { .. } => {
                let ids: Vec<String> = world.keys().cloned().collect();
                let each = |id: &String| change(world, name, id, |row| row.margin += 1);
                ids.iter().flat_map(each).collect()
            }
        }
    }
}

fn change(world: &mut World, name: Name, id: &str, how: impl FnOnce(&mut Row)) -> Vec<Line> {
    let Some(row) = world.get_mut(id) else {
        return Vec::new();
    };
    if name == Name::Legacy && row.role == CUSTOMER {
        return Vec::new();
    }
    how(row);
    name.line(id, row).into_iter().collect()
}
