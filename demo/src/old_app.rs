//! The application as it was deployed: it knows `iso_agents` and has never heard of `users`.
//!
//! Every answer is checked against the model; an error that an act does not provoke on purpose
//! is a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, ensure};
use tokio::sync::Mutex;
use tokio_postgres::{Client, Statement};

use super::board::{Board, Side};
use super::client::{self, Version, simple};
use super::dice::Dice;
use super::model::{COLUMNS, Model};

mod reads;
mod writes;

/// The row that all clients update, owned by none of them.
pub const CONTENDED: &str = "system";

pub struct Memory {
    pub model: Arc<Mutex<Model>>,
    pub dice: Dice,
}

pub struct OldApp {
    db: Client,
    by_id: Statement,
    by_email: Statement,
    ids_by_role: Statement,
    search: Statement,
    insert: Statement,
    upsert: Statement,
    update: Statement,
    promote: Statement,
    delete: Statement,
    add_client: Statement,
    count_clients: Statement,
}

impl Version for OldApp {
    const SIDE: Side = Side::Old;
    type Memory = Memory;

    async fn connect(url: &str) -> anyhow::Result<Self> {
        let db = client::connect(url, "agents-v1").await?;
        let prepare = async |sql: &str| {
            db.prepare(&sql.replace("COLUMNS", COLUMNS))
                .await
                .with_context(|| format!("preparing `{sql}`"))
        };
        Ok(OldApp {
            by_id: prepare("SELECT COLUMNS FROM iso_agents WHERE id = $1::text::uuid").await?,
            by_email: prepare("SELECT COLUMNS FROM iso_agents WHERE email = $1").await?,
            ids_by_role: prepare(
                "SELECT id::text FROM iso_agents \
                 WHERE role = $1::text::user_role AND clerk_user_id LIKE $2 ORDER BY id::text",
            )
            .await?,
            search: prepare(
                "SELECT a.email, a.metadata->>'visits' FROM iso_agents AS a \
                 WHERE a.full_name ILIKE $1 AND a.is_active ORDER BY a.email LIMIT 20",
            )
            .await?,
            insert: prepare(
                "INSERT INTO iso_agents (clerk_user_id, email, full_name, metadata) \
                 VALUES ($1, $2, $3, $4) RETURNING COLUMNS",
            )
            .await?,
            upsert: prepare(
                "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ($1, $2, $3) \
                 ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name \
                 RETURNING COLUMNS",
            )
            .await?,
            update: prepare(
                "UPDATE iso_agents SET full_name = $2, metadata = $3 \
                 WHERE id = $1::text::uuid RETURNING COLUMNS",
            )
            .await?,
            promote: prepare(
                "UPDATE iso_agents SET role = 'operator' \
                 WHERE id = $1::text::uuid AND role = 'iso_agent'",
            )
            .await?,
            delete: prepare("DELETE FROM iso_agents WHERE id = $1::text::uuid RETURNING email")
                .await?,
            add_client: prepare(
                "INSERT INTO client_profiles (iso_agent_id, company_name, contact_name, email) \
                 VALUES ($1::text::uuid, 'Company', 'Contact', 'contact@example.com')",
            )
            .await?,
            count_clients: prepare(
                "SELECT count(*) FROM client_profiles c \
                 JOIN iso_agents a ON a.id = c.iso_agent_id WHERE a.id = $1::text::uuid",
            )
            .await?,
            db,
        })
    }

    fn is_closed(&self) -> bool {
        self.db.is_closed()
    }

    async fn act(&mut self, memory: &mut Memory, board: &Board) -> anyhow::Result<u64> {
        let model = &mut *memory.model.lock().await;
        let dice = &mut memory.dice;
        match dice.below(100) {
            0..28 => self.read_by_id(model, dice).await.context("reading by key"),
            28..40 => self
                .read_by_email(model, dice)
                .await
                .context("reading by e-mail"),
            40..44 => self.read_by_role(model).await.context("reading by role"),
            44..50 => self.search(model).await.context("searching"),
            50..52 => self
                .read_deleted(model, dice)
                .await
                .context("reading a deleted row"),
            52..60 => self.insert(model).await.context("inserting"),
            60..63 => self
                .insert_simply(model)
                .await
                .context("inserting by the simple protocol"),
            63..66 => self.upsert(model, dice).await.context("upserting"),
            66..76 => self.update(model, dice).await.context("updating"),
            76..80 => self
                .update_simply(model, dice)
                .await
                .context("updating by the simple protocol"),
            80..83 => self.promote(model, dice).await.context("promoting"),
            83..90 => self.delete(model, dice).await.context("deleting"),
            90..93 => self
                .insert_twice(model, dice)
                .await
                .context("inserting a duplicate"),
            93..97 => self
                .transact(model, dice)
                .await
                .context("a transaction on two tables"),
            _rest => increment(&self.db, "iso_agents", board)
                .await
                .context("updating the contended row"),
        }
    }
}

/// Adds one to the row that everybody updates; lost updates show at the end.
pub async fn increment(db: &Client, table: &str, board: &Board) -> anyhow::Result<u64> {
    let sql = format!(
        "UPDATE {table} SET margin_value = margin_value + 1 WHERE clerk_user_id = '{CONTENDED}'"
    );
    let count = simple(db, &sql).await?;
    ensure!(count == 1, "{count} rows instead of one");
    board.increments.fetch_add(1, Ordering::Relaxed);
    Ok(1)
}

/// Names for a new row that no other row of any client has.
pub fn names(model: &mut Model) -> (String, String, String) {
    let number = model.next_number();
    let prefix = model.prefix();
    (
        format!("{prefix}{number}"),
        format!("{prefix}{number}@example.com"),
        format!("Agent of {prefix} {number}"),
    )
}
