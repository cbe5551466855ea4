//! The old version's reads: by key, by e-mail, by role, and a search. Each answer must be the
//! one that the acknowledged writes make right.

use anyhow::{Context, ensure};

use super::OldApp;
use crate::dice::Dice;
use crate::model::{Model, Person};

impl OldApp {
    pub(super) async fn read(&self, id: &str) -> anyhow::Result<Option<Person>> {
        let row = self.db.query_opt(&self.by_id, &[&id]).await?;
        row.map(|row| Person::from_row(&row, false)).transpose()
    }

    pub(super) async fn check_by_id(
        &self,
        model: &mut Model,
        expected: &Person,
    ) -> anyhow::Result<()> {
        let answer = self.read(&expected.id).await?;
        let answer = answer.with_context(|| format!("{} is missing", expected.email))?;
        model.check(expected, answer)
    }

    pub(super) async fn read_by_id(
        &self,
        model: &mut Model,
        dice: &mut Dice,
    ) -> anyhow::Result<u64> {
        // Customers included: an old client must not find them even by their key.
        let Some(person) = model.pick(dice.throw()) else {
            return Ok(0);
        };
        if person.legacy_role().is_some() {
            self.check_by_id(model, &person).await?;
        } else {
            let answer = self.read(&person.id).await?;
            ensure!(answer.is_none(), "a customer is shown to an old client");
        }
        Ok(1)
    }

    pub(super) async fn read_by_email(
        &self,
        model: &mut Model,
        dice: &mut Dice,
    ) -> anyhow::Result<u64> {
        let Some(person) = model.pick_legacy(dice.throw()) else {
            return Ok(0);
        };
        let row = self
            .db
            .query_opt(&self.by_email, &[&person.email])
            .await?
            .with_context(|| format!("{} is missing", person.email))?;
        model.check(&person, Person::from_row(&row, false)?)?;
        Ok(1)
    }

    pub(super) async fn read_by_role(&self, model: &mut Model) -> anyhow::Result<u64> {
        let pattern = format!("{}%", model.prefix());
        for role in ["iso_agent", "operator"] {
            let rows = self.db.query(&self.ids_by_role, &[&role, &pattern]).await?;
            let answer: Vec<String> = rows
                .iter()
                .map(|row| row.try_get(0))
                .collect::<Result<_, _>>()?;
            let mut expected: Vec<&String> = model
                .own_legacy()
                .filter(|person| person.legacy_role() == Some(role))
                .map(|person| &person.id)
                .collect();
            expected.sort();
            ensure!(
                answer.iter().eq(expected.iter().copied()),
                "{role}: expected {} rows, {} came or others",
                expected.len(),
                answer.len()
            );
        }
        Ok(2)
    }

    pub(super) async fn search(&self, model: &mut Model) -> anyhow::Result<u64> {
        let name = format!("%Agent of {}%", model.prefix());
        let rows = self.db.query(&self.search, &[&name]).await?;
        let mut answer = Vec::new();
        for row in &rows {
            let found: (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            answer.push(found);
        }
        let wanted = name.trim_matches('%').to_lowercase();
        let mut expected: Vec<(String, Option<String>)> = model
            .people()
            .filter(|person| person.legacy_role().is_some() && person.is_active == Some(true))
            .filter(|person| person.full_name.to_lowercase().contains(&wanted))
            .map(|person| {
                let visits = person.metadata.as_ref().and_then(|data| data.get("visits"));
                (person.email.clone(), visits.map(ToString::to_string))
            })
            .collect();
        expected.sort();
        expected.truncate(20);
        ensure!(answer == expected, "expected {expected:?}, came {answer:?}");
        Ok(1)
    }

    pub(super) async fn read_deleted(
        &self,
        model: &mut Model,
        dice: &mut Dice,
    ) -> anyhow::Result<u64> {
        let Some(id) = model.pick_deleted(dice.throw()) else {
            return Ok(0);
        };
        ensure!(self.read(id).await?.is_none(), "{id} is back");
        Ok(1)
    }
}
