//! A client: does at random what its model allows, and holds every answer against the model.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossfade_demo::client::connect;
use crossfade_demo::dice::Dice;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, SimpleQueryMessage, Statement};

use super::act::{Act, Answer, FOREIGN_KEY, RIGHTS, UNIQUE};
use super::dependents::Table;
use super::model::{CUSTOMER, Line, Model, Name, Row, World};
use super::tables::Tables;
use super::{Board, SHARED_ROWS};

/// Few enough that keys are deleted and used again all the time.
const KEYS: u64 = 12;
/// Keys that every client fights over; of them only the two sides' agreement is known.
const HOT_KEYS: u64 = 4;
/// Of each table that refers to the rows: a few for each action of a foreign key.
const DEPENDENTS: u64 = 10;
/// A turn is a handful of statements; even across a crash, on a machine that has much else to do, there is an answer by
/// then.
const TURN_TIMEOUT: Duration = Duration::from_secs(300);
const RECONNECT: Duration = Duration::from_millis(20);
/// What a client did last, to be read where an answer was wrong.
const TRAIL: usize = 60;
const ISOLATION: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

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

/// The latest statements with their outcomes, and when these were there.
#[derive(Clone, Default)]
struct Trail(Arc<Mutex<VecDeque<String>>>);

impl Trail {
    fn note<T>(&self, what: &str, outcome: &Result<T, Failure>) {
        let outcome = match outcome {
            Ok(_) => "ok",
            Err(Failure::Lost) => "lost",
            Err(Failure::Conflict { .. }) => "conflict",
            Err(Failure::Error(_, text) | Failure::Wrong(text)) => text,
        };
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TRAIL {
            lines.pop_front();
        }
        lines.push_back(format!("{} {what}: {outcome}", super::now()));
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("  {line}\n")).collect()
    }
}

/// Whom a client connects as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Of all tables.
    Owner,
    /// May read, insert and update, but delete nothing.
    Second,
}

/// Why a statement has no answer.
enum Failure {
    /// The connection is gone; what it was about to do may have been done.
    Lost,
    /// A serialization failure or a deadlock: nothing was done.
    Conflict {
        /// Of a statement whose epoch was closed, which may come outside of a transaction as well.
        fenced: bool,
    },
    /// Another error, with its SQLSTATE.
    Error(String, String),
    Wrong(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let text = format!("{error:?}");
            // Anything else says that the protocol was broken.
            return if error.is_closed() || text.contains("kind: Io") {
                Failure::Lost
            } else {
                Failure::Wrong(text)
            };
        };
        let code = db.code().code();
        if matches!(db.severity(), "FATAL" | "PANIC") || code.starts_with("08") {
            return Failure::Lost;
        }
        match code {
            // A proxy that has just started and does not know the phase yet.
            "57P03" => Failure::Conflict { fenced: true },
            "40001" | "40P01" => Failure::Conflict {
                fenced: db.message().contains("not in force any more"),
            },
            // Documented: where a lens alone sees to a foreign key.
            "0A000"
                if db
                    .message()
                    .starts_with("at REPEATABLE READ nothing can tell") =>
            {
                Failure::Conflict { fenced: false }
            }
            // The postmaster's word for "another process broke, end": always FATAL from a server.
            _ => Failure::Error(code.to_owned(), format!("{code} {}", db.message())),
        }
    }
}

struct Session {
    db: Client,
    name: String,
    prepared: HashMap<String, Statement>,
    trail: Trail,
}

impl Session {
    async fn command(&self, sql: &str) -> Result<(), Failure> {
        let outcome = self.db.batch_execute(sql).await.map_err(Failure::from);
        self.trail.note(sql, &outcome);
        outcome
    }
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

    /// Several statements, savepoints among them; committed more often than not.
    async fn transaction(&mut self, session: &mut Session, names: &[Name]) -> Result<(), Failure> {
        let mut working = self.model.clone();
        let begin = self.begin();
        session.command(&begin).await?;
        for _ in 0..=self.dice.below(4) {
            let done = match self.dice.below(10) {
                0..2 => self.savepoint(session, names, &mut working).await,
                2 => self.insert_twice(session, &working).await,
                3 => self.look_now(session, &working).await,
                _rest => self.act_on(session, names, &mut working).await,
            };
            match done {
                Ok(()) => {}
                Err(Failure::Conflict { .. }) => {
                    session.command("ROLLBACK").await?;
                    return self.conflict();
                }
                Err(other) => {
                    return Err(match other {
                        Failure::Wrong(text) => Failure::Wrong(format!("in {begin}: {text}")),
                        other => other,
                    });
                }
            }
        }
        if self.dice.below(4) == 0 {
            return session.command("ROLLBACK").await;
        }
        let dangling = working.some().dangling(self.tables);
        match session.command("COMMIT").await {
            Ok(()) if dangling.is_empty() => {
                Board::count(&self.board.figures.commits);
                self.model = working;
                Ok(())
            }
            Ok(()) => Err(Failure::Wrong(format!(
                "in {begin}: committed, though {dangling:?} refer to nothing"
            ))),
            Err(Failure::Error(code, _)) if code == FOREIGN_KEY && !dangling.is_empty() => {
                self.was_refused(FOREIGN_KEY);
                Ok(())
            }
            Err(Failure::Lost) => {
                Board::count(&self.board.figures.outcomes_unknown);
                if dangling.is_empty() {
                    self.model = self.model.clone().or(working);
                }
                Err(Failure::Lost)
            }
            Err(Failure::Conflict { .. }) => self.conflict(),
            Err(Failure::Error(_, text)) => Err(Failure::Wrong(format!(
                "COMMIT of {begin}: {text}, in {working:#?}"
            ))),
            Err(other) => Err(other),
        }
    }

    fn begin(&mut self) -> String {
        let level = usize::try_from(self.dice.below(3)).unwrap_or_default();
        format!("BEGIN ISOLATION LEVEL {}", ISOLATION[level])
    }

    async fn act_on(
        &mut self,
        session: &mut Session,
        names: &[Name],
        working: &mut Model,
    ) -> Result<(), Failure> {
        let act = self.choose(working, names);
        let tables = self.tables;
        let refused = act.effect(tables, &mut working.some().clone()).err();
        if refused.is_some() {
            session.command("SAVEPOINT refused").await?;
        }
        match (self.perform(session, &act).await, refused) {
            (Ok(answer), None) => {
                let done = working.step(|world| act.happens(tables, world, &answer));
                self.told(&act, &answer, done)
            }
            (Ok(answer), Some(RIGHTS)) if finds_nothing(tables, &act, &answer) => {
                session.command("ROLLBACK TO SAVEPOINT refused").await
            }
            (Ok(answer), Some(code)) => Err(Failure::Wrong(format!(
                "{act:?} must fail with {code} and was answered {answer:?}: {working:#?}"
            ))),
            (Err(Failure::Error(code, _)), Some(expected)) if code == expected => {
                self.was_refused(expected);
                session.command("ROLLBACK TO SAVEPOINT refused").await
            }
            (Err(Failure::Error(_, text)), _) => {
                Err(Failure::Wrong(format!("{act:?}: {text}, in {working:#?}")))
            }
            (Err(other), _) => Err(other),
        }
    }

    /// What is deferred, looked at now: whether all that refers has something to refer to.
    async fn look_now(&mut self, session: &mut Session, working: &Model) -> Result<(), Failure> {
        session.command("SAVEPOINT now").await?;
        let dangling = working.some().dangling(self.tables);
        let looked = session.command("SET CONSTRAINTS ALL IMMEDIATE").await;
        match looked {
            Ok(()) if dangling.is_empty() => session.command("SET CONSTRAINTS ALL DEFERRED").await,
            Ok(()) => Err(Failure::Wrong(format!(
                "SET CONSTRAINTS ALL IMMEDIATE, though {dangling:?} refer to nothing"
            ))),
            Err(Failure::Error(code, _)) if code == FOREIGN_KEY && !dangling.is_empty() => {
                self.was_refused(FOREIGN_KEY);
                session.command("ROLLBACK TO SAVEPOINT now").await
            }
            Err(Failure::Error(_, text)) => Err(Failure::Wrong(format!(
                "SET CONSTRAINTS ALL IMMEDIATE: {text}, in {working:#?}"
            ))),
            Err(other) => Err(other),
        }
    }

    async fn savepoint(
        &mut self,
        session: &mut Session,
        names: &[Name],
        working: &mut Model,
    ) -> Result<(), Failure> {
        session.command("SAVEPOINT s").await?;
        let before = working.clone();
        for _ in 0..=self.dice.below(2) {
            self.act_on(session, names, working).await?;
        }
        if self.dice.below(2) == 0 {
            *working = before;
            return session.command("ROLLBACK TO SAVEPOINT s").await;
        }
        session.command("RELEASE SAVEPOINT s").await
    }

    /// A second row with a key that is there must be refused, and the transaction goes on.
    async fn insert_twice(
        &mut self,
        session: &mut Session,
        working: &Model,
    ) -> Result<(), Failure> {
        let world = working.some();
        let mut rows = world.rows.iter();
        let Some((id, row)) = rows.find(|(_, row)| row.role != CUSTOMER) else {
            return Ok(());
        };
        let act = Act::Insert {
            name: Name::Legacy,
            id: id.clone(),
            row: row.clone(),
            upsert: false,
            answer: false,
        };
        session.command("SAVEPOINT twice").await?;
        match self.perform(session, &act).await {
            Err(Failure::Error(code, _)) if code == UNIQUE => {
                self.was_refused(UNIQUE);
                session.command("ROLLBACK TO SAVEPOINT twice").await
            }
            Err(Failure::Error(_, text)) => Err(Failure::Wrong(text)),
            Ok(_) => Err(Failure::Wrong(format!("a second {id} was let in"))),
            Err(other) => Err(other),
        }
    }

    /// Counts up rows that everybody counts up: none of it may get lost.
    async fn shared(&mut self, session: &mut Session, names: &[Name]) -> Result<(), Failure> {
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

    async fn read_shared(&mut self, session: &mut Session, names: &[Name]) -> Result<(), Failure> {
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

    fn shared_row(&mut self) -> usize {
        usize::try_from(self.dice.below(SHARED_ROWS as u64)).unwrap_or_default()
    }

    /// Rows that everybody inserts, changes, moves and deletes: that both sides stay the same is
    /// all that is known of them.
    async fn hot(&mut self, session: &mut Session, names: &[Name]) -> Result<(), Failure> {
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

    fn hot_sql(&mut self, names: &[Name]) -> String {
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

    fn one_of(&mut self, names: &[Name]) -> Name {
        let at = self.dice.below(names.len() as u64);
        names[usize::try_from(at).unwrap_or_default()]
    }

    /// Sends a statement by the simple protocol, prepared once, or prepared for this once.
    async fn perform(&mut self, session: &mut Session, act: &Act) -> Result<Answer, Failure> {
        Board::count(&self.board.figures.statements);
        let mode = self.dice.below(3);
        let answer = self.perform_in(session, act, mode).await;
        self.trail.note(&format!("{mode} {act:?}"), &answer);
        answer
    }

    async fn perform_in(
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

    fn choose(&mut self, model: &Model, names: &[Name]) -> Act {
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
    fn may(&self, world: &World, act: &Act) -> bool {
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
    fn settling(&mut self, world: &World, table: Table, id: usize, to: String) -> Act {
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

    fn choose_dependent(&mut self, world: &World) -> Act {
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
    fn forbidden(&mut self, names: &[Name]) -> Act {
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

    fn choose_row(&mut self, model: &Model, names: &[Name]) -> Act {
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
    fn new_row(&mut self, model: &Model, name: Name, id: String) -> (String, Row) {
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

    fn row_of(&mut self, name: Name, email: String) -> Row {
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

    fn id(&mut self) -> String {
        let key = self.dice.below(KEYS);
        self.tables.own_id(self.number, key)
    }

    async fn simply_of(&self, db: &Client, act: &Act) -> Result<Answer, Failure> {
        let (sql, values) = act.sql(self.tables, self.number);
        let answer = simply(db, &sql, &values).await;
        self.trail.note(&format!("to find out {act:?}"), &answer);
        answer
    }
}

fn with_literals(sql: &str, values: &[&str]) -> String {
    let mut text = sql.to_owned();
    for (index, value) in values.iter().enumerate() {
        text = text.replace(&format!("${}", index + 1), &format!("'{value}'"));
    }
    text
}

/// By the simple protocol, with the values as literals.
async fn simply(db: &Client, sql: &str, values: &[String]) -> Result<Answer, Failure> {
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
fn finds_nothing(tables: Tables, act: &Act, answer: &Answer) -> bool {
    let counts = matches!(act, Act::Forbidden { sql } if sql.starts_with("WITH gone"));
    tables == Tables::BySteps && (answer.count == 0 || counts)
}
