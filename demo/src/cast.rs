//! The application as a whole: pairs of an old and a new client, each pair with a share of the
//! rows. Knows when which version runs, not what it does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::board::Board;
use super::check::{self, Verdict};
use super::client;
use super::dice::Dice;
use super::model::{COLUMNS, Model, Person};
use super::new_app::{self, NewApp};
use super::old_app::{self, CONTENDED, OldApp};

/// Old clients, and later as many new ones. Enough to get in each other's way, few enough to
/// leave a small machine time for the proxy.
const PAIRS: usize = 4;
/// A client finishes what it is at; its own time limit is shorter.
const FINISH_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Cast {
    board: Arc<Board>,
    url: String,
    shares: Vec<Arc<Mutex<Model>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Cast {
    /// Divides the rows that are there among the pairs.
    pub async fn gather(db: &Client, url: String, board: Arc<Board>) -> anyhow::Result<Self> {
        let mut models: Vec<Model> = (1..=PAIRS).map(Model::new).collect();
        let sql = format!("SELECT {COLUMNS} FROM iso_agents WHERE clerk_user_id <> $1 ORDER BY id");
        let rows = db.query(&sql, &[&CONTENDED]).await;
        for (index, row) in rows.context("reading the rows")?.iter().enumerate() {
            models[index % PAIRS].add(Person::from_row(row, false)?);
        }
        Ok(Cast {
            board,
            url,
            shares: models
                .into_iter()
                .map(|model| Arc::new(Mutex::new(model)))
                .collect(),
            tasks: Vec::new(),
        })
    }

    pub fn start_old(&mut self) {
        for (share, seed) in self.shares.iter().zip(1..) {
            let memory = old_app::Memory {
                model: Arc::clone(share),
                dice: Dice::new(seed),
            };
            let (url, board) = (self.url.clone(), Arc::clone(&self.board));
            self.tasks
                .push(tokio::spawn(client::run::<OldApp>(url, memory, board)));
        }
    }

    pub fn start_new(&mut self) {
        for (share, seed) in self.shares.iter().zip(1001..) {
            let memory = new_app::Memory {
                model: Arc::clone(share),
                dice: Dice::new(seed),
            };
            let (url, board) = (self.url.clone(), Arc::clone(&self.board));
            self.tasks
                .push(tokio::spawn(client::run::<NewApp>(url, memory, board)));
        }
    }

    /// Lets every client finish what it is at.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.board.stop();
        for task in self.tasks.drain(..) {
            tokio::time::timeout(FINISH_TIMEOUT, task)
                .await
                .context("a client did not stop")?
                .context("a client panicked")?;
        }
        Ok(())
    }

    /// What the clients know against what is in `users`, once they are stopped.
    pub async fn compare(&self, db: &Client) -> anyhow::Result<Verdict> {
        let mut guards = Vec::new();
        for share in &self.shares {
            guards.push(share.lock().await);
        }
        let models: Vec<&Model> = guards.iter().map(|guard| &**guard).collect();
        check::models(db, &models, &self.board).await
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        self.board.stop();
        for task in &self.tasks {
            task.abort();
        }
    }
}
