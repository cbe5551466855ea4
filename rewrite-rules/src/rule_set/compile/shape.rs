//! The shape of a legacy table, which a rule file writes as CREATE TABLE does or as a table.

use std::collections::HashSet;
use std::ops::Range;

use toml::Spanned;

use super::Reader;
use super::between::TypedColumn;
use crate::lens::{Generated, LegacyColumn, Lossy, Over, TableName, quote_literal};
use crate::rule_file::{ColumnPart, Columns, LossyPart, TablePart};
use crate::rule_sql::{self, Definition, References};

/// A table's columns and constraints, with their places.
#[derive(Default)]
pub(super) struct Shape {
    pub columns: Vec<LegacyColumn>,
    /// Where each of them is declared.
    pub places: Vec<ColumnPlace>,
    /// Name and condition of the CHECKs among the columns.
    pub checks: Vec<(Spanned<String>, Spanned<String>)>,
    /// Of which rows columns are lossy, as [`Lossy::When`] counts them.
    pub lossy: Vec<Spanned<String>>,
    /// Name and columns of the UNIQUE constraints among them.
    pub uniques: Vec<(Spanned<String>, Vec<String>)>,
    /// Names and what they say of the foreign keys.
    pub references: Vec<(Spanned<String>, References)>,
}

pub(super) struct ColumnPlace {
    pub at: Range<usize>,
    /// More is said of the column than what it is in the legacy table.
    pub maps: bool,
}

impl Shape {
    pub fn names(&self) -> Vec<&str> {
        self.columns
            .iter()
            .map(|column| column.name.as_str())
            .collect()
    }
}

impl Reader<'_> {
    /// `None`: nothing is known of the table, and more errors would follow from that.
    pub(super) fn shape(&mut self, part: &TablePart) -> Option<Shape> {
        let mut shape = match part.columns.get_ref() {
            Columns::AsCreated(text) => {
                let text = Spanned::new(part.columns.span(), text.clone());
                self.as_created(&text)?
            }
            Columns::Each(columns) => {
                let mut shape = Shape::default();
                for (names, declared) in &columns.0 {
                    for name in names.get_ref().split(',') {
                        self.declared(
                            &mut shape,
                            (name.trim(), names.span()),
                            &declared.get_ref().0,
                        );
                    }
                }
                shape
            }
        };
        self.no_name_twice(&shape);
        self.lossy(&part.lossy, &mut shape);
        self.listed(&part.unverified, &mut shape.columns, |column| {
            std::mem::replace(&mut column.verify, false)
        });
        Some(shape)
    }

    fn as_created(&mut self, text: &Spanned<String>) -> Option<Shape> {
        let mut shape = Shape::default();
        let table = rule_sql::table(text.get_ref())
            .map_err(|error| self.placed(text, &error))
            .ok()?;
        for column in table.columns {
            let at = self.place(text, column.at);
            // Its type was read already.
            let part = ColumnPart::new(Spanned::new(at.clone(), String::new()));
            let column = self.column(&column.name, &part, column.is);
            shape.columns.push(column);
            shape.places.push(ColumnPlace { at, maps: false });
        }
        for unique in table.constraints.uniques {
            let at = self.place(text, unique.at);
            shape
                .uniques
                .push((Spanned::new(at, unique.name), unique.is));
        }
        for key in table.constraints.references {
            let at = self.place(text, key.at);
            shape.references.push((Spanned::new(at, key.name), key.is));
        }
        for check in table.constraints.checks {
            let at = self.place(text, check.at);
            let name = Spanned::new(at.clone(), check.name);
            shape.checks.push((name, Spanned::new(at, check.is)));
        }
        Some(shape)
    }

    fn declared(&mut self, shape: &mut Shape, (name, at): (&str, Range<usize>), part: &ColumnPart) {
        let definition = self.definition(part);
        let column = self.column(name, part, definition);
        let maps = part.unified.is_some()
            || part.unified_type.is_some()
            || part.cast.is_some()
            || part.holds.is_some()
            || !column.values.is_empty()
            || column.set_by_trigger;
        shape.columns.push(column);
        shape.places.push(ColumnPlace { at, maps });
    }

    fn no_name_twice(&mut self, shape: &Shape) {
        let mut seen = HashSet::new();
        for (column, place) in shape.columns.iter().zip(&shape.places) {
            if !seen.insert(column.name.as_str()) {
                let message = format!("column `{}` is declared twice", column.name);
                self.error(&place.at, &message);
            }
        }
    }

    fn lossy(&mut self, parts: &[Spanned<LossyPart>], shape: &mut Shape) {
        for part in parts.iter().map(Spanned::get_ref) {
            let lossy = match &part.when {
                None => Lossy::Always,
                Some(when) => {
                    shape.lossy.push(when.clone());
                    Lossy::When(shape.lossy.len() - 1)
                }
            };
            self.listed(&part.columns, &mut shape.columns, |column| {
                std::mem::replace(&mut column.lossy, lossy) == Lossy::Never
            });
        }
    }

    /// Says the same of several columns; `say` tells whether it was not said before.
    fn listed(
        &mut self,
        names: &[Spanned<String>],
        columns: &mut [LegacyColumn],
        say: impl Fn(&mut LegacyColumn) -> bool,
    ) {
        let each = |name: &Spanned<String>| {
            let at = name.span();
            let names: Vec<String> = name.get_ref().split(',').map(str::to_owned).collect();
            names.into_iter().map(move |name| (name, at.clone()))
        };
        for (name, at) in names.iter().flat_map(each) {
            let name = name.trim();
            let column = columns.iter_mut().find(|column| column.name == name);
            let message = match column.map(&say) {
                Some(true) => continue,
                Some(false) => format!("this is said of `{name}` twice; expected it once"),
                None => format!("`{name}` is not among `columns`"),
            };
            self.error(&at, &message);
        }
    }

    fn column(&mut self, name: &str, part: &ColumnPart, definition: Definition) -> LegacyColumn {
        let Definition {
            sql_type,
            not_null,
            default,
            generated,
        } = definition;
        let (unified_type, unified_generated) = match &part.unified_type {
            Some(written) => self.unified_definition(written),
            None => (sql_type.clone(), None),
        };
        let mut values = Vec::new();
        let mut seen = HashSet::new();
        for (legacy, unified) in part.values.iter().flat_map(|v| &v.0) {
            if !seen.insert(unified.get_ref().clone()) {
                self.error(
                    &unified.span(),
                    &format!(
                        "unified value `{}` of column `{name}` has two legacy values; \
                         expected each value once, so that it can be read back",
                        unified.get_ref()
                    ),
                );
            }
            values.push((legacy.get_ref().clone(), unified.get_ref().clone()));
        }
        let unified = part.unified.as_ref().map_or(name, |u| u.get_ref());
        let legacy = TypedColumn {
            name,
            sql_type: &sql_type,
        };
        let typed = TypedColumn {
            name: unified,
            sql_type: &unified_type,
        };
        let between = self.between(part, legacy, typed);
        LegacyColumn {
            name: name.to_owned(),
            sql_type,
            unified: unified.to_owned(),
            unified_type,
            cast: between.cast,
            holds: between.holds,
            generated,
            unified_generated,
            not_null,
            default,
            values,
            set_by_trigger: part.set_by_trigger,
            verify: part.verify,
            lossy: if part.lossy {
                Lossy::Always
            } else {
                Lossy::Never
            },
        }
    }

    /// A column as CREATE TABLE would have it; its default may also stand apart.
    fn definition(&mut self, part: &ColumnPart) -> Definition {
        let written = &part.sql_type;
        let mut definition = rule_sql::definition(written.get_ref()).unwrap_or_else(|error| {
            self.sql_error(written, &error);
            Definition::default()
        });
        if let Some(default) = &part.default {
            self.expression(default);
            if definition.default.is_some() {
                self.error(&default.span(), "the column has two defaults; expected one");
            }
            definition.default = Some(default.get_ref().clone());
        }
        definition
    }

    /// The unified column's type, and what fills it by itself.
    fn unified_definition(&mut self, written: &Spanned<String>) -> (String, Option<Generated>) {
        match rule_sql::definition(written.get_ref()) {
            Ok(found) if found.default.is_none() && !found.not_null => {
                (found.sql_type, found.generated)
            }
            Ok(found) => {
                let said = "expected a type, and GENERATED behind it if the column fills itself";
                self.error(&written.span(), said);
                (found.sql_type, found.generated)
            }
            Err(error) => {
                self.sql_error(written, &error);
                (String::new(), None)
            }
        }
    }

    /// What of the columns that fill themselves only the whole shape tells.
    pub(super) fn generated(&mut self, shape: &mut Shape, legacy: &TableName, key: &[usize]) {
        let names: Vec<String> = shape.names().into_iter().map(str::to_owned).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for (index, (column, place)) in shape.columns.iter_mut().zip(&shape.places).enumerate() {
            let plain = column.generated.is_none();
            match &mut column.generated {
                None => {}
                Some(Generated::Identity { .. }) if column.default.is_none() => {
                    let sequence = format!("{}_{}_seq", legacy.name, column.name);
                    if sequence.len() > 63 {
                        let said = "the name of its sequence is cut; expected `default = \"nextval('…')\"`";
                        self.error(&place.at, said);
                    }
                    let sequence = TableName {
                        schema: legacy.schema.clone(),
                        name: sequence,
                    };
                    let sequence = quote_literal(&sequence.sql());
                    column.default = Some(format!("nextval({sequence})"));
                }
                Some(Generated::Identity { .. }) => {}
                Some(Generated::Expression(sql)) => {
                    let said = sql.over("");
                    match rule_sql::qualify(&said, Over::HERE, Some(&names)) {
                        Ok((found, _)) => *sql = Over::of(&found),
                        Err(error) => self.error(&place.at, &format!("{error} in `{said}`")),
                    }
                    if column.default.is_some() || key.contains(&index) {
                        let said = format!(
                            "column `{}` is computed; expected no default of it, and another key",
                            column.name
                        );
                        self.error(&place.at, &said);
                    }
                }
            }
            if plain && column.is_computed_in_unified() {
                let said = format!(
                    "column `{}` is computed in unified only, where nothing that legacy has can be written",
                    column.name
                );
                self.error(&place.at, &said);
            }
        }
    }

    fn expression(&mut self, written: &Spanned<String>) {
        if let Err(error) = rule_sql::qualify(written.get_ref(), "", Some(&[])) {
            self.sql_error(written, &error);
        }
    }
}
