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
    let unlike = |expected: &str| SqlError::new(format!("found `{key}`; expected {expected}"), at);
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

#[cfg(test)]
mod tests {
    use crate::lens::{Action, Deferral};
    use crate::rule_sql::table;

    #[test]
    fn a_foreign_key_reads_as_create_table_has_it() {
        let found = table(
            "a int CONSTRAINT a_fk REFERENCES Other NOT NULL, b int CONSTRAINT b_fk REFERENCES s.other (x) ON DELETE SET NULL \
             DEFERRABLE INITIALLY DEFERRED, CONSTRAINT c_fk FOREIGN KEY (a, b) REFERENCES t (y, z) ON UPDATE CASCADE DEFERRABLE",
        )
        .expect("it is right");
        let said: Vec<String> = found
            .constraints
            .references
            .iter()
            .map(|key| {
                let is = &key.is;
                format!(
                    "{} ({}) {} ({}) {:?} {:?} {:?}",
                    key.name,
                    is.columns.join(" "),
                    is.table.join("."),
                    is.referred.join(" "),
                    is.on_delete,
                    is.on_update,
                    is.deferral
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                "a_fk (a) other () Nothing Nothing Never",
                "b_fk (b) s.other (x) SetNull Nothing Deferred",
                "c_fk (a b) t (y z) Nothing Cascade Immediate",
            ]
        );
        assert!(found.columns[0].is.not_null);
        let (none, never) = (Action::Nothing, Deferral::Never);
        assert_eq!((none.letter(), never.sql()), ("a", "NOT DEFERRABLE"));
    }

    #[test]
    fn what_cannot_hold_on_is_told() {
        for (text, says) in [
            ("a int REFERENCES b", "without a name"),
            (
                "a int CONSTRAINT f REFERENCES b MATCH FULL",
                "expected MATCH SIMPLE",
            ),
        ] {
            let error = table(text).expect_err(text);
            assert!(error.message.contains(says), "{text}: {}", error.message);
        }
    }
}
