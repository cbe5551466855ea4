//! What a client does next, as its dice have it and its model allows.

use super::{Role, Tortured};
use crate::torture::act::Act;
use crate::torture::dependents::Table;
use crate::torture::model::{CUSTOMER, Model, Name, Row, World};
use crate::torture::tables::Tables;

/// Few enough that keys are deleted and used again all the time.
const KEYS: u64 = 12;
/// Of each table that refers to the rows: a few for each action of a foreign key.
const DEPENDENTS: u64 = 10;

impl Tortured {
    pub(super) fn choose(&mut self, model: &Model, names: &[Name]) -> Act {
        let world = model.some();
        if self.role == Role::Second && self.dice.below(100) < 12 {
            return self.forbidden(names);
        }
        let dangling = world.dangling(self.tables);
        if !dangling.is_empty() && self.dice.below(100) < 70 {
            let at = self.dice.below(dangling.len() as u64);
            let (table, id, to) = dangling[usize::try_from(at).unwrap_or_default()].clone();
            return self.settling(world, table, id, to);
        }
        let act = match self.dice.below(100) {
            0..35 => self.choose_dependent(world),
            _rest => self.choose_row(model, names),
        };
        match self.may(world, &act) {
            true => act,
            false => Act::ReadJoined {
                table: Table::Pledges,
            },
        }
    }

    /// Whether the model says what the statement does, and the client's role may do it.
    pub(super) fn may(&self, world: &World, act: &Act) -> bool {
        let tables = self.tables;
        let is_hidden = |id: &String| world.rows.get(id).is_some_and(|row| row.role == CUSTOMER);
        let rights = match act {
            Act::Delete { .. } | Act::Rekey { .. } | Act::LetGo { .. } => self.role == Role::Owner,
            // A row that is hidden is deleted from legacy.
            Act::SetRole { role, .. } => self.role == Role::Owner || *role != CUSTOMER,
            _ => true,
        };
        rights
            && match act {
                // What refers to a row that is hidden goes or stays by phase.
                Act::SetRole { id, role, .. } if *role == CUSTOMER => {
                    tables.hides() && !world.is_referred_to(id)
                }
                Act::Insert { id, row, .. } => row.role != CUSTOMER || !world.is_referred_to(id),
                // Settings of nobody stay so.
                Act::SetRole { id, .. } => tables.hides() || !is_hidden(id),
                Act::SetPhone { .. } => tables.hides(),
                Act::Delete {
                    name: Name::Unified,
                    id,
                    ..
                } => tables.keys_are_unified() || !world.pledges.refer_to(id),
                Act::Refer { to, .. } | Act::Redirect { to, .. } => !is_hidden(to),
                _ => true,
            }
    }

    /// What keeps a transaction from failing: what is missing comes, or what refers to it goes or turns elsewhere.
    pub(super) fn settling(&mut self, world: &World, table: Table, id: usize, to: String) -> Act {
        let deletes = self.role == Role::Owner;
        match self.dice.below(3) {
            0 if deletes => Act::LetGo { table, id },
            0 | 1 => Act::Redirect {
                table,
                id,
                to: self.tables.shared_id(0),
            },
            _rest => {
                self.serial += 1;
                let email = format!("c{}-{}@example.com", self.number, self.serial);
                debug_assert!(!world.rows.contains_key(&to));
                Act::Insert {
                    name: Name::Legacy,
                    id: to,
                    row: self.row_of(Name::Legacy, email),
                    upsert: false,
                    answer: true,
                }
            }
        }
    }

    pub(super) fn choose_dependent(&mut self, world: &World) -> Act {
        let table = match self.dice.below(2) {
            0 => Table::Errands,
            _rest => Table::Pledges,
        };
        let number = usize::try_from(self.dice.below(DEPENDENTS)).unwrap_or_default();
        let id = Act::dependent_id(self.number, number);
        let is_there = world.dependents(table).0.contains_key(&id);
        // Sometimes a row that is not there.
        let rows: Vec<&String> = world.rows.keys().collect();
        let to = match self.dice.below(8) {
            0 => self.id(),
            _rest if rows.is_empty() => self.id(),
            _rest => {
                let at = self.dice.below(rows.len() as u64);
                rows[usize::try_from(at).unwrap_or_default()].clone()
            }
        };
        match self.dice.below(100) {
            0..15 => Act::ReadDependents { table },
            15..35 => Act::ReadJoined { table },
            35..60 if is_there => Act::Redirect { table, id, to },
            60..100 if is_there => Act::LetGo { table, id },
            _rest => Act::Refer { table, id, to },
        }
    }

    /// What the second role may not do, to rows of whoever.
    pub(super) fn forbidden(&mut self, names: &[Name]) -> Act {
        let tables = self.tables;
        let name = self.one_of(names);
        let (table, columns) = (tables.table(name), tables.columns(name));
        let whose = usize::try_from(self.dice.below(8)).unwrap_or_default();
        let id = tables.own_id(whose, self.dice.below(KEYS));
        let id = format!("'{id}'::{}", tables.key_type());
        let legacy = tables.table(Name::Legacy);
        let sql = match self.dice.below(10) {
            0 => format!("DELETE FROM {table} WHERE id = {id}"),
            1 => format!("DELETE FROM {table} WHERE id = {id} RETURNING id"),
            2 => format!("DELETE FROM {table} WHERE {} LIKE 'shared-%'", columns.who),
            3 => format!(
                "WITH gone AS (DELETE FROM {table} WHERE id = {id} RETURNING id) SELECT count(*) FROM gone"
            ),
            4 => format!("DELETE FROM pledges WHERE id / 1000 = {}", whose + 1),
            5 => format!("DELETE FROM errands WHERE id / 1000 = {}", whose + 1),
            6 => "TRUNCATE pledges".to_owned(),
            7 => format!(
                "UPDATE {legacy} SET {} = 'stolen' WHERE id = {id} AND EXISTS (SELECT FROM strongbox)",
                columns.title
            ),
            8 => format!(
                "UPDATE {legacy} SET {} = s.note FROM strongbox AS s WHERE {legacy}.id = {id}",
                columns.title
            ),
            _rest => format!(
                "DELETE FROM pledges AS p USING {legacy} AS t WHERE t.id = {id} AND p.cascading = t.id"
            ),
        };
        Act::Forbidden { sql }
    }

    pub(super) fn choose_row(&mut self, model: &Model, names: &[Name]) -> Act {
        let name = self.one_of(names);
        let answer = self.dice.below(2) == 0;
        let id = self.id();
        // What the name does not show is free for it only if it is free for all.
        let rows = &model.some().rows;
        let hidden = rows.get(&id).is_some_and(|row| row.role == CUSTOMER);
        match self.dice.below(100) {
            0..12 => Act::ReadAll { name },
            12..24 => Act::ReadOne {
                name,
                id,
                lock: answer,
            },
            24..30 => Act::ReadByRole {
                name,
                role: ["admin", "operator"][usize::from(answer)],
            },
            30..52 => {
                let (id, row) = self.new_row(model, name, id);
                Act::Insert {
                    name,
                    upsert: rows.contains_key(&id) && !(hidden && name == Name::Legacy),
                    id,
                    row,
                    answer,
                }
            }
            52..66 => Act::Update {
                name,
                id,
                to: format!("Name {}", self.dice.below(1000)),
                answer,
            },
            66..74 => {
                let roles: &[&'static str] = match name {
                    Name::Legacy => &["sales_rep", "admin", "operator"],
                    Name::Unified => &["sales_rep", "admin", CUSTOMER],
                };
                let at = usize::try_from(self.dice.below(3)).unwrap_or_default();
                Act::SetRole {
                    name,
                    id,
                    role: roles[at],
                    answer,
                }
            }
            74..78 if name == Name::Unified => Act::SetPhone {
                id,
                phone: format!("+{}", self.dice.below(1_000_000)),
            },
            78..100 if self.keys_stay && rows.get(&id).is_some_and(|row| row.phone.is_some()) => {
                Act::ReadOne {
                    name,
                    id,
                    lock: answer,
                }
            }
            78..84 => {
                let to = self.id();
                if rows.contains_key(&to) || hidden {
                    return Act::Delete { name, id, answer };
                }
                Act::Rekey { id, to, answer }
            }
            84..86 => Act::UpdateAll { name },
            _rest => {
                if let Some(row) = rows.get(&id) {
                    self.deleted.push((id.clone(), row.email.clone()));
                    // Older ones matter less than those that a sweep may not have reached.
                    if self.deleted.len() > 4 {
                        self.deleted.remove(0);
                    }
                }
                Act::Delete { name, id, answer }
            }
        }
    }

    /// An id that is free, with an e-mail address of its own, or one that is taken, for an upsert.
    pub(super) fn new_row(&mut self, model: &Model, name: Name, id: String) -> (String, Row) {
        let rows = &model.some().rows;
        let is_free = |id: &String, email: &String| {
            !rows.contains_key(id) && rows.values().all(|row| row.email != *email)
        };
        let at = self
            .deleted
            .iter()
            .position(|(id, email)| is_free(id, email));
        let again = at
            .filter(|_| self.dice.below(2) == 0)
            .map(|at| self.deleted.remove(at));
        self.serial += 1;
        let fresh = format!("c{}-{}@example.com", self.number, self.serial);
        let (id, email) = match (again, rows.get(&id)) {
            (Some(again), _) => again,
            (None, Some(row)) if row.role == CUSTOMER => {
                // Nothing under the legacy name may take a customer's place.
                let ids = (0..KEYS).map(|key| self.tables.own_id(self.number, key));
                let free = ids.into_iter().find(|id| !rows.contains_key(id));
                (
                    free.unwrap_or_else(|| self.tables.own_id(self.number, KEYS + self.serial)),
                    fresh,
                )
            }
            (None, _) => (id, fresh),
        };
        (id, self.row_of(name, email))
    }

    pub(super) fn row_of(&mut self, name: Name, email: String) -> Row {
        let roles = ["sales_rep", "admin", "operator", CUSTOMER];
        let at = match (name, self.tables) {
            (Name::Unified, Tables::BySteps) => 3,
            (Name::Unified, Tables::ByColumns) if self.role == Role::Owner => self.dice.below(4),
            (Name::Legacy | Name::Unified, _) => self.dice.below(3),
        };
        let phone = name == Name::Unified && self.tables.hides() && self.dice.below(2) == 0;
        Row {
            email,
            name: format!("Name {}", self.dice.below(1000)),
            role: roles[usize::try_from(at).unwrap_or_default()],
            margin: i64::try_from(self.dice.below(100)).unwrap_or_default(),
            terms: i64::try_from(self.dice.below(100)).unwrap_or_default(),
            phone: phone.then(|| format!("+{}", self.dice.below(1_000_000))),
        }
    }

    pub(super) fn id(&mut self) -> String {
        let key = self.dice.below(KEYS);
        self.tables.own_id(self.number, key)
    }

    pub(super) fn one_of(&mut self, names: &[Name]) -> Name {
        let at = self.dice.below(names.len() as u64);
        names[usize::try_from(at).unwrap_or_default()]
    }
}
