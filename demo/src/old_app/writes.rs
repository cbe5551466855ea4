//! The old version's writes. Each is read back, by RETURNING or by a read that follows it.

use anyhow::{Context, bail, ensure};
use serde_json::json;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::{OldApp, names};
use crate::client::{simple, simple_row};
use crate::dice::Dice;
use crate::model::{Model, Person, cents, margin};

impl OldApp {
    pub(super) async fn insert(&self, model: &mut Model) -> anyhow::Result<u64> {
        let person = self.insert_one(model, false).await?;
        model.add(person.clone());
        self.check_by_id(model, &person).await?;
        Ok(2)
    }

    /// Inserts a row of defaults and checks what RETURNING says.
    pub(super) async fn insert_one(
        &self,
        model: &mut Model,
        upsert: bool,
    ) -> anyhow::Result<Person> {
        let (clerk, email, name) = names(model);
        let metadata = json!({"visits": 0, "timezone": "Asia/Tokyo"});
        let row = if upsert {
            let names: [&(dyn ToSql + Sync); 3] = [&clerk, &email, &name];
            self.db.query_one(&self.upsert, &names).await?
        } else {
            self.db
                .query_one(&self.insert, &[&clerk, &email, &name, &metadata])
                .await?
        };
        let person = Person::from_row(&row, false)?;
        ensure!(
            person.role == "sales_rep" && person.email == email && person.full_name == name,
            "RETURNING came with {person:?}"
        );
        ensure!(
            person.is_active == Some(true) && person.margin_value.as_deref() == Some("0.00"),
            "not the table's defaults: {person:?}"
        );
        Ok(person)
    }

    pub(super) async fn insert_simply(&self, model: &mut Model) -> anyhow::Result<u64> {
        let (clerk, email, name) = names(model);
        let count = simple(
            &self.db,
            &format!(
                "INSERT INTO iso_agents (clerk_user_id, email, full_name, role, margin_value) \
                 VALUES ('{clerk}', '{email}', '{name}', 'operator', 12.5) /* 'quoted' */"
            ),
        )
        .await?;
        ensure!(count == 1, "{count} rows instead of one");
        let row = simple_row(
            &self.db,
            &format!("SELECT id, role, margin_value FROM iso_agents WHERE email = '{email}'"),
        )
        .await?;
        let [Some(id), Some(role), Some(value)] = row.as_slice() else {
            bail!("not three values but {row:?}");
        };
        ensure!(
            role == "operator" && value == "12.50",
            "came {role}, {value}"
        );
        let person = self
            .read(id)
            .await?
            .context("just inserted, not to be found")?;
        ensure!(person.full_name == name, "came {person:?}");
        model.add(person);
        Ok(3)
    }

    pub(super) async fn upsert(&self, model: &mut Model, dice: &mut Dice) -> anyhow::Result<u64> {
        let person = self.insert_one(model, true).await?;
        model.add(person);
        let Some(person) = model.pick_legacy(dice.throw()) else {
            return Ok(1);
        };
        let name = format!("Upserted {}", dice.below(1000));
        let clerk = format!("{}unused-{}", model.prefix(), model.next_number());
        let row = self
            .db
            .query_one(&self.upsert, &[&clerk, &person.email, &name])
            .await?;
        let answer = Person::from_row(&row, false)?;
        let expected = Person {
            full_name: name,
            updated_at: answer.updated_at.clone(),
            ..person
        };
        model.check(&expected, answer)?;
        Ok(2)
    }

    pub(super) async fn update(&self, model: &mut Model, dice: &mut Dice) -> anyhow::Result<u64> {
        let Some(person) = model.pick_legacy(dice.throw()) else {
            return Ok(0);
        };
        let name = format!("Agent of {} ünd {}", model.prefix(), dice.below(1000));
        let metadata = json!({"visits": dice.below(50)});
        let row = self
            .db
            .query_one(&self.update, &[&person.id, &name, &metadata])
            .await?;
        let answer = Person::from_row(&row, false)?;
        let expected = Person {
            full_name: name,
            metadata: Some(metadata),
            updated_at: answer.updated_at.clone(),
            ..person
        };
        model.check(&expected, answer.clone())?;
        self.check_by_id(model, &answer).await?;
        Ok(2)
    }

    pub(super) async fn update_simply(
        &self,
        model: &mut Model,
        dice: &mut Dice,
    ) -> anyhow::Result<u64> {
        let Some(person) = model.pick_legacy(dice.throw()) else {
            return Ok(0);
        };
        let count = simple(
            &self.db,
            &format!(
                "UPDATE iso_agents AS a SET margin_value = a.margin_value + 0.25, \
                 is_active = NOT coalesce(is_active, false) WHERE a.email = '{}'",
                person.email
            ),
        )
        .await?;
        ensure!(count == 1, "{count} rows instead of one");
        let answer = self
            .read(&person.id)
            .await?
            .context("the row is gone after its update")?;
        let value = match &person.margin_value {
            Some(value) => Some(margin(cents(value)? + 25)),
            None => None,
        };
        let expected = Person {
            margin_value: value,
            is_active: Some(!person.is_active.unwrap_or(false)),
            updated_at: answer.updated_at.clone(),
            ..person
        };
        model.check(&expected, answer)?;
        Ok(2)
    }

    pub(super) async fn promote(&self, model: &mut Model, dice: &mut Dice) -> anyhow::Result<u64> {
        let Some(person) = model.pick_legacy(dice.throw()) else {
            return Ok(0);
        };
        let count = self.db.execute(&self.promote, &[&person.id]).await?;
        let is_agent = person.legacy_role() == Some("iso_agent");
        ensure!(
            count == u64::from(is_agent),
            "{count} rows for one with role {:?}",
            person.legacy_role()
        );
        if !is_agent {
            return Ok(1);
        }
        let answer = self.read(&person.id).await?.context("the row is gone")?;
        let expected = Person {
            role: "operator".to_owned(),
            updated_at: answer.updated_at.clone(),
            ..person
        };
        model.check(&expected, answer)?;
        Ok(2)
    }

    pub(super) async fn delete(&self, model: &mut Model, dice: &mut Dice) -> anyhow::Result<u64> {
        let Some(person) = model.pick_legacy(dice.throw()) else {
            return Ok(0);
        };
        let row = self.db.query_one(&self.delete, &[&person.id]).await?;
        let email: String = row.try_get(0)?;
        ensure!(email == person.email, "deleted {email}");
        model.remove(&person.id);
        let again = self.db.execute(&self.delete, &[&person.id]).await?;
        ensure!(again == 0, "deleted twice");
        Ok(2)
    }

    pub(super) async fn insert_twice(
        &self,
        model: &mut Model,
        dice: &mut Dice,
    ) -> anyhow::Result<u64> {
        let Some(person) = model.pick_legacy(dice.throw()) else {
            return Ok(0);
        };
        let (clerk, _email, name) = names(model);
        let outcome = self
            .db
            .execute(
                &self.insert,
                &[&clerk, &person.email, &name, &person.metadata],
            )
            .await;
        match outcome {
            Ok(count) => bail!("{count} duplicates were let in"),
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(1),
            Err(error) => Err(error.into()),
        }
    }

    /// A new agent with a client, half of the time rolled back.
    pub(super) async fn transact(
        &mut self,
        model: &mut Model,
        dice: &mut Dice,
    ) -> anyhow::Result<u64> {
        let db = self.db.transaction().await?;
        let (clerk, email, name) = names(model);
        let metadata = json!({"visits": 1});
        let row = db
            .query_one(&self.insert, &[&clerk, &email, &name, &metadata])
            .await?;
        let person = Person::from_row(&row, false)?;
        db.execute(&self.add_client, &[&person.id]).await?;
        let row = db.query_one(&self.count_clients, &[&person.id]).await?;
        let clients: i64 = row.try_get(0)?;
        ensure!(clients == 1, "{clients} clients of a new agent");
        if dice.below(2) == 0 {
            db.commit().await?;
            model.add(person.clone());
            self.check_by_id(model, &person).await?;
        } else {
            db.rollback().await?;
            let left = self.read(&person.id).await?;
            ensure!(left.is_none(), "a rolled back row is there");
        }
        Ok(6)
    }
}
