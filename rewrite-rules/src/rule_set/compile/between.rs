//! What stands between a column's legacy type and its unified one: how a value of one is made of the
//! other's, and which of them legacy can hold. Types tell most of it; what they do not, the rule does.

use toml::Spanned;

use super::Reader;
use crate::lens::types;
use crate::lens::{Cast, Held, Over};
use crate::rule_file::{CastPart, ColumnPart};
use crate::rule_sql;

#[derive(Default)]
pub(super) struct Between {
    pub cast: Option<Cast>,
    pub holds: Option<Over>,
}

/// A column of one side, and its type there.
#[derive(Clone, Copy)]
pub(super) struct TypedColumn<'a> {
    pub name: &'a str,
    pub sql_type: &'a str,
}

impl Reader<'_> {
    pub(super) fn between(
        &mut self,
        part: &ColumnPart,
        legacy: TypedColumn<'_>,
        unified: TypedColumn<'_>,
    ) -> Between {
        let (legacy_type, unified_type) = (legacy.sql_type, unified.sql_type);
        let given = [
            part.cast.as_ref().map(|cast| ("cast", cast.span())),
            part.holds.as_ref().map(|holds| ("holds", holds.span())),
        ];
        if part.values.is_some() || legacy_type == unified_type {
            for (word, span) in given.into_iter().flatten() {
                let said = match part.values {
                    Some(_) => "`values`, which say it of each value",
                    None => "the same type on both sides",
                };
                self.error(&span, &format!("found `{word}` beside {said}"));
            }
            return Between::default();
        }
        let cast = part
            .cast
            .as_ref()
            .and_then(|cast| self.cast(cast, legacy, unified));
        let holds = part
            .holds
            .as_ref()
            .and_then(|condition| self.over(condition, condition.get_ref(), unified.name))
            .map(|condition| Over::of(&format!("({})", condition.over(Over::HERE))));
        let (legacy, unified) = (legacy.name, unified.name);
        // The definition says the type; a definition that says none has its error already.
        let known = !legacy_type.is_empty() && !unified_type.is_empty();
        let place = part.unified_type.as_ref().unwrap_or(&part.sql_type).span();
        let types =
            format!("column `{legacy}` is {legacy_type} in legacy and {unified_type} in unified");
        let setting = types::depends_on(legacy_type, unified_type);
        if let Some(setting) = setting.filter(|_| known && part.cast.is_none()) {
            let zoned = types::zoned(legacy_type, unified_type).is_some();
            let expected = if zoned {
                "`cast = \"at time zone 'UTC'\"`, by the zone that the values without one are in"
                    .to_owned()
            } else {
                format!(
                    "`cast = {{ unified = \"…\", legacy = \"…\" }}`, SQL over `{legacy}` and over \
                     `{unified}` that no setting changes"
                )
            };
            self.error(
                &place,
                &format!(
                    "{types}: what a value of one is as the other depends on the session ({setting}); \
                     expected {expected}"
                ),
            );
            return Between::default();
        }
        let said = part.holds.is_some() || cast.as_ref().is_some_and(|cast| cast.tells);
        if known && !said && types::held(legacy_type, unified_type) == Held::Unknown {
            self.error(
                &place,
                &format!(
                    "{types}, which do not tell what of it legacy can hold; expected `holds = \"…\"`, \
                     a condition over `{unified}` (\"true\": every value)"
                ),
            );
        }
        Between {
            cast: cast.map(|cast| cast.is),
            holds,
        }
    }

    fn cast(
        &mut self,
        part: &Spanned<CastPart>,
        legacy: TypedColumn<'_>,
        unified: TypedColumn<'_>,
    ) -> Option<CastTold> {
        match part.get_ref() {
            CastPart::Behind(behind) => {
                let zone = rule_sql::at_time_zone(behind);
                let is = zone
                    .and_then(|zone| Cast::at_time_zone(&zone, legacy.sql_type, unified.sql_type));
                if is.is_none() {
                    let said = format!(
                        "found `{behind}`; expected `at time zone '…'` between a timestamp or date and \
                         a timestamp with time zone, or `{{ unified = …, legacy = … }}`"
                    );
                    self.error(&part.span(), &said);
                }
                Some(CastTold {
                    is: is?,
                    tells: true,
                })
            }
            CastPart::Each {
                unified: to_unified,
                legacy: to_legacy,
            } => {
                let to_unified = self.over(part, to_unified, legacy.name);
                let to_legacy = self.over(part, to_legacy, unified.name);
                let is = Cast {
                    to_unified: to_unified?,
                    to_legacy: to_legacy?,
                };
                Some(CastTold { is, tells: false })
            }
        }
    }

    /// SQL over one column, as SQL over a value.
    fn over<T>(&mut self, part: &Spanned<T>, sql: &str, column: &str) -> Option<Over> {
        match rule_sql::qualify(sql, Over::HERE, Some(&[column])) {
            Ok((found, _)) => {
                let value = format!("({})", Over::HERE);
                Some(Over::of(&Over::of(&found).columns(|_| value.clone())))
            }
            Err(error) => {
                self.error(&part.span(), &format!("{error} in `{sql}`"));
                None
            }
        }
    }
}

/// A cast, and whether it tells with the types what legacy can hold.
struct CastTold {
    is: Cast,
    tells: bool,
}
