//! From rule files as written to migrations that cannot be wrong in themselves.

mod between;
mod functions;
mod in_place;
mod references;
mod shape;
mod tenants;
mod written;

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::{Migration, OnUnifiedError, RuleErrors, SourceFile};
use crate::fence::Held;
use crate::lens::{
    BesideColumns, Constant, Discriminator, LegacyColumn, Lens, Over, TableName, Visible,
    WhenHidden,
};
use crate::phase::{Phase, WritersAround};
use crate::rule_file::{Placeholders, RuleFile, TablePart, line_and_column};
use crate::rule_sql;

pub(super) fn compile(files: Vec<SourceFile>) -> Result<Vec<Migration>, RuleErrors> {
    let mut errors = Vec::new();
    let mut migrations: Vec<Migration> = Vec::new();
    for file in &files {
        let mut reader = Reader {
            path: &file.path,
            text: &file.text,
            instance: None,
            errors: Vec::new(),
        };
        if let Some(migration) = reader.migration() {
            reader.unique(&migration, &migrations);
            reader.one_list(&migration, &migrations);
            migrations.push(migration);
        }
        errors.append(&mut reader.errors);
    }
    if errors.is_empty() {
        Ok(migrations)
    } else {
        Err(RuleErrors(errors))
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    /// Of the table that is read, which of several alike it is.
    instance: Option<Placeholders>,
    errors: Vec<String>,
}

impl Reader<'_> {
    fn error(&mut self, span: &Range<usize>, message: &str) {
        let (line, column) = line_and_column(self.text, span);
        let instance = match &self.instance {
            Some(instance) => instance.to_string(),
            None => String::new(),
        };
        self.errors.push(format!(
            "{}:{line}:{column}: {message}{instance}",
            self.path.display()
        ));
    }

    fn migration(&mut self) -> Option<Migration> {
        let file = match RuleFile::read(self.text) {
            Ok(file) => file,
            Err(wrong) => {
                for found in wrong {
                    self.error(&found.at, &found.message);
                }
                return None;
            }
        };
        let part = &file.migration;
        let name = part.name.get_ref().clone();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            self.error(
                &part.name.span(),
                &format!("`{name}` cannot name a migration; expected letters, digits, `_` and `-`"),
            );
        }
        let phase = part.phase.get_ref().parse::<Phase>().map_err(|message| {
            self.error(&part.phase.span(), &message);
        });
        let on_unified_error = part
            .on_unified_error
            .as_ref()
            .and_then(|word| self.word(word, &OnUnifiedError::WORDS));
        let writers_around = part
            .writers_around
            .as_ref()
            .and_then(|word| self.word(word, &WritersAround::WORDS));
        if file.tables.is_empty() {
            self.error(
                &part.name.span(),
                "the migration has no [[table]]; expected at least one",
            );
        }
        let crosswalk = match &file.prepare {
            Some(prepare) => self.table_names(&prepare.crosswalk),
            None => Vec::new(),
        };
        let prepare = file.prepare.as_ref().map(|prepare| {
            if let Err(error) =
                pg_query::parse(prepare.sql.get_ref(), pg_query::ParserOptions::DEFAULT)
            {
                self.error(&prepare.sql.span(), &error.to_string());
            }
            prepare.sql.get_ref().clone()
        });
        let mut tables: Vec<(&TablePart, Option<Placeholders>, Lens)> = Vec::new();
        for (table, instance) in file.tables.iter().zip(&file.instances) {
            self.instance.clone_from(instance);
            let lens = self.lens(&name, table.get_ref(), &crosswalk);
            tables.extend(lens.map(|lens| (table.get_ref(), instance.clone(), lens)));
        }
        self.one_lens_each(&tables);
        let all: Vec<&Lens> = tables.iter().map(|(_, _, lens)| lens).collect();
        for (part, instance, lens) in &tables {
            self.instance.clone_from(instance);
            self.held_somehow(part, lens, &all);
        }
        self.instance = None;
        let mut tables: Vec<Lens> = tables.into_iter().map(|(_, _, lens)| lens).collect();
        crate::lens::link(&mut tables);
        let functions = self.functions(&file.functions);
        let listed_by = self.listed_by(part, &file.tables);
        let phase = phase.ok()?;
        Some(Migration {
            name,
            phase,
            file: self.path.to_owned(),
            database: part.database.as_ref().map(|name| name.get_ref().clone()),
            declared_policy: on_unified_error,
            writers_around: writers_around.unwrap_or(WritersAround::Count),
            prepare,
            tables,
            functions,
            tenants: listed_by,
            misfit: None,
            is_tried: false,
            held: Held::ByFile,
            text: self.text.into(),
        })
    }

    /// A table of one migration may stand on one side of one lens; on the unified side of several whose steps say
    /// what becomes of rows that meet there.
    fn one_lens_each(&mut self, tables: &[(&TablePart, Option<Placeholders>, Lens)]) {
        let mut seen: Vec<(&TableName, &Lens)> = Vec::new();
        for (part, instance, lens) in tables {
            self.instance.clone_from(instance);
            let both = std::iter::once(&lens.legacy).chain(lens.unified_tables());
            let sides = if lens.is_one_table() { 1 } else { usize::MAX };
            for table in both.take(sides) {
                let mut others = seen.iter().filter(|(known, _)| *known == table);
                let merges = |(_, other): &(&TableName, &Lens)| {
                    other.legacy != lens.legacy && other.shares(table) && lens.shares(table)
                };
                if let Some((_, other)) = others.find(|other| !merges(other)) {
                    let is_legacy = *table == lens.legacy || *table == other.legacy;
                    let expected = match is_legacy || other.legacy == lens.legacy {
                        true => "expected each table once (elsewhere as `lookup`)",
                        false => {
                            "expected `read` in both: only steps say what becomes of rows that meet"
                        }
                    };
                    let message =
                        format!("table {table} is already in another [[table]]; {expected}");
                    let named = part.legacy.as_ref().or(part.in_place.as_ref());
                    self.error(&named.map_or(0..0, Spanned::span), &message);
                }
                seen.push((table, lens));
            }
        }
    }

    fn unique(&mut self, migration: &Migration, earlier: &[Migration]) {
        for other in earlier {
            if other.name == migration.name {
                self.error(
                    &(0..0),
                    &format!(
                        "migration `{}` is already defined in {}",
                        other.name,
                        other.file.display()
                    ),
                );
            }
            for (a, b) in migration
                .tables
                .iter()
                .flat_map(|a| other.tables.iter().map(move |b| (a, b)))
            {
                let unified = a
                    .unified_tables()
                    .into_iter()
                    .map(|table| (table, "unified"));
                // Until a migration begins its unified tables are nobody's.
                let begun = |m: &Migration| m.phase != Phase::LegacyOnly;
                let both_begun = begun(migration) && begun(other);
                for (mine, side) in std::iter::once((&a.legacy, "legacy")).chain(unified) {
                    let shared = b.unified_tables().contains(&mine);
                    let expected = if *mine == b.legacy || shared && side == "legacy" {
                        "a table can belong to one migration only"
                    } else if shared && both_begun {
                        "of two migrations that write one unified table one begins when the other's file is gone"
                    } else {
                        continue;
                    };
                    self.error(
                        &(0..0),
                        &format!(
                            "{side} table {mine} is already managed by migration `{}` in {}; {expected}",
                            other.name,
                            other.file.display()
                        ),
                    );
                }
            }
        }
    }

    fn table_name(&mut self, name: &Spanned<String>) -> Option<TableName> {
        match rule_sql::table_name(name.get_ref()) {
            Some(table) => Some(table),
            None => {
                let found = name.get_ref();
                self.error(
                    &name.span(),
                    &format!("found `{found}`; expected schema.table, e.g. `public.{found}`"),
                );
                None
            }
        }
    }

    fn lens(&mut self, migration: &str, part: &TablePart, crosswalk: &[TableName]) -> Option<Lens> {
        let (legacy, unified) = self.sides(part);
        let mut shape = self.shape(part)?;
        let key = self.key(part, &shape.columns);
        if let Some(legacy) = &legacy {
            self.generated(&mut shape, legacy, key.as_deref().unwrap_or_default());
        }
        let before = self.errors.len();
        let visible = part
            .visible
            .as_ref()
            .and_then(|sql| self.visible(sql, &shape.columns));
        let columns = &shape.columns;
        let discriminator = self.discriminator(part);
        let constants = self.constants(part, columns);
        let sides = (unified.as_slice(), crosswalk);
        let written = self.written(part, &shape, key.as_deref().unwrap_or_default(), sides);
        if written.is_none() {
            self.no_column_twice(part, (columns, &constants, discriminator.as_ref()));
        }
        let when_hidden = part
            .when_hidden
            .as_ref()
            .and_then(|word| self.word(word, &WhenHidden::WORDS));
        if let Some(table) = &part.in_place {
            self.in_place_only(part, table, columns, key.as_deref().unwrap_or_default());
        }
        if self.errors.len() > before {
            return None;
        }
        let tables = (legacy?, unified.into_iter().next()?);
        let further = BesideColumns { visible, constants };
        let mut lens = Lens::of_columns(migration, tables, (shape.columns, key?), further);
        lens.discriminator = discriminator;
        lens.row_security = part.row_security;
        lens.when_hidden = when_hidden;
        let constraints = part.constraints.0.iter();
        lens.constraints = constraints
            .map(|(legacy, unified)| (legacy.get_ref().clone(), unified.get_ref().clone()))
            .collect();
        Some(match (written, &part.in_place) {
            (Some(steps), _) => lens.made_of_steps(steps),
            (None, Some(_)) => lens.made_in_place(),
            (None, None) => lens,
        })
    }

    fn key(&mut self, part: &TablePart, columns: &[LegacyColumn]) -> Option<Vec<usize>> {
        if part.key.get_ref().is_empty() {
            self.error(
                &part.key.span(),
                "the key is empty; expected the names of its columns",
            );
            return None;
        }
        let mut key = Vec::new();
        for name in part.key.get_ref() {
            match columns
                .iter()
                .position(|column| column.name == *name.get_ref())
            {
                Some(index) => key.push(index),
                None => self.error(
                    &name.span(),
                    &format!("key column `{}` is not among `columns`", name.get_ref()),
                ),
            }
        }
        (key.len() == part.key.get_ref().len()).then_some(key)
    }

    /// What one of a key's words stands for.
    fn word<T: Copy>(&mut self, word: &Spanned<String>, words: &[(&str, T)]) -> Option<T> {
        let said = word.get_ref();
        let found = words.iter().find(|(known, _)| known == said);
        if found.is_none() {
            let known: Vec<String> = words
                .iter()
                .map(|(known, _)| format!("`{known}`"))
                .collect();
            let (last, others) = known.split_last()?;
            let expected = format!("{} or {last}", others.join(", "));
            self.error(
                &word.span(),
                &format!("found `{said}`; expected {expected}"),
            );
        }
        found.map(|(_, meant)| *meant)
    }

    /// The condition, with what a value of the legacy columns means to it.
    fn visible(&mut self, sql: &Spanned<String>, columns: &[LegacyColumn]) -> Option<Visible> {
        let mut visible = rule_sql::qualify(sql.get_ref(), Over::HERE, None)
            .map(|(sql, reads)| Visible::new(&sql, reads))
            .map_err(|error| self.sql_error(sql, &error))
            .ok()?;
        for column in columns {
            if !visible.reads.contains(&column.unified) {
                continue;
            }
            let values: Vec<&str> = column.values.iter().map(|(_, to)| to.as_str()).collect();
            // Of NULL no comparison is true.
            let shows = column.not_null
                && !values.is_empty()
                && rule_sql::holds_for_all(sql.get_ref(), &column.unified, &values);
            if !shows {
                visible.loses.push(column.unified.clone());
            }
        }
        Some(visible)
    }

    fn constants(&mut self, part: &TablePart, columns: &[LegacyColumn]) -> Vec<Constant> {
        let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let mut constants = Vec::new();
        for (name, sql) in &part.constants.0 {
            match rule_sql::qualify(sql.get_ref(), Lens::IMAGE, Some(&known)) {
                Ok((sql, _)) => constants.push(Constant {
                    unified: name.get_ref().clone(),
                    sql,
                }),
                Err(error) => self.sql_error(sql, &error),
            }
        }
        constants
    }

    fn no_column_twice(
        &mut self,
        part: &TablePart,
        (columns, constants, discriminator): (&[LegacyColumn], &[Constant], Option<&Discriminator>),
    ) {
        let mut seen = HashSet::new();
        let named = columns
            .iter()
            .map(|c| &c.unified)
            .chain(constants.iter().map(|c| &c.unified))
            .chain(discriminator.map(|d| &d.column));
        for unified in named {
            if !seen.insert(unified.clone()) {
                let sides = part.unified.as_ref().map(Spanned::span);
                let table = part.in_place.as_ref().map(Spanned::span);
                self.error(
                    &sides.or(table).unwrap_or(0..0),
                    &format!("unified column `{unified}` is set twice; expected one source for each column"),
                );
            }
        }
    }

    fn sql_error(&mut self, written: &Spanned<String>, error: &str) {
        self.error(
            &written.span(),
            &format!("{error} in `{}`", written.get_ref()),
        );
    }
}
