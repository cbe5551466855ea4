//! Rows that all clients write: counted up, of which nothing may get lost, and fought over.

use std::sync::atomic::Ordering;

use super::sending::with_literals;
use super::session::{Failure, Session};
use super::{Role, Tortured};
use crate::torture::act::UNIQUE;
use crate::torture::model::Name;
use crate::torture::{Board, SHARED_ROWS};

/// Keys that every client fights over; of them only the two sides' agreement is known.
const HOT_KEYS: u64 = 4;

impl Tortured {
    /// Counts up rows that everybody counts up: none of it may get lost.
    pub(super) async fn shared(
        &mut self,
        session: &mut Session,
        names: &[Name],
    ) -> Result<(), Failure> {
        if self.dice.below(3) == 0 {
            return self.read_shared(session, names).await;
        }
        let begin = self.begin();
        session.command(&begin).await?;
        let mut counted = [0_u64; SHARED_ROWS];
        // Different orders: some of these deadlock.
        for _ in 0..=self.dice.below(2) {
            let row = self.shared_row();
            let name = self.one_of(names);
            let sql = format!(
                "UPDATE {} SET {margin} = {margin} + 1 WHERE id = '{}'",
                self.tables.table(name),
                self.tables.shared_id(row),
                margin = self.tables.columns(name).margin,
            );
            Board::count(&self.board.figures.statements);
            match session.db.execute(&sql, &[]).await.map_err(Failure::from) {
                Ok(1) => counted[row] += 1,
                Ok(count) => {
                    return Err(Failure::Wrong(format!(
                        "{count} rows were changed by {sql}"
                    )));
                }
                Err(Failure::Conflict { .. }) => {
                    session.command("ROLLBACK").await?;
                    return self.conflict();
                }
                Err(Failure::Error(_, text)) => {
                    return Err(Failure::Wrong(format!("{sql}: {text}")));
                }
                Err(other) => return Err(other),
            }
        }
        let outcome = session.command("COMMIT").await;
        for (shared, count) in self.board.shared.iter().zip(counted) {
            match outcome {
                Ok(()) => shared.acknowledged.fetch_add(count, Ordering::SeqCst),
                Err(Failure::Lost) => shared.unknown.fetch_add(count, Ordering::SeqCst),
                Err(_) => 0,
            };
        }
        match outcome {
            Ok(()) => Board::count(&self.board.figures.commits),
            Err(Failure::Conflict { .. }) => return self.conflict(),
            Err(_) => {}
        }
        outcome
    }

    pub(super) async fn read_shared(
        &mut self,
        session: &mut Session,
        names: &[Name],
    ) -> Result<(), Failure> {
        let row = self.shared_row();
        let name = self.one_of(names);
        let sql = self.tables.shared_margin(name, row);
        // What was acknowledged before the question must be in the answer.
        let least = self.board.shared[row].acknowledged.load(Ordering::SeqCst);
        Board::count(&self.board.figures.statements);
        let rows = session.db.query(&sql, &[]).await?;
        let values: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        match values.as_slice() {
            [value] if u64::try_from(*value).is_ok_and(|value| value >= least) => Ok(()),
            _ => Err(Failure::Wrong(format!(
                "{sql}: {values:?}, where {least} increments were acknowledged"
            ))),
        }
    }

    pub(super) fn shared_row(&mut self) -> usize {
        usize::try_from(self.dice.below(SHARED_ROWS as u64)).unwrap_or_default()
    }

    /// Rows that everybody inserts, changes, moves and deletes: that both sides stay the same is
    /// all that is known of them.
    pub(super) async fn hot(
        &mut self,
        session: &mut Session,
        names: &[Name],
    ) -> Result<(), Failure> {
        let begin = self.begin();
        session.command(&begin).await?;
        for _ in 0..=self.dice.below(3) {
            let sql = self.hot_sql(names);
            Board::count(&self.board.figures.statements);
            match session.db.execute(&sql, &[]).await.map_err(Failure::from) {
                Ok(_) => {}
                Err(Failure::Conflict { .. }) => {
                    session.command("ROLLBACK").await?;
                    return self.conflict();
                }
                // A key that is taken.
                Err(Failure::Error(code, _)) if code == UNIQUE => {
                    return session.command("ROLLBACK").await;
                }
                Err(Failure::Error(_, text)) => {
                    return Err(Failure::Wrong(format!("{sql}: {text}")));
                }
                Err(other) => return Err(other),
            }
        }
        let end = if self.dice.below(5) == 0 {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        match session.command(end).await {
            Err(Failure::Conflict { .. }) => self.conflict(),
            other => other,
        }
    }

    pub(super) fn hot_sql(&mut self, names: &[Name]) -> String {
        let tables = self.tables;
        let name = self.one_of(names);
        let key = self.dice.below(HOT_KEYS);
        let id = tables.hot_id(key);
        let table = tables.table(name);
        let columns = tables.columns(name);
        let margin = columns.margin;
        let insert = || {
            let id = tables.hot_id(key);
            let email = format!("hot-{key}@example.com");
            let values = [&id, &email, "hot", "operator", "0", "0", ""];
            with_literals(tables.insert(name), &values)
        };
        let deletes = self.role == Role::Owner;
        // Nobody's settings are not to become somebody's.
        let inserts = tables.hides() || name == Name::Legacy;
        match self.dice.below(7) {
            0 if inserts => insert(),
            1 if inserts => format!(
                "{} ON CONFLICT (id) DO UPDATE SET {title} = excluded.{title} || '!'",
                insert(),
                title = columns.title
            ),
            2 if deletes => format!("DELETE FROM {table} WHERE id = '{id}'"),
            3 if deletes => format!("DELETE FROM {table} WHERE email = 'hot-{key}@example.com'"),
            4 if deletes && name == Name::Legacy => {
                let to = tables.hot_id(self.dice.below(HOT_KEYS));
                format!("UPDATE {table} SET id = '{to}' WHERE id = '{id}'")
            }
            5 => format!(
                "UPDATE {table} SET {margin} = {margin} + 1 WHERE {} LIKE 'hot-%'",
                columns.who
            ),
            _rest => format!("UPDATE {table} SET {margin} = {margin} + 1 WHERE id = '{id}'"),
        }
    }
}
