//! The application's next version: it knows `users`, and customers can sign up.
//!
//! It shares its model with an old client, so each sees what the other wrote. It also looks
//! through the old name now and then, as a half-deployed application would.

use std::sync::Arc;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Statement};

use super::board::{Board, Side};
use super::client::{self, Version, simple};
use super::dice::Dice;
use super::model::{Beyond, COLUMNS, COLUMNS_BEYOND, Model, Person};
use super::old_app::{increment, names};

pub struct Memory {
    pub model: Arc<Mutex<Model>>,
    pub dice: Dice,
}

pub struct NewApp {
    db: Client,
    by_id: Statement,
    by_email: Statement,
    sign_up: Statement,
    log_in: Statement,
    promote: Statement,
    delete: Statement,
    seen_by_old: Statement,
}

impl Version for NewApp {
    const SIDE: Side = Side::New;
    type Memory = Memory;

    async fn connect(url: &str) -> anyhow::Result<Self> {
        let db = client::connect(url, "agents-v2").await?;
        let columns = format!("{COLUMNS}, {COLUMNS_BEYOND}");
        let prepare = async |sql: &str| {
            db.prepare(&sql.replace("COLUMNS", &columns))
                .await
                .with_context(|| format!("preparing `{sql}`"))
        };
        Ok(NewApp {
            by_id: prepare("SELECT COLUMNS FROM users WHERE id = $1::text::uuid").await?,
            by_email: prepare("SELECT COLUMNS FROM public.users WHERE email = $1").await?,
            sign_up: prepare(
                "INSERT INTO users (clerk_user_id, email, full_name, role, phone, timezone, metadata) \
                 VALUES ($1, $2, $3, $4::text::user_role, $5, $6, $7) RETURNING COLUMNS",
            )
            .await?,
            log_in: prepare(
                "UPDATE users SET last_login_at = now(), phone = $2, timezone = $3 \
                 WHERE id = $1::text::uuid RETURNING COLUMNS",
            )
            .await?,
            promote: prepare(
                "UPDATE users SET role = 'sales_rep' \
                 WHERE id = $1::text::uuid AND role = 'customer' RETURNING COLUMNS",
            )
            .await?,
            delete: prepare("DELETE FROM users WHERE id = $1::text::uuid").await?,
            seen_by_old: prepare("SELECT role::text FROM iso_agents WHERE id = $1::text::uuid")
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
            0..30 => self.read(model, dice).await.context("reading by key"),
            30..45 => self
                .read_by_email(model, dice)
                .await
                .context("reading by e-mail"),
            45..60 => self.sign_up(model, dice).await.context("signing up"),
            60..75 => self.log_in(model, dice).await.context("logging in"),
            75..83 => self.rename(model, dice).await.context("renaming"),
            83..90 => self.promote(model, dice).await.context("promoting"),
            90..97 => self.delete(model, dice).await.context("deleting"),
            _rest => increment(&self.db, "users", board)
                .await
                .context("updating the contended row"),
        }
    }
}

impl NewApp {
    async fn read_one(&self, id: &str) -> anyhow::Result<Person> {
        let row = self
            .db
            .query_opt(&self.by_id, &[&id])
            .await?
            .with_context(|| format!("{id} is missing"))?;
        Person::from_row(&row, true)
    }

    /// Old clients must see the row under the role they know, or not at all.
    async fn check_through_the_old_name(&self, person: &Person) -> anyhow::Result<()> {
        let row = self.db.query_opt(&self.seen_by_old, &[&person.id]).await?;
        let role: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
        ensure!(
            role.as_deref() == person.legacy_role(),
            "a {} is seen by old clients as {role:?}",
            person.role
        );
        Ok(())
    }

    async fn read(&self, model: &mut Model, dice: &mut Dice) -> anyhow::Result<u64> {
        let Some(person) = model.pick(dice.throw()) else {
            return Ok(0);
        };
        model.check(&person, self.read_one(&person.id).await?)?;
        self.check_through_the_old_name(&person).await?;
        Ok(2)
    }

    async fn read_by_email(&self, model: &mut Model, dice: &mut Dice) -> anyhow::Result<u64> {
        let Some(person) = model.pick(dice.throw()) else {
            return Ok(0);
        };
        let row = self
            .db
            .query_opt(&self.by_email, &[&person.email])
            .await?
            .with_context(|| format!("{} is missing", person.email))?;
        model.check(&person, Person::from_row(&row, true)?)?;
        Ok(1)
    }

    async fn sign_up(&self, model: &mut Model, dice: &mut Dice) -> anyhow::Result<u64> {
        let (clerk, email, name) = names(model);
        let role = if dice.below(2) == 0 {
            "customer"
        } else {
            "sales_rep"
        };
        let (phone, timezone) = contact(dice);
        let metadata = json!({"source": "sign-up"});
        let row = self
            .db
            .query_one(
                &self.sign_up,
                &[&clerk, &email, &name, &role, &phone, &timezone, &metadata],
            )
            .await?;
        let person = Person::from_row(&row, true)?;
        let beyond = Beyond {
            phone,
            timezone,
            last_login_at: None,
        };
        ensure!(
            person.role == role && person.email == email && person.beyond == Some(beyond),
            "RETURNING came with {person:?}"
        );
        model.add(person.clone());
        self.check_through_the_old_name(&person).await?;
        Ok(2)
    }

    async fn log_in(&self, model: &mut Model, dice: &mut Dice) -> anyhow::Result<u64> {
        let Some(person) = model.pick(dice.throw()) else {
            return Ok(0);
        };
        let (phone, timezone) = contact(dice);
        let row = self
            .db
            .query_one(&self.log_in, &[&person.id, &phone, &timezone])
            .await?;
        let answer = Person::from_row(&row, true)?;
        let last_login_at = answer.beyond.as_ref().and_then(|b| b.last_login_at.clone());
        ensure!(last_login_at.is_some(), "never logged in");
        let expected = Person {
            updated_at: answer.updated_at.clone(),
            beyond: Some(Beyond {
                phone,
                timezone,
                last_login_at,
            }),
            ..person
        };
        model.check(&expected, answer)?;
        Ok(1)
    }

    async fn rename(&self, model: &mut Model, dice: &mut Dice) -> anyhow::Result<u64> {
        let Some(person) = model.pick(dice.throw()) else {
            return Ok(0);
        };
        let name = format!("Renamed {}", dice.below(1000));
        let count = simple(
            &self.db,
            &format!(
                "UPDATE users SET full_name = '{name}' WHERE email = '{}'",
                person.email
            ),
        )
        .await?;
        ensure!(count == 1, "{count} rows instead of one");
        let answer = self.read_one(&person.id).await?;
        let expected = Person {
            full_name: name,
            updated_at: answer.updated_at.clone(),
            ..person
        };
        model.check(&expected, answer)?;
        Ok(2)
    }

    /// A customer who becomes a sales person comes into existence for old clients.
    async fn promote(&self, model: &mut Model, dice: &mut Dice) -> anyhow::Result<u64> {
        // Of a few rows at random one is likely to be a customer's, once there are some.
        let drawn = (0..16).filter_map(|_| model.pick(dice.throw()));
        let Some(person) = drawn.into_iter().find(|person| person.role == "customer") else {
            return Ok(0);
        };
        let row = self.db.query_one(&self.promote, &[&person.id]).await?;
        let answer = Person::from_row(&row, true)?;
        let expected = Person {
            role: "sales_rep".to_owned(),
            updated_at: answer.updated_at.clone(),
            ..person
        };
        model.check(&expected, answer)?;
        self.check_through_the_old_name(&expected).await?;
        Ok(2)
    }

    async fn delete(&self, model: &mut Model, dice: &mut Dice) -> anyhow::Result<u64> {
        let Some(person) = model.pick(dice.throw()) else {
            return Ok(0);
        };
        let count = self.db.execute(&self.delete, &[&person.id]).await?;
        ensure!(count == 1, "{count} rows instead of one");
        model.remove(&person.id);
        let gone = self.db.query_opt(&self.seen_by_old, &[&person.id]).await?;
        ensure!(gone.is_none(), "deleted, and still seen by old clients");
        Ok(2)
    }
}

/// A phone and a time zone; either may be absent.
fn contact(dice: &mut Dice) -> (Option<String>, Option<String>) {
    let phone = (dice.below(4) > 0).then(|| format!("+49 {:09}", dice.below(1_000_000_000)));
    let zones = ["UTC", "Europe/Berlin", "America/New_York", ""];
    let zone = zones
        .get(usize::try_from(dice.below(5)).unwrap_or_default())
        .map(|zone| (*zone).to_owned());
    (phone, zone)
}
