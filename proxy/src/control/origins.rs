//! The numbers of columns: of the legacy ones, as long as their table is there, and of the unified ones
//! that they are read from.

use rewrite_rules::RuleSet;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::ControlError;
use crate::session::origin::{Origin, Origins};

/// Numbers of pairs of columns, if both are there.
const PLACES: &str = "\
SELECT u.attrelid, u.attnum, l.attrelid, l.attnum FROM unnest($2::text[], $4::text[]) AS c (legacy, unified) \
JOIN pg_attribute AS l ON l.attrelid = to_regclass($1) AND l.attname = c.legacy AND l.attnum > 0 \
JOIN pg_attribute AS u ON u.attrelid = to_regclass($3) AND u.attname = c.unified AND u.attnum > 0";

pub(crate) async fn read(client: &Client, rules: &RuleSet) -> Result<Origins, ControlError> {
    let mut origins = Origins::default();
    let lenses = rules.migrations().iter().flat_map(|m| &m.tables);
    for lens in lenses.filter(|lens| !lens.is_one_table()) {
        for (unified, pairs) in lens.read_from_tables() {
            let (legacy, theirs): (Vec<&str>, Vec<&str>) = pairs.into_iter().unzip();
            let rows = client
                .query_typed(
                    PLACES,
                    &[
                        (&lens.legacy.sql(), Type::TEXT),
                        (&legacy, Type::TEXT_ARRAY),
                        (&unified.sql(), Type::TEXT),
                        (&theirs, Type::TEXT_ARRAY),
                    ],
                )
                .await
                .map_err(ControlError::sql("look-up of columns"))?;
            for row in rows {
                let origin = Origin {
                    unified: unified.clone(),
                    legacy: lens.legacy.clone(),
                    place: (row.get(2), row.get(3)),
                };
                origins.add((row.get(0), row.get(1)), origin);
            }
        }
    }
    Ok(origins)
}
