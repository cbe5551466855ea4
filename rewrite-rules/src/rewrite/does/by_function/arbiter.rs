//! What an ON CONFLICT goes by, once unified leads: the key, or a UNIQUE constraint of the legacy
//! table that the rule file declares.
//!
//! ```text
//! ON CONFLICT (email) WHERE is_active DO NOTHING
//!
//! cf_target AS (SELECT FROM crossfade.image_… AS cf_t WHERE (is_active))
//! ```
//!
//! A constraint of all rows stands for one of some, so a predicate changes nothing where the columns are a
//! constraint's. Nobody runs that query, but PostgreSQL says what is wrong with it.

use super::ByFunction;
use crate::legend::query;
use crate::lens::{LegacyColumn, Lens, list, quote_literal};
use crate::refuse;
use crate::rewrite::compose::Composer;
use crate::rewrite::says::upsert::has_target;
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};
use crate::text::tree::Tree;

pub(super) struct Arbiter<'l> {
    /// The constraint of its target; `None`: any, or one whose columns nobody knows.
    pub name: Option<String>,
    /// Its columns.
    pub columns: Vec<&'l LegacyColumn>,
    /// What errors call it, and what stands for it in unified, as SQL; `NULL` without ON CONFLICT.
    pub names: String,
}

impl Arbiter<'_> {
    pub fn name_sql(&self) -> String {
        match &self.name {
            Some(name) => quote_literal(name),
            None => "NULL".to_owned(),
        }
    }

    /// The same, if it is not the key, which an INSERT looks at first.
    pub fn beside_the_key(&self, lens: &Lens) -> String {
        let key = lens.key_constraint();
        match &self.name {
            Some(name) if *name != key => quote_literal(name),
            Some(_) | None => "NULL".to_owned(),
        }
    }
}

impl ByFunction<'_, '_, '_> {
    pub(super) fn arbiter(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
    ) -> Result<Arbiter<'_>, Refusal> {
        let clause = self.scope.statement.get("on_conflict_clause");
        if !clause.exists() {
            return Ok(Arbiter {
                name: None,
                columns: Vec::new(),
                names: "NULL::text[]".to_owned(),
            });
        }
        let infer = clause.get("infer");
        if !infer.exists() {
            has_target(&self.scope)?;
            let key = self.lens.key_constraint();
            let pairs = self.lens.constraints.iter();
            let uniques = self.lens.uniques().iter();
            let mut names: Vec<&str> = vec![&key];
            names.extend(pairs.flat_map(|(legacy, unified)| [legacy.as_str(), unified]));
            names.extend(uniques.map(|unique| unique.name.as_str()));
            return Ok(Arbiter {
                name: None,
                columns: Vec::new(),
                names: array(&names),
            });
        }
        let known = match infer.name("conname") {
            Some(constraint) => self.constraints().find(|(name, _)| name == constraint),
            None => self
                .constraints()
                .find(|(_, columns)| infers(infer, columns)),
        };
        if let Some((name, columns)) = known {
            self.judge_predicate(infer, composer, source)?;
            let names = self.names_of(&name);
            return Ok(Arbiter {
                names: array(&names),
                name: Some(name),
                columns,
            });
        }
        // To skip a row its name is enough.
        let named = infer.name("conname").map(|name| self.names_of(name));
        let named = named.filter(|names| names.len() > 1 && self.write.acts.updates.is_empty());
        let declared = |name: &str| self.names_of(name).len() > 1;
        if let Some(unknown) = infer.name("conname").filter(|name| !declared(name)) {
            return Err(refuse::no_such_constraint(unknown, &self.lens.legacy.name));
        }
        match named {
            Some(names) => Ok(Arbiter {
                name: None,
                columns: Vec::new(),
                names: array(&names),
            }),
            None if is_plain(infer) && !infer.get("where_clause").exists() => {
                Err(self.no_such_target(infer))
            }
            None => Err(self.unknown_target()),
        }
    }

    fn unknown_target(&self) -> Refusal {
        refuse::unsupported(
            "ON CONFLICT with a target that is neither the key nor a UNIQUE constraint that the \
             rule file declares, once reads are unified,",
            &self.target.table_name(),
            "Declare the constraint among the `columns` of the rule file: CONSTRAINT name UNIQUE \
             (…).",
        )
    }

    /// Has PostgreSQL look at the predicate of a target whose constraint does without.
    fn judge_predicate(
        &self,
        infer: &Tree,
        composer: &mut Composer,
        source: &Source<'_>,
    ) -> Result<(), Refusal> {
        let predicate = infer.get("where_clause");
        if !predicate.exists() {
            return Ok(());
        }
        let conflict = self.write.clauses.insert.conflict.as_ref();
        let text = conflict.and_then(|conflict| conflict.predicate);
        // A predicate of an index has no query in it; elsewhere one may stand.
        let text = text.filter(|_| predicate.find("SubLink").is_none());
        let text = text.ok_or_else(|| self.unknown_target())?;
        let mut judged = Output::default();
        judged.own(&format!(
            "SELECT FROM {} AS cf_t WHERE (",
            self.lens.image_type()
        ));
        judged.client(source, text.extent()).own(")");
        composer.query(query::TARGET, judged);
        Ok(())
    }

    /// Columns that nothing makes unique: PostgreSQL's own error, and what to do if it would know better.
    fn no_such_target(&self, infer: &Tree) -> Refusal {
        let elements = infer.list("index_elems").iter();
        let mut unknown = elements
            .map(|element| element.text("name"))
            .filter(|name| self.lens.column(name).is_none());
        if let Some(name) = unknown.next() {
            return self.scope.no_such_column(name, infer.location());
        }
        refuse::no_such_target()
    }

    /// What makes rows of the legacy table unique, each with its columns.
    fn constraints(&self) -> impl Iterator<Item = (String, Vec<&LegacyColumn>)> {
        let key = (
            self.lens.key_constraint(),
            self.lens.key_columns().collect(),
        );
        let uniques = self.lens.uniques().iter();
        let uniques = uniques.map(|unique| {
            let columns = unique.columns.iter().map(|&at| &self.lens.columns[at]);
            (unique.name.clone(), columns.collect())
        });
        std::iter::once(key).chain(uniques)
    }

    /// A constraint's name, and that of the unified one.
    fn names_of<'n>(&'n self, name: &'n str) -> Vec<&'n str> {
        let pairs = self.lens.constraints.iter();
        let unified = pairs.filter(|(legacy, _)| legacy == name);
        let unified = unified.map(|(_, unified)| unified.as_str());
        std::iter::once(name).chain(unified).collect()
    }
}

/// Whether an ON CONFLICT target is columns, whatever predicate stands behind them.
fn is_plain(infer: &Tree) -> bool {
    let mut elements = infer.list("index_elems").iter();
    let plain = elements.all(|element| {
        !element.get("expr").exists()
            && element.list("collation").is_empty()
            && element.list("opclass").is_empty()
    });
    plain && infer.name("conname").is_none()
}

/// Whether an ON CONFLICT target is these columns, in any order.
fn infers(infer: &Tree, columns: &[&LegacyColumn]) -> bool {
    let elements = infer.list("index_elems");
    let named: Vec<&str> = elements.iter().map(|e| e.text("name")).collect();
    is_plain(infer)
        && columns.iter().all(|c| named.contains(&c.name.as_str()))
        && named
            .iter()
            .all(|name| columns.iter().any(|c| c.name == *name))
}

fn array(names: &[&str]) -> String {
    let all = list(names.iter().map(|name| quote_literal(name)));
    format!("ARRAY[{}]::text[]", all)
}
