//! The client's own write within the statement that brings it to the other side: what it finds, what it writes, and
//! which rows those are then, the same for every statement. Of lenses it knows nothing.
//!
//! ```text
//! cf_lock AS MATERIALIZED (‹the legacy rows of› SELECT … FROM users WHERE (id = $2) ‹FOR UPDATE›),     found
//! cf_new AS (UPDATE users SET email = $1 WHERE (id = $2)
//!            AND (SELECT count(*) FROM cf_lock) >= 0 RETURNING "users".*)                              write
//! ```
//!
//! | statement | its rows | |
//! |---|---|---|
//! | INSERT, UPDATE, DELETE | `cf_new` | as they are |
//! | INSERT … ON CONFLICT DO UPDATE | `cf_ups` | `cf_row`, and whether it was there (`cf_was_there`); where that is asked |
//! | MERGE | `cf_new` | `cf_row`, and what was done to it (`cf_action`) |

use super::merge::{self, Did, Joined};
use super::returning::Carried;
use super::write::Write;
use crate::legend::query;
use crate::lens::{TableName, all_of, list};
use crate::rewrite::compose::{Composed, Composer, guard};
use crate::rewrite::{ManagedRef, Scope};
use crate::statement::Refusal;
use crate::text::clauses::merge::When;
use crate::text::splice::{Output, Source};

/// What a statement tells of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    Nothing,
    WasThere,
    Action,
}

pub(in crate::rewrite) struct Own<'w, 'a> {
    pub write: &'w Write<'a>,
    /// The table that it writes.
    pub table: &'w TableName,
    pub carried: Carried,
    /// The source of a MERGE.
    joined: Option<Joined<'a>>,
    tells: Tells,
}

impl<'w, 'a> Own<'w, 'a> {
    /// Checks the client's RETURNING list, and has it name what it will find over the written rows.
    pub fn of(
        scope: &Scope<'a>,
        target: &'w ManagedRef<'a>,
        write: &'w Write<'a>,
        source: &mut Source<'a>,
    ) -> Result<Self, Refusal> {
        let mut own = Own {
            write,
            table: target.managed.table,
            carried: Carried::default(),
            joined: None,
            tells: Tells::Nothing,
        };
        if write.is_merge() {
            let joined = Joined::of(scope, target, write.clauses.returning.is_some(), source);
            merge::returning(scope, target, (write, &joined, "cf_all"), source)?;
            own.joined = Some(joined);
            own.tells = Tells::Action;
        } else {
            own.carried = write.check_returning(scope, target, source)?;
        }
        Ok(own)
    }

    /// Has an INSERT with ON CONFLICT DO UPDATE tell which of its rows were there.
    pub fn telling_which_were_there(mut self) -> Self {
        self.tells = Tells::WasThere;
        self
    }

    /// The rows of the table that an UPDATE, DELETE or MERGE may write; `behind`: none before that query of ours has
    /// run; `lock`: under their locks.
    pub fn found(
        &self,
        source: &Source<'_>,
        results: &str,
        behind: Option<&str>,
        lock: bool,
    ) -> Output {
        let write = self.write;
        let merge = &write.clauses.merge;
        let table = write.item(self.table);
        let mut item = Output::default();
        if write.is_merge() && !merge.has(When::NotMatchedBySource) {
            item.client(source, merge.source.clone())
                .own(&format!(" JOIN {table} ON ("))
                .client(source, merge.condition.clone())
                .own(")");
        } else {
            item.own(&table);
        }
        let mut rows = Output::from(format!("SELECT {results}"));
        let guard = behind.map(guard);
        rows.append(write.from(source, item))
            .append(write.filter(source, guard.as_deref()));
        if lock {
            rows.own(&format!(" FOR UPDATE OF {}", write.alias));
        }
        rows
    }

    /// All columns of the table.
    pub fn all(&self) -> String {
        format!("{}.*", self.write.alias)
    }

    /// The statement as it came; `behind`: it finds no row before that query of ours has run.
    fn statement(&self, source: &Source<'_>, behind: Option<&str>) -> Output {
        let clauses = &self.write.clauses;
        let body = clauses.body.clone();
        let mut statement = Output::default();
        let Some(guard) = behind.map(guard) else {
            statement.client(source, body);
            return statement;
        };
        let condition = match self.write.is_merge() {
            true => Some(clauses.merge.condition.clone()),
            false => clauses.condition(),
        };
        match condition {
            Some(condition) => statement
                .client(source, body.start..condition.start)
                .own("(")
                .client(source, condition.clone())
                .own(&format!(") AND {guard}"))
                .client_behind(source, condition.end..body.end),
            None => statement
                .client(source, body)
                .own(&format!(" WHERE {guard}")),
        };
        statement
    }

    /// `cf_new`: the statement, which finds no row before a query of ours has run.
    pub fn write(&self, composer: &mut Composer, source: &Source<'_>, behind: Option<&str>) {
        let statement = self.statement(source, behind);
        let (write, carried) = (self.write, &self.carried);
        match self.tells {
            Tells::Nothing => composer.written(statement, (write, carried), self.table),
            Tells::WasThere => {
                // A row that was there was locked before it was updated, and its new version says by whom.
                let was_there = format!("{}.xmax <> '0'::xid AS cf_was_there", write.alias);
                composer.telling(statement, (write, carried), self.table, &was_there);
            }
            Tells::Action => {
                let joined = self.joined.as_ref();
                let rows = joined.filter(|_| write.clauses.returning.is_some());
                let rows = rows.map_or_else(String::new, Joined::rows);
                composer.merging(statement, write, self.table, &rows);
            }
        }
    }

    /// The written rows to which this was done, as a relation.
    pub fn rows(&self, composer: &Composer, did: Did) -> String {
        match (self.tells, did) {
            (Tells::Nothing, _) => composer.name(query::NEW),
            (Tells::WasThere, Did::Inserted | Did::Updated) => format!(
                "(SELECT (cf_row).* FROM {} WHERE cf_was_there = {})",
                composer.name(query::UPS),
                did == Did::Updated
            ),
            (Tells::WasThere, Did::Deleted | Did::Put | Did::Anything) => {
                format!("(SELECT (cf_row).* FROM {})", composer.name(query::UPS))
            }
            (Tells::Action, _) => composer.merged(did),
        }
    }

    /// `cf_was`: the rows that an UPDATE finds under their locks, each once by its key.
    pub fn was(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        (row, keys): (&str, &[String]),
        behind: Option<&str>,
    ) {
        let mut was = self.found(source, &format!("{row} AS cf_row"), behind, true);
        if self.write.clauses.joined().is_some() {
            // A row that several rows are joined to is written once.
            let keys = list(keys.iter().map(|key| format!("(cf_row).{key}")));
            let mut once = Output::default();
            once.own(&format!("SELECT DISTINCT ON ({}) cf_row FROM (", keys));
            once.append(was).own(") AS cf_q");
            was = once;
        }
        composer.once(query::WAS, was);
    }

    /// The UPDATE of the rows of `cf_was`, up to its RETURNING; `None`: it cannot be told where its assignments end.
    ///
    /// ```text
    /// UPDATE iso_agents a SET id = c.id FROM client_profiles c WHERE c.iso_agent_id = a.id
    ///
    /// WITH cf_was AS MATERIALIZED (SELECT DISTINCT ON ((cf_row)."id") cf_row FROM (
    ///        SELECT ROW(a.*)::legacy AS cf_row FROM legacy AS a, client_profiles c WHERE … FOR UPDATE OF a) AS cf_q),
    ///      cf_new AS (UPDATE iso_agents a SET id = c.id FROM client_profiles c, cf_was WHERE ‹same key› AND (…) …)
    /// ```
    pub fn of_those_that_were(
        &self,
        composer: &Composer,
        source: &Source<'_>,
        keys: &[String],
    ) -> Option<Output> {
        let (write, was) = (self.write, composer.name(query::WAS));
        let same = all_of(
            keys.iter()
                .map(|key| format!("{}.{key} = ({was}.cf_row).{key}", write.alias)),
        );
        let mut statement = Output::default();
        statement
            .client(
                source,
                write.clauses.body.start..write.clauses.assigned_to()?,
            )
            .own(" FROM ");
        if let Some(joined) = write.clauses.joined() {
            statement.client(source, joined).own(", ");
        }
        statement.own(&format!("{was} WHERE {}", same));
        if let Some(condition) = write.clauses.condition() {
            statement.own(" AND (").client(source, condition).own(")");
        }
        Some(statement)
    }

    /// Whether all rows of `cf_new` are those to which this was done, as they are.
    pub fn is_plain(&self) -> bool {
        self.tells == Tells::Nothing
    }

    /// What the client is answered.
    pub fn finish(&self, composer: Composer, source: &Source<'_>) -> Composed {
        let write = self.write;
        if let Some(joined) = &self.joined {
            let from = match write.clauses.returning {
                Some(_) => joined.from("cf_all"),
                None => String::new(),
            };
            return composer.select_merged(write, source, ("SELECT (cf_all.cf_row).*", &from));
        }
        let new = composer.name(query::NEW);
        composer.select_rows(write, source, &new, &self.carried)
    }
}
