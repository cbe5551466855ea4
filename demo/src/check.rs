//! The demo's own verdict on the data: plain SQL and the clients' models. It shares nothing
//! with `crossfade verify` or the lens, so that it can contradict them.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use anyhow::Context;
use tokio_postgres::Client;

use super::board::Board;
use super::model::{COLUMNS, COLUMNS_BEYOND, Model, Person, cents};
use super::old_app::CONTENDED;

/// Enough to see a pattern.
const SAMPLES_MAX: usize = 5;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub compared: u64,
    pub missing: u64,
    pub extra: u64,
    pub different: u64,
    pub samples: Vec<String>,
}

impl Verdict {
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.missing == 0 && self.extra == 0 && self.different == 0
    }

    pub fn add(&mut self, other: Verdict) {
        self.compared += other.compared;
        self.missing += other.missing;
        self.extra += other.extra;
        self.different += other.different;
        self.samples.extend(other.samples);
        self.samples.truncate(SAMPLES_MAX);
    }

    pub fn sample(&mut self, text: String) {
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(text);
        }
    }
}

/// Both tables in one snapshot. A transaction that writes one side writes the other, so this
/// holds while the application runs.
const SIDES: &str = "\
SELECT coalesce(l.email, u.email), l.id IS NULL, u.id IS NULL,
       concat_ws(' ',
           CASE WHEN l.clerk_user_id IS DISTINCT FROM u.clerk_user_id THEN 'clerk_user_id' END,
           CASE WHEN l.email IS DISTINCT FROM u.email THEN 'email' END,
           CASE WHEN l.full_name IS DISTINCT FROM u.full_name THEN 'full_name' END,
           CASE WHEN l.role::text IS DISTINCT FROM
                     CASE u.role WHEN 'sales_rep' THEN 'iso_agent' ELSE u.role::text END
                THEN 'role' END,
           CASE WHEN l.margin_type IS DISTINCT FROM u.margin_type THEN 'margin_type' END,
           CASE WHEN l.margin_value IS DISTINCT FROM u.margin_value THEN 'margin_value' END,
           CASE WHEN l.is_active IS DISTINCT FROM u.is_active THEN 'is_active' END,
           CASE WHEN l.metadata IS DISTINCT FROM u.metadata THEN 'metadata' END,
           CASE WHEN l.created_at IS DISTINCT FROM u.created_at THEN 'created_at' END,
           CASE WHEN l.updated_at IS DISTINCT FROM u.updated_at THEN 'updated_at' END)
  FROM iso_agents l
  FULL JOIN (SELECT * FROM users WHERE role <> 'customer') u ON u.id = l.id";

/// Compares the legacy table with the unified one.
pub async fn sides(db: &Client) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    for row in db.query(SIDES, &[]).await.context("comparing the tables")? {
        verdict.compared += 1;
        let email: String = row.try_get(0)?;
        let columns: String = row.try_get(3)?;
        if row.try_get(1)? {
            verdict.extra += 1;
            verdict.sample(format!("{email} is in users only"));
        } else if row.try_get(2)? {
            verdict.missing += 1;
            verdict.sample(format!("{email} is in iso_agents only"));
        } else if !columns.is_empty() {
            verdict.different += 1;
            verdict.sample(format!("{email} differs in {columns}"));
        }
    }
    Ok(verdict)
}

/// Compares everything the clients were told with the unified table. Call when they are still.
pub async fn models(db: &Client, models: &[&Model], board: &Board) -> anyhow::Result<Verdict> {
    let sql = format!("SELECT {COLUMNS}, {COLUMNS_BEYOND} FROM users");
    let mut found: HashMap<String, Person> = HashMap::new();
    for row in db.query(&sql, &[]).await.context("reading users")? {
        let person = Person::from_row(&row, true)?;
        found.insert(person.id.clone(), person);
    }
    let mut verdict = Verdict::default();
    for expected in models.iter().flat_map(|model| model.people()) {
        verdict.compared += 1;
        match found.remove(&expected.id) {
            None => {
                verdict.missing += 1;
                verdict.sample(format!("{} was acknowledged and is lost", expected.email));
            }
            Some(came) => {
                let differences = expected.differences(&came);
                if !differences.is_empty() {
                    verdict.different += 1;
                    verdict.sample(format!("{}: {}", expected.email, differences.join("; ")));
                }
            }
        }
    }
    for person in found.into_values() {
        if person.clerk_user_id == CONTENDED {
            verdict.compared += 1;
            contended(&person, board, &mut verdict)?;
        } else {
            verdict.extra += 1;
            verdict.sample(format!("{} was never acknowledged", person.email));
        }
    }
    Ok(verdict)
}

/// Every acknowledged increment must be in the row that all clients updated.
fn contended(person: &Person, board: &Board, verdict: &mut Verdict) -> anyhow::Result<()> {
    let increments = board.increments.load(Ordering::Relaxed);
    let value = cents(person.margin_value.as_deref().unwrap_or("0"))?;
    if u64::try_from(value).ok() != Some(increments * 100) {
        verdict.different += 1;
        verdict.sample(format!(
            "{increments} increments were acknowledged, the row says {value} hundredths"
        ));
    }
    Ok(())
}
