//! Statements on their way: by the simple protocol, prepared once, or prepared for this once.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::Tortured;
use super::session::{Failure, Session};
use crate::torture::Board;
use crate::torture::act::{Act, Answer};
use crate::torture::tables::Tables;

impl Tortured {
    /// Sends a statement by the simple protocol, prepared once, or prepared for this once.
    pub(super) async fn perform(
        &mut self,
        session: &mut Session,
        act: &Act,
    ) -> Result<Answer, Failure> {
        Board::count(&self.board.figures.statements);
        let mode = self.dice.below(3);
        let answer = self.perform_in(session, act, mode).await;
        self.trail.note(&format!("{mode} {act:?}"), &answer);
        answer
    }

    pub(super) async fn perform_in(
        &self,
        session: &mut Session,
        act: &Act,
        mode: u64,
    ) -> Result<Answer, Failure> {
        let (sql, values) = act.sql(self.tables, self.number);
        if mode == 0 {
            return simply(&session.db, &sql, &values).await;
        }
        let statement = match session.prepared.get(&sql) {
            Some(statement) if mode == 1 => statement.clone(),
            Some(_) | None => {
                let statement = session.db.prepare(&sql).await?;
                if mode == 1 {
                    session.prepared.insert(sql, statement.clone());
                }
                statement
            }
        };
        let values: Vec<&(dyn ToSql + Sync)> = values
            .iter()
            .map(|value| value as &(dyn ToSql + Sync))
            .collect();
        if !act.answers() {
            let count = session.db.execute(&statement, &values).await?;
            return Ok(Answer {
                rows: Vec::new(),
                count,
            });
        }
        let rows = session.db.query(&statement, &values).await?;
        let rows: Vec<Vec<Option<String>>> = rows
            .iter()
            .map(|row| (0..row.len()).map(|column| row.get(column)).collect())
            .collect();
        Ok(Answer {
            count: rows.len() as u64,
            rows,
        })
    }

    pub(super) async fn simply_of(&self, db: &Client, act: &Act) -> Result<Answer, Failure> {
        let (sql, values) = act.sql(self.tables, self.number);
        let answer = simply(db, &sql, &values).await;
        self.trail.note(&format!("to find out {act:?}"), &answer);
        answer
    }
}

pub(super) fn with_literals(sql: &str, values: &[&str]) -> String {
    let mut text = sql.to_owned();
    for (index, value) in values.iter().enumerate() {
        text = text.replace(&format!("${}", index + 1), &format!("'{value}'"));
    }
    text
}

/// By the simple protocol, with the values as literals.
pub(super) async fn simply(db: &Client, sql: &str, values: &[String]) -> Result<Answer, Failure> {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let text = with_literals(sql, &values);
    let mut answer = Answer {
        rows: Vec::new(),
        count: u64::MAX,
    };
    for message in db.simple_query(&text).await? {
        match message {
            SimpleQueryMessage::Row(row) => answer.rows.push(
                (0..row.len())
                    .map(|column| row.get(column).map(str::to_owned))
                    .collect(),
            ),
            SimpleQueryMessage::CommandComplete(count) => answer.count = count,
            _other => {}
        }
    }
    Ok(answer)
}

/// By steps a write that finds no row asks for no right (docs/limits.md); of what is counted the models know.
pub(super) fn finds_nothing(tables: Tables, act: &Act, answer: &Answer) -> bool {
    let counts = matches!(act, Act::Forbidden { sql } if sql.starts_with("WITH gone"));
    tables == Tables::BySteps && (answer.count == 0 || counts)
}
