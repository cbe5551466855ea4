//! A client: does at random what its model allows, and holds every answer against the model.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossfade_demo::client::connect;
use crossfade_demo::dice::Dice;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, SimpleQueryMessage, Statement};

use super::act::{Act, Answer};
use super::model::{CUSTOMER, Line, Model, Name, Row, World};
use super::{Board, SHARED_ROWS};

/// Few enough that keys are deleted and used again all the time.
const KEYS: u64 = 12;
/// Keys that every client fights over; of them only the two sides' agreement is known.
const HOT_KEYS: u64 = 4;
/// A turn is a handful of statements; even across a crash there is an answer by then.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);
const RECONNECT: Duration = Duration::from_millis(20);
const ISOLATION: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

pub struct Tortured {
    pub number: usize,
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
}

/// Why a statement has no answer.
enum Failure {
    /// The connection is gone; what it was about to do may have been done.
    Lost,
    /// A serialization failure or a deadlock: nothing was done.
    Conflict,
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
            "40001" | "40P01" => Failure::Conflict,
            // The postmaster's word for "another process broke, end": always FATAL from a server.
            _ => Failure::Error(code.to_owned(), format!("{code} {}", db.message())),
        }
    }
}

struct Session {
    db: Client,
    name: String,
    prepared: HashMap<String, Statement>,
}

impl Session {
    async fn command(&self, sql: &str) -> Result<(), Failure> {
        Ok(self.db.batch_execute(sql).await?)
    }
}

impl Tortured {
    #[must_use]
    pub fn new(
        number: usize,
        url: String,
        direct_url: String,
        board: Arc<Board>,
        seed: u64,
    ) -> Self {
        Tortured {
            number,
            url,
            direct_url,
            board,
            dice: Dice::new(seed),
            model: Model::default(),
            serial: 0,
            connections: 0,
            keys_stay: false,
            deleted: Vec::new(),
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
                    Ok(Err(Failure::Conflict)) => {
                        self.wrong("a conflict outside of any transaction");
                    }
                    Ok(Err(Failure::Error(_, text) | Failure::Wrong(text))) => self.wrong(&text),
                    Err(_elapsed) => self.wrong("no answer within a minute"),
                }
            }
            let name = session.name.clone();
            drop(session);
            self.until_gone(&name).await;
        }
        self
    }

    fn wrong(&self, what: &str) {
        self.board.wrong(format!("client {}: {what}", self.number));
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

    /// Which of two worlds it is: by the legacy name, and for what that does not show by a look at
    /// the unified table, which nobody but this client's statements has changed.
    async fn find_out(&mut self, session: &mut Session) -> Result<(), Failure> {
        let act = Act::ReadAll { name: Name::Legacy };
        let answer = simply_of(&session.db, &act, self.number).await?;
        let done = self.model.step(|world| act.happens(world, &answer));
        self.told(&act, &answer, done)?;
        let act = Act::ReadAll {
            name: Name::Unified,
        };
        let direct = connect(&self.direct_url, "find out").await;
        let direct = direct.map_err(|_down| Failure::Lost)?;
        let found = simply_of(&direct, &act, self.number).await?;
        let is_so = |world: &World| {
            // Before the backfill's end a row that legacy shows may be missing here.
            let lines = Name::Unified.lines(world);
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
            .map_err(|worlds| Failure::Wrong(format!("users has {found:?}: {worlds}")))?;
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
        let act = self.choose(&self.model.clone(), names);
        match self.perform(session, &act).await {
            Ok(answer) => {
                let done = self.model.step(|world| act.happens(world, &answer));
                self.told(&act, &answer, done)?;
                if act.writes() {
                    Board::count(&self.board.figures.commits);
                }
                Ok(())
            }
            Err(Failure::Lost) => {
                if act.writes() {
                    Board::count(&self.board.figures.outcomes_unknown);
                    let mut after = self.model.clone();
                    let _all = after.step(|world| {
                        act.effect(world);
                        true
                    });
                    self.model = self.model.clone().or(after);
                }
                Err(Failure::Lost)
            }
            Err(Failure::Conflict) => self.conflict(),
            Err(Failure::Error(_, text) | Failure::Wrong(text)) => {
                Err(Failure::Wrong(format!("{act:?}: {text}")))
            }
        }
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
                _rest => self.act_on(session, names, &mut working).await,
            };
            match done {
                Ok(()) => {}
                Err(Failure::Conflict) => {
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
        match session.command("COMMIT").await {
            Ok(()) => {
                Board::count(&self.board.figures.commits);
                self.model = working;
                Ok(())
            }
            Err(Failure::Lost) => {
                Board::count(&self.board.figures.outcomes_unknown);
                self.model = self.model.clone().or(working);
                Err(Failure::Lost)
            }
            Err(Failure::Conflict) => self.conflict(),
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
        let answer = match self.perform(session, &act).await {
            Ok(answer) => answer,
            Err(Failure::Error(_, text)) => {
                return Err(Failure::Wrong(format!("{act:?}: {text}")));
            }
            Err(other) => return Err(other),
        };
        let done = working.step(|world| act.happens(world, &answer));
        self.told(&act, &answer, done)
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
        let Some((id, row)) = world.iter().find(|(_, row)| row.legacy_role().is_some()) else {
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
            Err(Failure::Error(code, _)) if code == "23505" => {
                session.command("ROLLBACK TO SAVEPOINT twice").await
            }
            Err(Failure::Error(_, text)) => Err(Failure::Wrong(text)),
            // The row may be one that another possible world lacks.
            Ok(_)
                if working
                    .clone()
                    .keep(|world| !world.contains_key(id))
                    .is_ok() =>
            {
                session.command("ROLLBACK TO SAVEPOINT twice").await
            }
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
            let sql = format!(
                "UPDATE {} SET margin_value = margin_value + 1 WHERE clerk_user_id = 'shared-{row}'",
                self.one_of(names).table()
            );
            Board::count(&self.board.figures.statements);
            match session.db.execute(&sql, &[]).await.map_err(Failure::from) {
                Ok(1) => counted[row] += 1,
                Ok(count) => {
                    return Err(Failure::Wrong(format!(
                        "{count} rows were changed by {sql}"
                    )));
                }
                Err(Failure::Conflict) => {
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
            Err(Failure::Conflict) => return self.conflict(),
            Err(_) => {}
        }
        outcome
    }

    async fn read_shared(&mut self, session: &mut Session, names: &[Name]) -> Result<(), Failure> {
        let row = self.shared_row();
        let sql = format!(
            "SELECT margin_value::int8 FROM {} WHERE clerk_user_id = 'shared-{row}'",
            self.one_of(names).table()
        );
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
                Err(Failure::Conflict) => {
                    session.command("ROLLBACK").await?;
                    return self.conflict();
                }
                // A key that is taken.
                Err(Failure::Error(code, _)) if code == "23505" => {
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
            Err(Failure::Conflict) => self.conflict(),
            other => other,
        }
    }

    fn hot_sql(&mut self, names: &[Name]) -> String {
        let name = self.one_of(names);
        let key = self.dice.below(HOT_KEYS);
        let id = hot_id(key);
        let table = name.table();
        match self.dice.below(7) {
            0 => format!(
                "INSERT INTO {table} (id, clerk_user_id, email, full_name, role) VALUES ('{id}', \
                 'hot-{key}', 'hot-{key}@example.com', 'hot', 'operator')"
            ),
            1 => format!(
                "INSERT INTO {table} (id, clerk_user_id, email, full_name, role) VALUES ('{id}', \
                 'hot-{key}', 'hot-{key}@example.com', 'hot', 'operator') \
                 ON CONFLICT (id) DO UPDATE SET full_name = excluded.full_name || '!'"
            ),
            2 => format!("DELETE FROM {table} WHERE id = '{id}'"),
            3 => format!("DELETE FROM {table} WHERE email = 'hot-{key}@example.com'"),
            4 if name == Name::Legacy => {
                let to = hot_id(self.dice.below(HOT_KEYS));
                format!("UPDATE iso_agents SET id = '{to}' WHERE id = '{id}'")
            }
            5 => format!(
                "UPDATE {table} SET margin_value = margin_value + 1 WHERE clerk_user_id LIKE 'hot-%'"
            ),
            _rest => {
                format!("UPDATE {table} SET margin_value = margin_value + 1 WHERE id = '{id}'")
            }
        }
    }

    fn one_of(&mut self, names: &[Name]) -> Name {
        let at = self.dice.below(names.len() as u64);
        names[usize::try_from(at).unwrap_or_default()]
    }

    /// Sends a statement by the simple protocol, prepared once, or prepared for this once.
    async fn perform(&mut self, session: &mut Session, act: &Act) -> Result<Answer, Failure> {
        Board::count(&self.board.figures.statements);
        let (sql, values) = act.sql(self.number);
        let mode = self.dice.below(3);
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
        let name = self.one_of(names);
        let answer = self.dice.below(2) == 0;
        let id = self.id();
        // What the name does not show is free for it only if it is free for all.
        let hidden = model
            .some()
            .get(&id)
            .is_some_and(|row| row.role == CUSTOMER);
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
                    upsert: model.some().contains_key(&id) && !(hidden && name == Name::Legacy),
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
            78..100
                if self.keys_stay
                    && model.some().get(&id).is_some_and(|row| row.phone.is_some()) =>
            {
                Act::ReadOne {
                    name,
                    id,
                    lock: answer,
                }
            }
            78..84 => {
                let to = self.id();
                if model.some().contains_key(&to) || hidden {
                    return Act::Delete { name, id, answer };
                }
                Act::Rekey { id, to, answer }
            }
            84..86 => Act::UpdateAll { name },
            _rest => {
                if let Some(row) = model.some().get(&id) {
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
        let world = model.some();
        let is_free = |id: &String, email: &String| {
            !world.contains_key(id) && world.values().all(|row| row.email != *email)
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
        let (id, email) = match (again, world.get(&id)) {
            (Some(again), _) => again,
            (None, Some(row)) if row.role == CUSTOMER => {
                // Nothing under the legacy name may take a customer's place.
                let ids = (0..KEYS).map(|key| own_id(self.number, key));
                let free = ids.into_iter().find(|id| !world.contains_key(id));
                (
                    free.unwrap_or_else(|| own_id(self.number, KEYS + self.serial)),
                    fresh,
                )
            }
            (None, _) => (id, fresh),
        };
        let roles = ["sales_rep", "admin", "operator", CUSTOMER];
        let count = if name == Name::Legacy { 3 } else { 4 };
        let role = roles[usize::try_from(self.dice.below(count)).unwrap_or_default()];
        let phone = (name == Name::Unified && self.dice.below(2) == 0)
            .then(|| format!("+{}", self.dice.below(1_000_000)));
        let row = Row {
            email,
            name: format!("Name {}", self.dice.below(1000)),
            role,
            margin: i64::try_from(self.dice.below(100)).unwrap_or_default(),
            phone,
        };
        (id, row)
    }

    fn id(&mut self) -> String {
        let key = self.dice.below(KEYS);
        own_id(self.number, key)
    }
}

fn own_id(client: usize, key: u64) -> String {
    format!("{:08x}-0000-4000-8000-{key:012x}", client + 1)
}

fn hot_id(key: u64) -> String {
    format!("ffffffff-0000-4000-8000-{key:012x}")
}

async fn simply_of(db: &Client, act: &Act, client: usize) -> Result<Answer, Failure> {
    let (sql, values) = act.sql(client);
    simply(db, &sql, &values).await
}

/// By the simple protocol, with the values as literals.
async fn simply(db: &Client, sql: &str, values: &[String]) -> Result<Answer, Failure> {
    let mut text = sql.to_owned();
    for (index, value) in values.iter().enumerate() {
        text = text.replace(&format!("${}", index + 1), &format!("'{value}'"));
    }
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
