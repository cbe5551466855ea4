//! A client: does at random what its model allows, and holds every answer against the model.

mod choice;
mod contended;
mod sending;
mod session;
mod transaction;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use self::sending::finds_nothing;
use self::session::{Failure, Session, Trail};
use super::Board;
use super::act::{Act, Answer, FOREIGN_KEY, RIGHTS};
use super::dependents::Table;
use super::model::{CUSTOMER, Line, Model, Name, World};
use super::tables::Tables;
use crossfade_demo::client::connect;
use crossfade_demo::dice::Dice;

/// A turn is a handful of statements; even across a crash, on a machine that has much else to do, there is an answer by
/// then.
const TURN_TIMEOUT: Duration = Duration::from_secs(300);
const RECONNECT: Duration = Duration::from_millis(20);

pub struct Tortured {
    pub number: usize,
    pub tables: Tables,
    pub role: Role,
    /// Through a proxy.
    pub url: String,
    /// Past it, to see whether a lost session's backend is gone.
    pub direct_url: String,
    pub board: Arc<Board>,
    pub dice: Dice,
    pub model: Model,
    serial: u64,
    connections: u64,
    keys_stay: bool,
    /// Ids and e-mail addresses of deleted rows, to be used again together.
    deleted: Vec<(String, String)>,
    trail: Trail,
}

/// Whom a client connects as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Of all tables.
    Owner,
    /// May read, insert and update, but delete nothing.
    Second,
}

impl Tortured {
    #[must_use]
    pub fn new(
        number: usize,
        tables: Tables,
        role: Role,
        url: String,
        direct_url: String,
        board: Arc<Board>,
        seed: u64,
    ) -> Self {
        Tortured {
            number,
            tables,
            role,
            url,
            direct_url,
            board,
            dice: Dice::new(seed),
            model: Model::default(),
            serial: 0,
            connections: 0,
            keys_stay: false,
            deleted: Vec::new(),
            trail: Trail::default(),
        }
    }

    /// Works until the board says stop; comes back with what it knows.
    pub async fn run(mut self) -> Self {
        while !self.board.is_stopping() {
            self.connections += 1;
            let name = format!("torture {} {}", self.number, self.connections);
            let Ok(db) = connect(&self.url, &name).await else {
                tokio::time::sleep(RECONNECT).await;
                continue;
            };
            let mut session = Session {
                db,
                name,
                prepared: HashMap::new(),
                trail: self.trail.clone(),
            };
            while !self.board.is_stopping() {
                let turn = async {
                    if self.model.is_certain() {
                        self.turn(&mut session).await
                    } else {
                        self.find_out(&mut session).await
                    }
                };
                let turn = tokio::time::timeout(TURN_TIMEOUT, turn).await;
                match turn {
                    Ok(Ok(())) => {}
                    Ok(Err(Failure::Lost)) => {
                        Board::count(&self.board.figures.connections_lost);
                        break;
                    }
                    Ok(Err(Failure::Conflict { fenced: true })) => {
                        Board::count(&self.board.figures.conflicts);
                    }
                    Ok(Err(Failure::Conflict { fenced: false })) => {
                        self.wrong("a conflict outside of any transaction");
                    }
                    Ok(Err(Failure::Error(_, text) | Failure::Wrong(text))) => self.wrong(&text),
                    Err(_elapsed) => self.wrong("no answer within five minutes"),
                }
            }
            let name = session.name.clone();
            drop(session);
            self.until_gone(&name).await;
        }
        self
    }

    /// What it did last.
    #[must_use]
    pub fn trail(&self) -> String {
        self.trail.text()
    }

    fn wrong(&self, what: &str) {
        let (number, trail) = (self.number, self.trail.text());
        self.board
            .wrong(format!("client {number}: {what}\nbefore:\n{trail}"));
    }

    /// A backend may outlive its client's connection and commit what it was doing.
    async fn until_gone(&self, name: &str) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
        loop {
            if let Ok(watcher) = connect(&self.direct_url, "watcher").await {
                while let Ok(row) = watcher.query_one(sql, &[&name]).await {
                    if row.get::<_, i64>(0) == 0 {
                        return;
                    }
                    tokio::time::sleep(RECONNECT).await;
                }
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    /// Which of two worlds it is: by the legacy names, and for what they do not show by a look at
    /// the unified table, which nobody but this client's statements has changed.
    async fn find_out(&mut self, session: &mut Session) -> Result<(), Failure> {
        let tables = self.tables;
        for act in [
            Act::ReadAll { name: Name::Legacy },
            Act::ReadDependents {
                table: Table::Errands,
            },
            Act::ReadDependents {
                table: Table::Pledges,
            },
        ] {
            let answer = self.simply_of(&session.db, &act).await?;
            let done = self.model.step(|world| act.happens(tables, world, &answer));
            self.told(&act, &answer, done)?;
        }
        let act = Act::ReadAll {
            name: Name::Unified,
        };
        let direct = connect(&self.direct_url, "find out").await;
        let direct = direct.map_err(|_down| Failure::Lost)?;
        let found = self.simply_of(&direct, &act).await?;
        let is_so = |world: &World| {
            // Before the backfill's end a row that legacy shows may be missing here.
            let lines = Name::Unified.lines(tables, world);
            let customers = |lines: &[Line]| {
                let role = |line: &&Line| line[3].as_deref() == Some(CUSTOMER);
                let mut found: Vec<Line> = lines.iter().filter(role).cloned().collect();
                found.sort();
                found
            };
            let phones = |line: &Line| {
                let same = lines.iter().find(|known| known[0] == line[0]);
                same.is_none_or(|known| known[5] == line[5])
            };
            customers(&lines) == customers(&found.rows) && found.rows.iter().all(phones)
        };
        self.model
            .keep(is_so)
            .map_err(|worlds| Failure::Wrong(format!("unified has {found:?}: {worlds}")))?;
        self.model.settle();
        Ok(())
    }

    async fn turn(&mut self, session: &mut Session) -> Result<(), Failure> {
        let board = Arc::clone(&self.board);
        // Both are held over the whole turn.
        let keys_stay = board.keys_stay.read().await;
        self.keys_stay = *keys_stay;
        let gate = board.unified_names.try_read().ok().filter(|open| **open);
        let names: &[Name] = match &gate {
            Some(_) if self.dice.below(2) == 0 => &[Name::Legacy, Name::Unified],
            Some(_) | None => &[Name::Legacy],
        };
        match self.dice.below(100) {
            0..45 => self.alone(session, names).await,
            45..75 => self.transaction(session, names).await,
            75..88 => self.shared(session, names).await,
            _rest => self.hot(session, names).await,
        }
    }

    /// One statement that is its own transaction.
    async fn alone(&mut self, session: &mut Session, names: &[Name]) -> Result<(), Failure> {
        let tables = self.tables;
        let act = self.choose(&self.model.clone(), names);
        let mut after = self.model.some().clone();
        let refused = match act.effect(tables, &mut after) {
            Ok(_) if after.dangling(tables).is_empty() => None,
            Ok(_) => Some(FOREIGN_KEY),
            Err(code) => Some(code),
        };
        match (self.perform(session, &act).await, refused) {
            (Ok(answer), None) => {
                let done = self.model.step(|world| act.happens(tables, world, &answer));
                self.told(&act, &answer, done)?;
                if act.writes() {
                    Board::count(&self.board.figures.commits);
                }
                Ok(())
            }
            (Ok(answer), Some(RIGHTS)) if finds_nothing(tables, &act, &answer) => Ok(()),
            (Ok(answer), Some(code)) => Err(Failure::Wrong(format!(
                "{act:?} must fail with {code} and was answered {answer:?}: {:#?}",
                self.model
            ))),
            (Err(Failure::Error(code, _)), Some(expected)) if code == expected => {
                self.was_refused(expected);
                Ok(())
            }
            (Err(Failure::Lost), _) => {
                if act.writes() {
                    Board::count(&self.board.figures.outcomes_unknown);
                }
                if act.writes() && refused.is_none() {
                    self.model = self.model.clone().or(Model::of(after));
                }
                Err(Failure::Lost)
            }
            (Err(Failure::Conflict { .. }), _) => self.conflict(),
            (Err(Failure::Error(_, text) | Failure::Wrong(text)), _) => Err(Failure::Wrong(
                format!("{act:?}: {text}, in {:#?}", self.model),
            )),
        }
    }

    fn was_refused(&self, code: &str) {
        let figures = &self.board.figures;
        Board::count(match code {
            RIGHTS => &figures.forbidden,
            FOREIGN_KEY => &figures.referred_to,
            _ => &figures.taken,
        });
    }

    fn conflict(&self) -> Result<(), Failure> {
        Board::count(&self.board.figures.conflicts);
        Ok(())
    }

    fn told(&self, act: &Act, answer: &Answer, done: Result<(), String>) -> Result<(), Failure> {
        done.map_err(|worlds| Failure::Wrong(format!("{act:?} was answered {answer:?}: {worlds}")))
    }
}
