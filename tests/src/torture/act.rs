//! One statement of a client: its text, and what it must answer and do in a world.

use super::dependents::{COLUMNS, Change, Table, column_of, may_wait, referred};
use super::model::{CUSTOMER, Line, Name, Row, World, legacy_word};
use super::tables::Tables;

/// Dependents of a client have ids between these multiples.
const DEPENDENTS_OF_ONE: usize = 1000;

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
    ReadDependents {
        table: Table,
    },
    /// With the e-mail of what they refer to.
    ReadJoined {
        table: Table,
    },
    Refer {
        table: Table,
        id: usize,
        to: String,
    },
    Redirect {
        table: Table,
        id: usize,
        to: String,
    },
    LetGo {
        table: Table,
        id: usize,
    },
    /// What the client's role has no right to, whatever is there.
    Forbidden {
        sql: String,
    },
}

/// What a statement answered: its rows, and the count of its command tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub rows: Vec<Line>,
    pub count: u64,
}

/// The SQLSTATE of a statement that must fail, and so does nothing.
pub type Refused = &'static str;
pub const UNIQUE: Refused = "23505";
pub const FOREIGN_KEY: Refused = "23503";
pub const RIGHTS: Refused = "42501";

impl Act {
    /// The text and its parameters, all of them texts.
    #[must_use]
    pub fn sql(&self, tables: Tables, client: usize) -> (String, Vec<String>) {
        let whose = format!("c{client}-%");
        let key = format!("$1::text::{}", tables.key_type());
        let returning = |name: Name, answer: bool| match answer {
            true => format!(" RETURNING {}", tables.selected(name)),
            false => String::new(),
        };
        match self {
            Act::ReadAll { name } => (
                format!(
                    "SELECT {} FROM {} WHERE {} LIKE $1::text",
                    tables.selected(*name),
                    tables.table(*name),
                    tables.columns(*name).who
                ),
                vec![whose],
            ),
            Act::ReadOne { name, id, lock } => (
                format!(
                    "SELECT {} FROM public.{} AS t WHERE t.id = {key}{}",
                    tables.selected(*name),
                    tables.table(*name),
                    if *lock { " FOR UPDATE" } else { "" }
                ),
                vec![id.clone()],
            ),
            Act::ReadByRole { name, role } => (
                format!(
                    "SELECT {} FROM {} WHERE {} = '{role}' AND {} LIKE $1::text",
                    tables.selected(*name),
                    tables.table(*name),
                    tables.columns(*name).role,
                    tables.columns(*name).who
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
                let role = match name {
                    Name::Legacy => legacy_word(tables, row.role),
                    Name::Unified => row.role,
                };
                let mut values = vec![
                    id.clone(),
                    row.email.clone(),
                    row.name.clone(),
                    role.to_owned(),
                    row.margin.to_string(),
                    row.terms.to_string(),
                ];
                let insert = tables.insert(*name);
                if insert.contains("$7") {
                    values.push(row.phone.clone().unwrap_or_default());
                }
                let title = tables.columns(*name).title;
                let conflict = match upsert {
                    true => format!(" ON CONFLICT (id) DO UPDATE SET {title} = excluded.{title}"),
                    false => String::new(),
                };
                (
                    format!("{insert}{conflict}{}", returning(*name, *answer)),
                    values,
                )
            }
            Act::Update {
                name,
                id,
                to,
                answer,
            } => {
                let columns = tables.columns(*name);
                (
                    format!(
                        "UPDATE {} SET {margin} = {margin} + 1, {} = $2::text{} WHERE id = {key}{}",
                        tables.table(*name),
                        columns.title,
                        tables.further_terms(*name),
                        returning(*name, *answer),
                        margin = columns.margin,
                    ),
                    vec![id.clone(), to.clone()],
                )
            }
            Act::SetRole {
                name,
                id,
                role,
                answer,
            } => {
                let word = match name {
                    Name::Legacy => legacy_word(tables, role),
                    Name::Unified => role,
                };
                (
                    format!(
                        "UPDATE {} SET {} WHERE id = {key}{}",
                        tables.table(*name),
                        tables.set_role(*name),
                        returning(*name, *answer)
                    ),
                    vec![id.clone(), word.to_owned()],
                )
            }
            Act::SetPhone { id, phone } => (
                format!("UPDATE users SET phone = $2::text WHERE id = {key}"),
                vec![id.clone(), phone.clone()],
            ),
            Act::Rekey { id, to, answer } => (
                format!(
                    "UPDATE {} SET id = $2::text::{} WHERE id = {key}{}",
                    tables.table(Name::Legacy),
                    tables.key_type(),
                    returning(Name::Legacy, *answer)
                ),
                vec![id.clone(), to.clone()],
            ),
            Act::Delete { name, id, answer } => (
                format!(
                    "DELETE FROM {} WHERE id = {key}{}",
                    tables.table(*name),
                    returning(*name, *answer)
                ),
                vec![id.clone()],
            ),
            Act::UpdateAll { name } => (
                format!(
                    "UPDATE {} SET {margin} = {margin} + 1 WHERE {} LIKE $1::text",
                    tables.table(*name),
                    tables.columns(*name).who,
                    margin = tables.columns(*name).margin,
                ),
                vec![whose],
            ),
            Act::ReadDependents { table } => (
                format!(
                    "SELECT d.id::text, {}::text FROM {} AS d WHERE d.id / {DEPENDENTS_OF_ONE} = $1::text::integer",
                    referred("d"),
                    table.name()
                ),
                vec![(client + 1).to_string()],
            ),
            Act::ReadJoined { table } => (
                format!(
                    "SELECT d.id::text, t.email FROM {} AS d LEFT JOIN {} AS t ON t.id = {} \
                     WHERE d.id / {DEPENDENTS_OF_ONE} = $1::text::integer",
                    table.name(),
                    tables.table(Name::Legacy),
                    referred("d"),
                ),
                vec![(client + 1).to_string()],
            ),
            Act::Refer { table, id, to } => {
                let (names, values): (Vec<&str>, Vec<&str>) = COLUMNS
                    .iter()
                    .enumerate()
                    .map(|(at, (name, _))| match at == column_of(*id) {
                        true => (*name, key.as_str()),
                        false => (*name, "NULL"),
                    })
                    .unzip();
                (
                    format!(
                        "INSERT INTO {} (id, note, {}) VALUES ({id}, 'n', {})",
                        table.name(),
                        names.join(", "),
                        values.join(", ")
                    ),
                    vec![to.clone()],
                )
            }
            Act::Redirect { table, id, to } => (
                format!(
                    "UPDATE {} SET {} = {key} WHERE id = {id}",
                    table.name(),
                    COLUMNS[column_of(*id)].0
                ),
                vec![to.clone()],
            ),
            Act::LetGo { table, id } => (
                format!("DELETE FROM {} WHERE id = $1::text::integer", table.name()),
                vec![id.to_string()],
            ),
            Act::Forbidden { sql } => (sql.clone(), Vec::new()),
        }
    }

    /// An id of a client's own dependents.
    #[must_use]
    pub fn dependent_id(client: usize, number: usize) -> usize {
        (client + 1) * DEPENDENTS_OF_ONE + number
    }

    #[must_use]
    pub fn writes(&self) -> bool {
        match self {
            Act::ReadAll { .. }
            | Act::ReadOne { .. }
            | Act::ReadByRole { .. }
            | Act::ReadDependents { .. }
            | Act::ReadJoined { .. } => false,
            Act::Insert { .. }
            | Act::Update { .. }
            | Act::SetRole { .. }
            | Act::SetPhone { .. }
            | Act::Rekey { .. }
            | Act::Delete { .. }
            | Act::UpdateAll { .. }
            | Act::Refer { .. }
            | Act::Redirect { .. }
            | Act::LetGo { .. }
            | Act::Forbidden { .. } => true,
        }
    }

    /// Whether the rows come back; else only their count.
    #[must_use]
    pub fn answers(&self) -> bool {
        match self {
            Act::Insert { answer, .. }
            | Act::Update { answer, .. }
            | Act::SetRole { answer, .. }
            | Act::Rekey { answer, .. }
            | Act::Delete { answer, .. } => *answer,
            _ => !self.writes(),
        }
    }

    /// Does it to a world; whether that world would have answered so.
    pub fn happens(&self, tables: Tables, world: &mut World, answer: &Answer) -> bool {
        let Ok(mut expected) = self.effect(tables, world) else {
            return false;
        };
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

    /// Does it to a world; the rows of its answer, or why it must fail. What then refers to nothing may still do so
    /// at the end of its statement, but not of its transaction.
    pub fn effect(&self, tables: Tables, world: &mut World) -> Result<Vec<Line>, Refused> {
        // A row that the name does not show does not exist for the statement.
        let shown = |world: &World, name: Name, id: &str| {
            let row = world.rows.get(id)?;
            name.line(tables, id, row)
        };
        let change = |world: &mut World, name: Name, id: &str, how: &dyn Fn(&mut Row)| {
            let row = world.rows.get_mut(id)?;
            if name == Name::Legacy && row.role == CUSTOMER {
                return None;
            }
            how(row);
            name.line(tables, id, row)
        };
        let lines: Vec<Line> = match self {
            Act::ReadAll { name } => name.lines(tables, world),
            Act::ReadOne { name, id, .. } => shown(world, *name, id).into_iter().collect(),
            Act::ReadByRole { name, role } => {
                let mut lines = name.lines(tables, world);
                lines.retain(|line| line[3].as_deref() == Some(*role));
                lines
            }
            Act::Insert {
                name,
                id,
                row,
                upsert,
                ..
            } => {
                match world.rows.get_mut(id) {
                    Some(known) if *upsert => known.name.clone_from(&row.name),
                    Some(_) => return Err(UNIQUE),
                    None => {
                        world.rows.insert(id.clone(), row.clone());
                    }
                }
                shown(world, *name, id).into_iter().collect()
            }
            Act::Update { name, id, to, .. } => change(world, *name, id, &|row| {
                row.margin += 1;
                row.name.clone_from(to);
                row.terms += i64::from(*name == Name::Legacy);
            })
            .into_iter()
            .collect(),
            Act::SetRole { name, id, role, .. } => change(world, *name, id, &|row| row.role = role)
                .into_iter()
                .collect(),
            Act::SetPhone { id, phone } => {
                let set = |row: &mut Row| row.phone = Some(phone.clone());
                change(world, Name::Unified, id, &set).into_iter().collect()
            }
            Act::Rekey { id, to, .. } => {
                if shown(world, Name::Legacy, id).is_none() {
                    return Ok(Vec::new());
                }
                world.follow(tables, id, Change::Moved(to))?;
                if let Some(row) = world.rows.remove(id) {
                    world.rows.insert(to.clone(), row);
                }
                shown(world, Name::Legacy, to).into_iter().collect()
            }
            Act::Delete { name, id, .. } => {
                let line = shown(world, *name, id);
                if line.is_some() {
                    world.follow(tables, id, Change::Gone)?;
                    world.rows.remove(id);
                }
                line.into_iter().collect()
            }
            Act::UpdateAll { name } => {
                let ids: Vec<String> = world.rows.keys().cloned().collect();
                let each = |id: &String| change(world, *name, id, &|row| row.margin += 1);
                ids.iter().filter_map(each).collect()
            }
            Act::ReadDependents { table } => world.dependents(*table).lines(),
            Act::ReadJoined { table } => {
                let email = |of: String| match world.rows.get(&of) {
                    Some(row) => Some(row.email.clone()),
                    None if of == tables.shared_id(0) => Some("shared-0@example.com".to_owned()),
                    None => None,
                };
                let lines = world.dependents(*table).lines().into_iter();
                lines
                    .map(|mut line| {
                        let of = line.pop().flatten();
                        line.push(of.and_then(email));
                        line
                    })
                    .collect()
            }
            Act::Refer { table, id, to } => {
                if world.dependents(*table).0.contains_key(id) {
                    return Err(UNIQUE);
                }
                point(tables, world, *table, *id, to)?
            }
            Act::Redirect { table, id, to } => {
                if !world.dependents(*table).0.contains_key(id) {
                    return Ok(Vec::new());
                }
                point(tables, world, *table, *id, to)?
            }
            Act::LetGo { table, id } => {
                let gone = world.dependents_mut(*table).0.remove(id);
                gone.map(|_| Line::new()).into_iter().collect()
            }
            Act::Forbidden { .. } => return Err(RIGHTS),
        };
        Ok(lines)
    }
}

fn point(
    tables: Tables,
    world: &mut World,
    table: Table,
    id: usize,
    to: &str,
) -> Result<Vec<Line>, Refused> {
    if !may_wait(id) && !world.is_there(tables, to) {
        return Err(FOREIGN_KEY);
    }
    let dependents = world.dependents_mut(table);
    dependents.0.insert(id, Some(to.to_owned()));
    Ok(vec![Line::new()])
}
