//! Several statements in one transaction, of which the model knows what they do.

use super::Tortured;
use super::sending::finds_nothing;
use super::session::{Failure, Session};
use crate::torture::Board;
use crate::torture::act::{Act, FOREIGN_KEY, RIGHTS, UNIQUE};
use crate::torture::model::{CUSTOMER, Model, Name};

const ISOLATION: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

impl Tortured {
    /// Several statements, savepoints among them; committed more often than not.
    pub(super) async fn transaction(
        &mut self,
        session: &mut Session,
        names: &[Name],
    ) -> Result<(), Failure> {
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

    pub(super) fn begin(&mut self) -> String {
        let level = usize::try_from(self.dice.below(3)).unwrap_or_default();
        format!("BEGIN ISOLATION LEVEL {}", ISOLATION[level])
    }

    pub(super) async fn act_on(
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
    pub(super) async fn look_now(
        &mut self,
        session: &mut Session,
        working: &Model,
    ) -> Result<(), Failure> {
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

    pub(super) async fn savepoint(
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
    pub(super) async fn insert_twice(
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
}
