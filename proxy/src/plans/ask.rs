//! The server's plan of a text, for a role of the application's: planning evaluates functions that the text or its tables
//! name, so it is done with that role's rights, read-only, and rolled back.
//!
//! Whose text it is may not be known, and what its constants were is not. So of a text that somebody has not vouched for by
//! naming a role, the server is asked first what it calls: only what is PostgreSQL's own is planned.

use rewrite_rules::lens::quote_ident;
use rewrite_rules::{TableName, statements};
use serde_json::Value;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use crate::control::called::{self, Obstacle, OtherTables, ReadTable};
use crate::control::client_role::{self, TempFunction};

/// A plan without values takes milliseconds; one that waits for a lock would have others wait behind it.
const SETTINGS: &str = "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL plan_cache_mode = force_generic_plan; \
     SET LOCAL jit = off; SET LOCAL check_function_bodies = off; SET LOCAL statement_timeout = '5s'; \
     SET LOCAL lock_timeout = '1s'; SET LOCAL idle_in_transaction_session_timeout = '60s'";

/// A function takes 100 arguments.
const PARAMETERS_MAX: usize = 99;

/// Reads a text, and no more: its parameters' types.
const PREPARE: TempFunction<'_> = TempFunction {
    name: "cf_prepare",
    arguments: "text, text",
    returns: "oid[]",
    body: "\
DECLARE command text := 'PREPARE cf_planned AS ' || $1; types oid[]; \
BEGIN \
    PERFORM pg_catalog.set_config('search_path', $2, true); \
    EXECUTE command; \
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true); \
    SELECT p.parameter_types::oid[] INTO types FROM pg_prepared_statements AS p WHERE p.name = 'cf_planned'; \
    RETURN types; \
END",
};

/// Makes a function of it, which is never called: the server writes down what it would call. Its own name is in no path.
const RESOLVE: TempFunction<'_> = TempFunction {
    name: "cf_resolve",
    arguments: "text, text, text",
    returns: "void",
    body: "\
DECLARE command text := 'CREATE FUNCTION pg_temp.cf_asked (' || $2 || E') RETURNS void LANGUAGE sql BEGIN ATOMIC\\n' \
    || $1 || E'\\n; END'; \
BEGIN \
    PERFORM pg_catalog.set_config('search_path', $3, true); \
    EXECUTE command; \
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true); \
END",
};

/// The first thing of the text that is not PostgreSQL's own. Tables, with their constraints, have been looked at; a sequence is
/// no code, and a type that is a table's, or a list of words, has none.
const CALLED: &str = "\
SELECT i.type || ' ' || i.identity FROM pg_proc AS f JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid \
CROSS JOIN LATERAL pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) AS i \
WHERE f.proname = 'cf_asked' AND f.pronamespace = pg_my_temp_schema() AND i.schema <> 'pg_catalog' \
    AND NOT (d.refclassid = 'pg_class'::regclass AND i.type IN ('table', 'table column', 'sequence')) \
    AND d.refclassid <> 'pg_constraint'::regclass \
    AND NOT (d.refclassid = 'pg_proc'::regclass AND i.schema = 'crossfade') \
    AND NOT (d.refclassid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type AS t LEFT JOIN pg_type AS e ON e.oid = t.typelem \
        WHERE t.oid = d.refobjid AND (t.typtype = 'e' OR e.typtype = 'e' OR t.typtype = 'c' OR e.typtype = 'c'))) \
ORDER BY 1 LIMIT 1";

/// A prepared statement has a plan without values for its parameters.
fn explain<'a>(returns: &'a str, body: &'a str) -> TempFunction<'a> {
    TempFunction {
        name: "cf_explain",
        arguments: "integer, text",
        returns,
        body,
    }
}

fn explain_body(options: &str) -> String {
    format!(
        "\
DECLARE command text := 'EXPLAIN {options} EXECUTE cf_planned' || CASE WHEN $1 > 0 \
    THEN '(' || pg_catalog.rtrim(pg_catalog.repeat('NULL, ', $1), ', ') || ')' ELSE '' END; \
BEGIN \
    PERFORM pg_catalog.set_config('search_path', $2, true); \
    RETURN QUERY EXECUTE command; \
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true); \
END"
    )
}

/// Why there is no plan, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoPlan(pub String);

/// What the server has against a text.
fn said(error: &Error) -> NoPlan {
    let said = error.as_db_error().map(|said| said.message().to_owned());
    NoPlan(said.unwrap_or_else(|| error.to_string()))
}

/// A second statement behind it would be run.
fn one(sql: &str) -> Result<&str, NoPlan> {
    let sql = sql.trim_end().trim_end_matches(';');
    match statements(sql) {
        Some(1) => Ok(sql),
        Some(_) => Err(NoPlan(
            "cannot insert multiple commands into one".to_owned(),
        )),
        None => Err(NoPlan("this is no SQL that Crossfade knows".to_owned())),
    }
}

/// The plan as people read it, for a role that somebody has named: whatever the text calls, it may call.
///
/// # Errors
/// The connection's. What the server has against the text is a [`NoPlan`].
pub async fn as_text(
    client: &Client,
    role: &str,
    sql: &str,
) -> Result<Result<Vec<String>, NoPlan>, Error> {
    let sql = match one(sql) {
        Ok(sql) => sql,
        Err(no_plan) => return Ok(Err(no_plan)),
    };
    let planned = lines(client, role, sql).await;
    client_role::end(client).await?;
    Ok(planned)
}

async fn lines(client: &Client, role: &str, sql: &str) -> Result<Vec<String>, NoPlan> {
    /// The role's policies are part of its plans. A plan takes no time, but what it evaluates may.
    const OF_ROLE: &str = "SET LOCAL row_security = on; SET LOCAL plan_cache_mode = force_generic_plan; \
         SET LOCAL statement_timeout = '60s'";
    let told = |error: Error| said(&error);
    let begun = client_role::begin(client, role, OF_ROLE).await;
    if !begun.map_err(told)? {
        return Err(NoPlan(format!("this session cannot be {role}'s")));
    }
    let path = client.query_typed_one("SELECT pg_catalog.current_setting('search_path')", &[]);
    let path: String = path.await.map_err(told)?.get(0);
    let body = explain_body("");
    for function in [PREPARE, explain("SETOF text", &body)] {
        let made = client_role::function(client, &function).await;
        made.map_err(told)?;
    }
    let read_only = client.batch_execute("SET TRANSACTION READ ONLY").await;
    read_only.map_err(told)?;
    let types = prepare(client, sql, &path).await.map_err(told)?;
    let rows = client
        .query_typed(
            "SELECT * FROM pg_temp.cf_explain($1, $2)",
            &[(&count(&types), Type::INT4), (&path, Type::TEXT)],
        )
        .await;
    Ok(rows.map_err(told)?.iter().map(|row| row.get(0)).collect())
}

fn count(types: &[u32]) -> i32 {
    i32::try_from(types.len()).unwrap_or(i32::MAX)
}

async fn prepare(client: &Client, sql: &str, path: &str) -> Result<Vec<u32>, Error> {
    let row = client
        .query_typed_one(
            "SELECT pg_temp.cf_prepare($1, $2)",
            &[(&sql, Type::TEXT), (&path, Type::TEXT)],
        )
        .await?;
    Ok(row.get::<_, Option<_>>(0).unwrap_or_default())
}

/// The plans of one text.
#[derive(Clone, Debug)]
pub struct Planned {
    /// As the server would run it.
    pub plan: Value,
    /// As it would with every scan and join that an index can serve served by one.
    pub by_indexes: Value,
    pub tables: Vec<ReadTable>,
}

/// Whom shapes are planned for, and what they may name.
#[derive(Debug)]
pub struct Asker<'c> {
    client: &'c Client,
    role: String,
    path: String,
    /// Both sides of the migration.
    tables: Vec<TableName>,
}

/// The role's own path, as a session of it begins with.
const PATH: &str = "\
SELECT coalesce((SELECT pg_catalog.substr(c, 13) FROM pg_catalog.pg_db_role_setting AS s, \
    pg_catalog.unnest(s.setconfig) AS c WHERE pg_catalog.starts_with(c, 'search_path=') \
    AND s.setrole IN (0, (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1)) \
    AND s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())) \
    ORDER BY s.setrole DESC, s.setdatabase DESC LIMIT 1), \
    (SELECT p.reset_val FROM pg_catalog.pg_settings AS p WHERE p.name = 'search_path'))";

impl<'c> Asker<'c> {
    /// For `role`; for the owner of the legacy table unless one is named, and where the session cannot be of that one, for
    /// itself. `tenant` is the schema that is searched first.
    ///
    /// # Errors
    /// The server's, and that the session may not be the role's who was named.
    pub async fn of(
        client: &'c Client,
        (role, legacy): (Option<&str>, &TableName),
        tenant: Option<&str>,
        tables: Vec<TableName>,
    ) -> Result<Asker<'c>, NoPlan> {
        let told = |error: Error| said(&error);
        let role = match role {
            Some(role) if may_be(client, role).await? => role.to_owned(),
            Some(role) => return Err(NoPlan(format!("this session cannot be {role}'s"))),
            None => {
                let row = client
                    .query_typed_one(
                    "SELECT current_user::text, (SELECT pg_get_userbyid(c.relowner)::text FROM pg_class AS c \
                     WHERE c.oid = to_regclass($1))",
                    &[(&legacy.sql(), Type::TEXT)],
                ).await.map_err(told)?;
                match row.get::<_, Option<String>>(1) {
                    Some(owner) if may_be(client, &owner).await? => owner,
                    Some(_) | None => row.get(0),
                }
            }
        };
        let own = client.query_typed_one(PATH, &[(&role, Type::TEXT)]).await;
        let own: String = own.map_err(told)?.get(0);
        let tenant = tenant.map(quote_ident);
        let parts = tenant.into_iter().chain(Some(own));
        let path: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
        Ok(Asker {
            client,
            role,
            path: path.join(", "),
            tables,
        })
    }

    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The plans of the client's own text, which must name one of the migration's tables.
    ///
    /// # Errors
    /// Why it has none: it is no query, means other tables, calls what is not PostgreSQL's, or the server objects.
    pub async fn plan_of_client(&self, sql: &str) -> Result<Planned, NoPlan> {
        let planned = self.plan(sql).await?;
        match planned.tables.iter().any(|t| self.tables.contains(&t.name)) {
            true => Ok(planned),
            false => Err(NoPlan(format!(
                "its names mean other tables by the search_path of {}, {}",
                self.role, self.path
            ))),
        }
    }

    /// The plans of a text. LIMIT and OFFSET whose numbers nobody knows are taken as [`LIMIT`] and 0.
    ///
    /// # Errors
    /// Why it has none: it is no query, calls what is not PostgreSQL's, or the server objects.
    pub async fn plan(&self, sql: &str) -> Result<Planned, NoPlan> {
        let planned = self.in_transaction(&few_rows(one(sql)?)).await;
        let ended = client_role::end(self.client).await;
        ended.map_err(|error| said(&error))?;
        planned
    }

    async fn in_transaction(&self, sql: &str) -> Result<Planned, NoPlan> {
        let told = |error: Error| said(&error);
        let client = self.client;
        let begun = client_role::begin(client, &self.role, SETTINGS).await;
        if !begun.map_err(told)? {
            return Err(NoPlan(format!("this session cannot be {}'s", self.role)));
        }
        let body = explain_body("(FORMAT JSON, VERBOSE)");
        for function in [PREPARE, RESOLVE, explain("SETOF json", &body)] {
            let made = client_role::function(client, &function).await;
            made.map_err(told)?;
        }
        let types = prepare(client, sql, &self.path).await;
        let types = types.map_err(|error| self.against(&error))?;
        if types.len() > PARAMETERS_MAX {
            return Err(NoPlan(format!(
                "it has {} parameters, at most {PARAMETERS_MAX} can be looked at",
                types.len()
            )));
        }
        let listed = (&*self.tables, OtherTables::OfTheSameOwners);
        let called = called::look(client, listed, &types).await.map_err(told)?;
        if let Some(obstacle) = called.obstacle {
            return Err(NoPlan(in_words(obstacle).to_owned()));
        }
        self.must_call_postgresql(sql, &called.types).await?;
        let read_only = client.batch_execute("SET TRANSACTION READ ONLY").await;
        read_only.map_err(told)?;
        let plan = self.explained(&types).await?;
        // What the server keeps of a plan does not follow the settings.
        client
            .batch_execute(
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
                 DISCARD PLANS",
            )
            .await
            .map_err(told)?;
        Ok(Planned {
            plan,
            by_indexes: self.explained(&types).await?,
            tables: called.tables,
        })
    }

    /// What the server has against a shape, with what an operator can do about it.
    fn against(&self, error: &Error) -> NoPlan {
        let NoPlan(message) = said(error);
        let Asker { role, path, .. } = self;
        NoPlan(match error.code() {
            Some(&SqlState::SYNTAX_ERROR) => {
                "it has no plan of its own, or none without its constants".to_owned()
            }
            Some(&SqlState::INDETERMINATE_DATATYPE | &SqlState::AMBIGUOUS_PARAMETER) => {
                format!("{message}, and its value is not known")
            }
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                format!("{message} for {role}: grant it, or name another role by --role")
            }
            Some(
                &SqlState::UNDEFINED_TABLE
                | &SqlState::UNDEFINED_FUNCTION
                | &SqlState::UNDEFINED_OBJECT
                | &SqlState::UNDEFINED_COLUMN
                | &SqlState::INVALID_SCHEMA_NAME,
            ) => format!("{message}, by the search_path of {role}, {path}"),
            Some(_) | None => message,
        })
    }

    async fn must_call_postgresql(&self, sql: &str, types: &str) -> Result<(), NoPlan> {
        let against = |error: Error| self.against(&error);
        let types = types.trim_start_matches(", ");
        self.client
            .query_typed(
                "SELECT pg_temp.cf_resolve($1, $2, $3)",
                &[
                    (&sql, Type::TEXT),
                    (&types, Type::TEXT),
                    (&self.path, Type::TEXT),
                ],
            )
            .await
            .map_err(against)?;
        let rows = self.client.query_typed(CALLED, &[]).await;
        match rows.map_err(against)?.first() {
            None => Ok(()),
            Some(row) => Err(NoPlan(format!(
                "it has {}, which is not PostgreSQL's own",
                row.get::<_, &str>(0)
            ))),
        }
    }

    async fn explained(&self, types: &[u32]) -> Result<Value, NoPlan> {
        let rows = self
            .client
            .query_typed(
                "SELECT e::text FROM pg_temp.cf_explain($1, $2) AS e",
                &[(&count(types), Type::INT4), (&self.path, Type::TEXT)],
            )
            .await
            .map_err(|error| self.against(&error))?;
        let plan = rows.first().and_then(|row| row.get::<_, Option<&str>>(0));
        plan.and_then(|plan| serde_json::from_str(plan).ok())
            .ok_or_else(|| NoPlan("the server's answer is no JSON".to_owned()))
    }
}

/// As many rows as a page of a list has. Of a number that it does not know the planner thinks a tenth of all rows.
const LIMIT: u32 = 20;

/// The text with numbers for the parameters of LIMIT and OFFSET, which stay in it so that the others keep their places.
fn few_rows(sql: &str) -> String {
    let mut made = String::with_capacity(sql.len());
    let mut quote: Option<char> = None;
    let mut at = 0;
    let mut last = ' ';
    while let Some(c) = sql[at..].chars().next() {
        if let Some(by) = quote {
            quote = (c != by).then_some(by);
        } else if c == '"' || c == '\'' {
            quote = Some(c);
        } else if last.is_whitespace()
            && let Some((parameter, made_of)) = rows_wanted(&sql[at..])
        {
            made += &made_of;
            at += parameter;
            last = ' ';
            continue;
        }
        made.push(c);
        last = c;
        at += c.len_utf8();
    }
    made
}

/// A clause `LIMIT $1` at the beginning of a text: its length, and what is planned in its place.
fn rows_wanted(text: &str) -> Option<(usize, String)> {
    let (word, rows) = [("limit", LIMIT), ("offset", 0)]
        .into_iter()
        .find(|(word, _)| {
            let begin = text.get(..word.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        })?;
    let behind = &text[word.len()..];
    let parameter = behind.trim_start();
    let blanks = behind.len() - parameter.len();
    let digits = parameter.strip_prefix('$')?;
    let end = digits.find(|c: char| !c.is_ascii_digit());
    let digits = &digits[..end.unwrap_or(digits.len())];
    (blanks > 0 && !digits.is_empty()).then(|| {
        let length = word.len() + blanks + 1 + digits.len();
        let planned = format!("{word} CASE WHEN true THEN {rows} ELSE ${digits} END");
        (length, planned)
    })
}

async fn may_be(client: &Client, role: &str) -> Result<bool, NoPlan> {
    let begun = client_role::begin(client, role, SETTINGS).await;
    let ended = client_role::end(client).await;
    ended.map_err(|error| said(&error))?;
    match begun {
        Ok(is) => Ok(is),
        Err(error) if error.as_db_error().is_some() => Ok(false),
        Err(error) => Err(said(&error)),
    }
}

fn in_words(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::Relation => {
            "it names a view, or a table of somebody who owns none of the migration's tables"
        }
        Obstacle::TableCode => {
            "an index, a constraint, a generated column, statistics or partitions of a table that it names call a function \
             that is not PostgreSQL's own"
        }
        Obstacle::ColumnType => {
            "a table that it names has a column whose type, or a cast of it, is not PostgreSQL's own"
        }
        Obstacle::Parameters => "it has parameters of types that are not PostgreSQL's own",
        Obstacle::Unknown => "the server answered what nobody expects",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_rows_is_planned_where_nobody_knows_how_many() {
        for (sql, expected) in [
            (
                "SELECT 1 FROM t LIMIT $1\nOFFSET $12",
                "SELECT 1 FROM t limit CASE WHEN true THEN 20 ELSE $1 END\noffset CASE WHEN true THEN 0 ELSE $12 END",
            ),
            (
                "SELECT (SELECT 1 limit $2) FROM t",
                "SELECT (SELECT 1 limit CASE WHEN true THEN 20 ELSE $2 END) FROM t",
            ),
            (
                "SELECT limits $1, \" limit $1\", ' offset $1' LIMIT ALL",
                "",
            ),
            ("SELECT 1 LIMIT 5", ""),
            ("SELECT é limit", ""),
        ] {
            let expected = if expected.is_empty() { sql } else { expected };
            assert_eq!(few_rows(sql), expected, "{sql}");
        }
    }
}
