//! What a user has asked for is done, and what goes on meanwhile is told.

use std::time::Duration;

use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::response::TransactionStatus;
use pgwire::messages::startup::ParameterStatus;
use rewrite_rules::Phase;

use super::{Answer, Failed, Talk, TalkEnd};
use crate::control::canary::NewCanary;
use crate::serving::console::act;
use crate::serving::console::command::Command;
use crate::serving::console::line::{LineError, Refusal, notice};
use crate::serving::console::refused;
use crate::serving::console::table::Table;
use crate::serving::operate::{Progress, Running, StepTaken};
use crate::steps::step::StepDirection;
use crate::steps::walk::{Walk, WalkError, Walked};

impl Talk<'_> {
    pub(super) async fn act(&mut self, command: &Command) -> Result<Answer, Failed> {
        let ends = matches!(command, Command::Commit | Command::RollbackTransaction);
        if self.status == TransactionStatus::Error && !ends {
            let message =
                "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Refusal::new("25P02", message).into());
        }
        command.may(self.role, self.user)?;
        let word = |word: &str| Ok(Answer::Word(word.to_owned()));
        match command {
            Command::Show { what, migration } => {
                let (shared, operator) = (self.shared, &self.operator);
                let showing = act::show(shared, operator, *what, migration.clone());
                let table = tokio::select! {
                    table = showing => table?,
                    () = self.key.cancelled() => return Err(cancelled("").into()),
                    () = self.shared.stop.all_end() => return Err(Failed::End(TalkEnd::Stopped)),
                };
                Ok(Answer::Rows(table, "SHOW".to_owned()))
            }
            Command::Advance { migration, to } => {
                let to = *to;
                self.walk((StepDirection::Forward, "ADVANCE"), migration, to)
                    .await
            }
            Command::Rollback { migration, to } => {
                let to = *to;
                self.walk((StepDirection::Back, "ROLLBACK"), migration, to)
                    .await
            }
            Command::Canary { migration, wanted } => {
                let names = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
                let wanted = wanted.as_ref().map(|wanted| NewCanary {
                    share: wanted.share.map(|share| f64::from(share) / 1e6),
                    users: names(&wanted.users),
                    applications: names(&wanted.applications),
                    ..NewCanary::default()
                });
                let done = self.operator.canary(migration.clone(), wanted).await;
                if !done.map_err(refused::by_site)? {
                    self.line.put(notice("no canary ran")).await?;
                }
                word("CANARY")
            }
            Command::Pause => self.pause().await,
            Command::Resume => {
                if !self.operator.resume() {
                    self.line.put(notice("nobody was held back")).await?;
                }
                word("RESUME")
            }
            Command::Reload => {
                self.operator.reload();
                word("RELOAD")
            }
            Command::Kill { session } => match self.operator.kill(*session) {
                true => word("KILL"),
                false => Err(
                    Refusal::new("42704", format!("there is no session {session}"))
                        .hint("SHOW SESSIONS has those that there are.")
                        .into(),
                ),
            },
            Command::Set { name, value } => {
                if name == "application_name" {
                    let status = ParameterStatus::new(name.clone(), value.clone());
                    self.line.put(Message::ParameterStatus(status)).await?;
                }
                word("SET")
            }
            Command::ShowSetting(setting) => {
                let table = act::setting(setting.value);
                Ok(Answer::Rows(table, "SHOW".to_owned()))
            }
            Command::Select(constant) => {
                let database = &self.shared.config.console.database;
                let table = act::constant(*constant, self.user, database);
                Ok(Answer::Rows(table, "SELECT 1".to_owned()))
            }
            Command::Begin => {
                self.status = TransactionStatus::Transaction;
                word("BEGIN")
            }
            Command::Commit | Command::RollbackTransaction => {
                let failed = self.status == TransactionStatus::Error;
                let began = self.status != TransactionStatus::Idle;
                self.status = TransactionStatus::Idle;
                if !began {
                    let told = "there is no transaction in progress; a migration goes back by ROLLBACK and its name";
                    self.line.put(notice(told)).await?;
                }
                match command {
                    Command::Commit if !failed => word("COMMIT"),
                    _ => word("ROLLBACK"),
                }
            }
            Command::Deallocate(name) => {
                match name {
                    Some(name) => drop(self.statements.remove(name.as_bytes())),
                    None => self.statements.clear(),
                }
                word(match name {
                    Some(_) => "DEALLOCATE",
                    None => "DEALLOCATE ALL",
                })
            }
            Command::Tag(tag) => word(tag),
        }
    }

    /// Steps, with what goes on told as it does. If nobody listens any more they go on all the same; a cancel request gives
    /// them up, as the end of a command would.
    async fn walk(
        &mut self,
        (direction, word): (StepDirection, &str),
        migration: &str,
        to: Option<Phase>,
    ) -> Result<Answer, Failed> {
        let by = self.operator.actor().clone();
        let walk = Walk::new(migration, direction, to, by);
        let mut running = self.operator.start(walk);
        let mut steps = Table::of(act::STEPS);
        let mut broken = None;
        loop {
            let progress = tokio::select! {
                progress = running.progress.recv() => progress,
                () = self.key.cancelled() => {
                    let hint = "SHOW MIGRATIONS tells where it stands; the next step completes it.";
                    return Err(cancelled(hint).into());
                }
                () = self.shared.stop.all_end() => return Err(Failed::End(TalkEnd::Stopped)),
            };
            let Some(progress) = progress else { break };
            let told = lines(migration, &progress);
            if let Progress::Step(taken) = progress {
                steps.row(vec![
                    migration.into(),
                    taken.from.name().into(),
                    taken.to.name().into(),
                    taken.instances.into(),
                    taken.waited_for.into(),
                ]);
            }
            if broken.is_none() {
                broken = self.tell(&told).await.err();
            }
        }
        let walked = self.end_of(&mut running).await;
        if let Some(error) = broken {
            return Err(error.into());
        }
        let walked = walked?.map_err(refused::by_walk)?;
        if let Some(stood) = &walked.stood
            && walked.steps == 0
        {
            let told = format!(
                "{migration}: in {}, drained ({} serving)",
                walked.at, stood.instances
            );
            self.line.put(notice(&told)).await?;
        }
        Ok(Answer::Rows(steps, word.to_owned()))
    }

    async fn end_of(&self, running: &mut Running) -> Result<Result<Walked, WalkError>, Failed> {
        tokio::select! {
            ended = running.end() => Ok(ended),
            () = self.shared.stop.all_end() => Err(Failed::End(TalkEnd::Stopped)),
        }
    }

    async fn tell(&mut self, told: &[String]) -> Result<(), LineError> {
        for told in told {
            self.line.put(notice(told)).await?;
        }
        self.line.flush().await
    }

    async fn pause(&mut self) -> Result<Answer, Failed> {
        let longest = Duration::from_millis(self.shared.config.console.pause_max_ms);
        let paused = tokio::select! {
            paused = self.operator.pause(longest) => paused,
            () = self.key.cancelled() => {
                self.operator.resume();
                return Err(cancelled("Transactions go on.").into());
            }
            () = self.shared.stop.all_end() => return Err(Failed::End(TalkEnd::Stopped)),
        };
        paused.map_err(|error| refused::by_pause(&error))?;
        let told = format!(
            "no transaction runs; they go on by RESUME, or by themselves {} s after PAUSE",
            longest.as_secs_f64()
        );
        self.line.put(notice(&told)).await?;
        Ok(Answer::Word("PAUSE".to_owned()))
    }
}

fn cancelled(hint: &str) -> Refusal {
    Refusal::new("57014", "canceling statement due to user request").hint(hint)
}

/// What a command says of a step, line by line.
fn lines(migration: &str, progress: &Progress) -> Vec<String> {
    match progress {
        Progress::Line(line) => vec![line.clone()],
        Progress::Step(StepTaken {
            from,
            to,
            gates,
            instances,
            waited_for,
        }) => {
            let mut lines: Vec<String> = gates.iter().map(ToString::to_string).collect();
            lines.push(format!(
                "{migration}: {from} -> {to}, drained ({instances} serving, {waited_for} earlier writers waited for)"
            ));
            lines
        }
    }
}
