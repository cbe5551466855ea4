//! The compile of a lens whose `read`, `put` and `remove` the operator wrote.

use std::ops::Range;

use toml::Spanned;

use super::Reader;
use super::shape::Shape;
use crate::lens::{Check, Lossy, Over, Query, Step, TableName, Unique, Written};
use crate::rule_file::{StepPart, TablePart, Unified, place_in_string};
use crate::rule_sql::{self, Checked, Known, Relation, SqlError};

/// The relation under which a step finds the row image.
const ROW_IMAGE: &str = "row_image";
/// The one under which a step of `rekey` finds what the row was.
const OLD_IMAGE: &str = "old_image";

impl Reader<'_> {
    /// The unified tables of a table's rule.
    pub(super) fn unified_tables(&mut self, part: &TablePart) -> Vec<TableName> {
        let Some(unified) = &part.unified else {
            return Vec::new();
        };
        let names = match unified.get_ref() {
            Unified::One(name) => std::slice::from_ref(name),
            Unified::Several(names) => names,
        };
        let placed = |name: &String| Spanned::new(unified.span(), name.clone());
        self.table_names(&names.iter().map(placed).collect::<Vec<_>>())
    }

    pub(super) fn table_names(&mut self, names: &[Spanned<String>]) -> Vec<TableName> {
        let mut tables = Vec::new();
        for name in names {
            tables.extend(self.table_name(name));
        }
        tables
    }

    /// `None` for a lens that is derived from its columns, or after an error.
    pub(super) fn written(
        &mut self,
        part: &TablePart,
        shape: &Shape,
        key: &[usize],
        (tables, crosswalk): (&[TableName], &[TableName]),
    ) -> Option<Written> {
        let Some(read) = &part.read else {
            self.derived_only(part, shape);
            return None;
        };
        self.written_only(part, shape);
        let lookup = self.table_names(&part.lookup);
        let all: Vec<TableName> = [tables, crosswalk, &lookup].concat();
        let names = shape.names();
        // Legacy follows what clients write to these; nobody follows the lookups.
        let followed = [tables, crosswalk].concat();
        let known = Known {
            tables: &followed,
            relations: &[],
            lookup: &lookup,
        };
        let query = rule_sql::read(read.get_ref(), known, &names, key)
            .map_err(|error| self.placed(read, &error))
            .ok();
        let query = query.map(|mut query| {
            self.lossy_rows(shape, known, &mut query);
            query
        });
        let may_write: Vec<&TableName> = tables.iter().chain(crosswalk).collect();
        let tables_of = (all.as_slice(), may_write.as_slice());
        let row = [ROW_IMAGE].map(|name| relation(name, &names));
        let both = [ROW_IMAGE, OLD_IMAGE].map(|name| relation(name, &names));
        let (put, used) = self.steps(&part.put, tables_of, &row);
        let (remove, _) = self.steps(&part.remove, tables_of, &row);
        let (rekey, _) = self.steps(&part.rekey, tables_of, &both);
        for (list, word) in [(&part.put, "put"), (&part.remove, "remove")] {
            if list.is_empty() {
                let message = format!("a lens with `read` needs at least one [[table.{word}]]");
                self.error(&read.span(), &message);
            }
        }
        let checks = self.checks(part, shape);
        let uniques = self.uniques(part, shape);
        let foreign_keys = self.foreign_keys(part, shape);
        // What a wrong step would have put is not known.
        let whole = put.len() == part.put.len();
        for (place, column) in shape.places.iter().zip(&shape.columns).filter(|_| whole) {
            let said = column.lossy == Lossy::Always || column.is_computed();
            if !said && !used.contains(&column.name) {
                let name = &column.name;
                self.error(
                    &place.at,
                    &format!("no [[table.put]] says what becomes of `{name}`; name it in one, or say `lossy = true`"),
                );
            }
        }
        Some(Written {
            tables: tables.to_vec(),
            crosswalk: crosswalk.to_vec(),
            query: query?,
            put,
            remove,
            rekey,
            checks,
            uniques,
            foreign_keys,
            referrers: Vec::new(),
        })
    }

    /// Of which rows columns are lossy: read from what `read` joins, like another column of it.
    fn lossy_rows(&mut self, shape: &Shape, known: Known<'_>, query: &mut Query) {
        for (number, when) in shape.lossy.iter().enumerate() {
            let columns = shape.columns.iter().enumerate();
            let lossy: Vec<usize> = columns
                .filter(|(_, column)| column.lossy == Lossy::When(number))
                .map(|(at, _)| at)
                .collect();
            if let Err(error) = rule_sql::lossy_rows(when.get_ref(), known, &lossy, query) {
                self.placed(when, &error);
            }
        }
    }

    fn uniques(&mut self, part: &TablePart, shape: &Shape) -> Vec<Unique> {
        let mut uniques: Vec<Unique> = Vec::new();
        for (name, columns) in &shape.uniques {
            if uniques.iter().any(|known| known.name == *name.get_ref()) {
                let message = format!("the UNIQUE `{}` is declared twice", name.get_ref());
                self.error(&name.span(), &message);
            }
            let mut places = Vec::new();
            for column in columns {
                match shape.names().iter().position(|name| name == column) {
                    Some(place) => places.push(place),
                    None => {
                        let message = format!("`{column}` is not among `columns`");
                        self.error(&name.span(), &message);
                    }
                }
            }
            let mut pairs = part.constraints.0.iter();
            let unified = pairs.find(|(legacy, _)| legacy.get_ref() == name.get_ref());
            uniques.push(Unique {
                name: name.get_ref().clone(),
                columns: places,
                unified: unified.map(|(_, unified)| unified.get_ref().clone()),
            });
        }
        uniques
    }

    fn checks(&mut self, part: &TablePart, shape: &Shape) -> Vec<Check> {
        let mut checks: Vec<Check> = Vec::new();
        for (name, sql) in part.checks.0.iter().chain(&shape.checks) {
            if checks.iter().any(|check| check.name == *name.get_ref()) {
                let message = format!("the CHECK `{}` is declared twice", name.get_ref());
                self.error(&name.span(), &message);
            }
            match rule_sql::qualify(sql.get_ref(), Over::HERE, Some(&shape.names())) {
                Ok((sql, _)) => checks.push(Check {
                    name: name.get_ref().clone(),
                    sql: Over::of(&sql),
                }),
                Err(error) => self.sql_error(sql, &error),
            }
        }
        checks.sort_by(|a, b| a.name.cmp(&b.name));
        checks
    }

    /// What only a written lens may say.
    fn derived_only(&mut self, part: &TablePart, shape: &Shape) {
        let steps = part.put.iter().chain(&part.remove).chain(&part.rekey);
        let stray = steps
            .map(Spanned::span)
            .chain(part.lookup.iter().map(Spanned::span))
            .chain(part.checks.0.iter().map(|(name, _)| name.span()))
            .chain(shape.checks.iter().map(|(name, _)| name.span()))
            .chain(shape.uniques.iter().map(|(name, _)| name.span()))
            .chain(shape.references.iter().map(|(name, _)| name.span()))
            .chain(shape.lossy.iter().map(Spanned::span));
        for span in stray.collect::<Vec<_>>() {
            self.error(&span, "found this without `read`; a lens that is derived from `columns` has neither steps, lookups, checks, unique constraints, foreign keys (what stands for them in unified is named in [table.constraints]) nor columns that are lossy for some rows");
        }
        if let Some(unified) = &part.unified
            && let Unified::Several(_) = unified.get_ref()
        {
            self.error(
                &unified.span(),
                "found several unified tables without `read`; expected one, or the SQL of the lens",
            );
        }
    }

    /// What a written lens must not say: its SQL says it.
    fn written_only(&mut self, part: &TablePart, shape: &Shape) {
        let constants = part.constants.0.iter().map(|(name, _)| name.span());
        let visible = part.visible.iter().map(Spanned::span);
        let mapped = shape.places.iter().filter(|place| place.maps);
        let spans = constants
            .chain(visible)
            .chain(mapped.map(|place| place.at.clone()));
        for span in spans.collect::<Vec<_>>() {
            self.error(
                &span,
                "found a derived mapping beside `read`; say it in `read` and in [[table.put]]",
            );
        }
    }

    /// The steps, and the names of all columns in them.
    fn steps(
        &mut self,
        parts: &[Spanned<StepPart>],
        (tables, may_write): (&[TableName], &[&TableName]),
        images: &[Relation],
    ) -> (Vec<Step>, Vec<String>) {
        let mut relations = images.to_vec();
        let (mut steps, mut used) = (Vec::new(), Vec::new());
        for part in parts.iter().map(Spanned::get_ref) {
            if let Some(name) = &part.name {
                let taken = tables.iter().any(|table| table.name == *name.get_ref())
                    || relations.iter().any(|r| r.name == *name.get_ref());
                if taken {
                    let message = format!(
                        "the step's name `{}` is taken by a table or an earlier step",
                        name.get_ref()
                    );
                    self.error(&name.span(), &message);
                }
            }
            let known = Known {
                tables,
                relations: &relations,
                lookup: &[],
            };
            let Checked {
                sql,
                returning,
                writes,
                deletes,
                locks,
                columns,
            } = match rule_sql::step(part.sql.get_ref(), known) {
                Ok(checked) => checked,
                Err(error) => {
                    self.placed(&part.sql, &error);
                    continue;
                }
            };
            if !may_write.contains(&&writes) {
                let message = format!("the step writes {writes}, which is only a lookup table");
                self.error(&part.sql.span(), &message);
            }
            used.extend(columns);
            let name = part.name.as_ref().map(|name| name.get_ref().clone());
            if let Some(name) = name.clone().filter(|_| !returning.is_empty()) {
                relations.push(Relation {
                    name,
                    columns: returning.clone(),
                });
            }
            steps.push(Step {
                name,
                sql,
                returning,
                deletes: deletes.then_some(writes),
                locks,
            });
        }
        (steps, used)
    }

    pub(super) fn placed(&mut self, sql: &Spanned<String>, error: &SqlError) {
        let span = match error.at {
            Some(at) => self.place(sql, at),
            None => sql.span(),
        };
        self.error(&span, &error.message);
    }

    /// Where a line and a column of a string's value are in the file.
    pub(super) fn place(&self, sql: &Spanned<String>, at: (u64, u64)) -> Range<usize> {
        place_in_string(self.text, &sql.span(), at, self.instance.as_ref())
    }
}

fn relation(name: &str, columns: &[&str]) -> Relation {
    Relation {
        name: name.to_owned(),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
    }
}
