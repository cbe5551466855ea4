//! The numbers of columns: of the legacy ones, as long as their table is there, and of the unified ones
//! that they are read from.

use rewrite_rules::RuleSet;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::ControlError;
use crate::session::origin::{Origin, Origins};

/// Numbers of pairs of columns, if both are there, and which pair it is.
const PLACES: &str = "\
SELECT c.at, u.attrelid, u.attnum, l.attrelid, l.attnum \
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY \
    AS c (legacy_table, legacy, unified_table, unified, at) \
JOIN pg_attribute AS l ON l.attrelid = to_regclass(c.legacy_table) AND l.attname = c.legacy AND l.attnum > 0 \
JOIN pg_attribute AS u ON u.attrelid = to_regclass(c.unified_table) AND u.attname = c.unified AND u.attnum > 0 \
ORDER BY c.at";

/// In one round trip, however many tables each of however many tenants has.
pub(crate) async fn read(client: &Client, rules: &RuleSet) -> Result<Origins, ControlError> {
    let mut tables = Vec::new();
    let (mut legacy_tables, mut unified_tables) = (Vec::new(), Vec::new());
    let (mut legacy, mut unified) = (Vec::new(), Vec::new());
    let lenses = rules.migrations().iter().flat_map(|m| &m.tables);
    for lens in lenses.filter(|lens| !lens.is_one_table()) {
        for (table, pairs) in lens.read_from_tables() {
            for (ours, theirs) in pairs {
                tables.push((&lens.legacy, table));
                legacy_tables.push(lens.legacy.sql());
                legacy.push(ours);
                unified_tables.push(table.sql());
                unified.push(theirs);
            }
        }
    }
    let rows = client
        .query_typed(
            PLACES,
            &[
                (&legacy_tables, Type::TEXT_ARRAY),
                (&legacy, Type::TEXT_ARRAY),
                (&unified_tables, Type::TEXT_ARRAY),
                (&unified, Type::TEXT_ARRAY),
            ],
        )
        .await
        .map_err(ControlError::sql("look-up of columns"))?;
    let mut origins = Origins::default();
    for row in rows {
        let at: i64 = row.get(0);
        let pair = usize::try_from(at - 1).ok().and_then(|at| tables.get(at));
        let Some((legacy, unified)) = pair else {
            continue;
        };
        let origin = Origin {
            unified: (*unified).clone(),
            legacy: (*legacy).clone(),
            place: (row.get(3), row.get(4)),
        };
        origins.add((row.get(1), row.get(2)), origin);
    }
    Ok(origins)
}
