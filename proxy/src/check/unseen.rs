//! What changes the meaning of names where no proxy sees it: functions of the database that set the
//! search path, the role or how texts are read, and are run by something other than a statement's call.

use tokio_postgres::Client;

use super::{About, Finding, Severity};
use crate::control::ControlError;

/// The functions whose body has a word by which it may set one of these, and what runs them without
/// being called by their name.
const SETTING: &str = "\
SELECT p.oid::regprocedure::text, string_agg(DISTINCT u.by, ', ' ORDER BY u.by) \
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace \
LEFT JOIN LATERAL ( \
    SELECT 'trigger ' || t.tgname || ' of ' || t.tgrelid::regclass AS by FROM pg_trigger AS t \
    WHERE t.tgfoid = p.oid AND NOT t.tgisinternal \
    UNION ALL \
    SELECT 'event trigger ' || e.evtname FROM pg_event_trigger AS e WHERE e.evtfoid = p.oid \
    UNION ALL \
    SELECT pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend AS d \
    WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid AND d.deptype <> 'i' \
        AND d.classid <> 'pg_trigger'::regclass AND d.classid <> 'pg_proc'::regclass \
        AND d.classid <> 'pg_event_trigger'::regclass \
    UNION ALL \
    SELECT 'the name of a function of PostgreSQL''s' FROM pg_proc AS o \
    WHERE o.proname = p.proname AND o.pronamespace = 'pg_catalog'::regnamespace \
) AS u ON true \
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'crossfade') AND n.nspname NOT LIKE 'pg\\_%' \
    AND p.prosrc ~* ('set_config|pg_settings|search_path|standard_conforming_strings|client_encoding' \
        || '|set[[:space:]]+((session|local)[[:space:]]+)?(schema|role|names|session|authorization)[[:>:]]') \
GROUP BY p.oid ORDER BY 1";

const SETTLE: &str = "see that it sets this for its own time only (a SET clause of the function's), or that sessions name \
migrated tables with their schema: what it sets is followed where the server tells it (PostgreSQL 18: \
search_path), and else with the next question";

pub(super) async fn check(client: &Client) -> Result<Vec<Finding>, ControlError> {
    let sql = ControlError::sql("look for functions that set the search path");
    let rows = client.query(SETTING, &[]).await.map_err(sql)?;
    let finding = |row: &tokio_postgres::Row| {
        let (name, runs): (String, Option<String>) = (row.get(0), row.get(1));
        let sets = format!("function {name} may set search_path, the role or how texts are read");
        let (severity, found, settle) = match runs {
            Some(runs) => (
                Severity::Warning,
                format!("{sets}, unseen by way of: {runs}"),
                SETTLE,
            ),
            None => (
                Severity::Note,
                format!("{sets}; followed where a statement calls it"),
                "",
            ),
        };
        Finding {
            severity,
            about: About::Fit,
            table: "what names mean".to_owned(),
            found,
            settle: settle.to_owned(),
        }
    };
    Ok(rows.iter().map(finding).collect())
}
