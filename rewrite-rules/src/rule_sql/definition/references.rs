//! `CONSTRAINT name FOREIGN KEY (…) REFERENCES …` of a legacy table.

use sqlparser::ast::{
    ConstraintReferenceMatchKind, DeferrableInitial, ForeignKeyConstraint, ObjectNamePart,
    ReferentialAction,
};
use sqlparser::tokenizer::Location;

use super::{Placed, folded, its_name};
use crate::lens::{Action, Deferral};
use crate::rule_sql::SqlError;

/// What a foreign key says, its names folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct References {
    pub columns: Vec<String>,
    /// With or without its schema.
    pub table: Vec<String>,
    /// Empty: the key of that table.
    pub referred: Vec<String>,
    pub on_delete: Action,
    pub on_update: Action,
    pub deferral: Deferral,
}

pub(super) fn of(key: ForeignKeyConstraint, at: Location) -> Result<Placed<References>, SqlError> {
    let name = its_name(key.name.as_ref(), &key, at)?;
    let unlike = |expected: &str| {
        SqlError::new(format!("found `{key}`; expected {expected}"), at)
    };
    let deferral = match &key.characteristics {
        None => Deferral::Never,
        Some(said) => {
            if said.enforced == Some(false) {
                return Err(unlike("a foreign key that is enforced"));
            }
            match (said.deferrable, said.initially) {
                (Some(false), Some(DeferrableInitial::Deferred)) => {
                    return Err(unlike("INITIALLY DEFERRED of what is DEFERRABLE"));
                }
                (_, Some(DeferrableInitial::Deferred)) => Deferral::Deferred,
                (Some(true), _) => Deferral::Immediate,
                (Some(false) | None, _) => Deferral::Never,
            }
        }
    };
    match key.match_kind {
        None | Some(ConstraintReferenceMatchKind::Simple) => {}
        Some(_) => return Err(unlike("MATCH SIMPLE")),
    }
    let table = key.foreign_table.0.iter().map(|part| match part {
        ObjectNamePart::Identifier(name) => Some(folded(name)),
        ObjectNamePart::Function(_) => None,
    });
    let Some(table) = table.collect::<Option<Vec<String>>>() else {
        return Err(unlike("the name of a table"));
    };
    let names = |list: &[sqlparser::ast::Ident]| list.iter().map(folded).collect();
    Ok(Placed {
        name,
        at: (at.line, at.column),
        is: References {
            columns: names(&key.columns),
            table,
            referred: names(&key.referred_columns),
            on_delete: action(key.on_delete),
            on_update: action(key.on_update),
            deferral,
        },
    })
}

fn action(said: Option<ReferentialAction>) -> Action {
    match said {
        None | Some(ReferentialAction::NoAction) => Action::Nothing,
        Some(ReferentialAction::Restrict) => Action::Restrict,
        Some(ReferentialAction::Cascade) => Action::Cascade,
        Some(ReferentialAction::SetNull) => Action::SetNull,
        Some(ReferentialAction::SetDefault) => Action::SetDefault,
    }
}
