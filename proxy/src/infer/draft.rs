//! From two tables' shapes to the draft of a rule file.
//!
//! What follows from the shapes is written down; what does not is marked with `# DECIDE:`, and
//! where the file cannot do without, holds the word `DECIDE` in a place where it is an error. So a
//! draft that was not read through does not work by chance.

use std::fmt::Write;

use rewrite_rules::lens::{self, Held, quote_ident};

use super::{Constraint, DraftColumn, DraftTable};

pub(super) fn sql_name(table: &DraftTable) -> String {
    format!(
        "{}.{}",
        quote_ident(&table.schema),
        quote_ident(&table.name)
    )
}

/// Pairs of a legacy column and the unified one that stands for it.
type Pairs<'a> = Vec<(&'a DraftColumn, Option<&'a DraftColumn>)>;

pub(super) fn draft(legacy: &DraftTable, unified: &DraftTable) -> String {
    let pairs: Pairs<'_> = legacy
        .columns
        .iter()
        .map(|column| (column, find(unified, &column.name)))
        .collect();
    let mut out = String::new();
    head(&mut out, legacy, unified, &pairs);
    columns(&mut out, legacy, unified, &pairs);
    constants(&mut out, legacy, unified, &pairs);
    constraints(&mut out, legacy, unified, &pairs);
    out
}

fn find<'a>(table: &'a DraftTable, name: &str) -> Option<&'a DraftColumn> {
    table.columns.iter().find(|column| column.name == name)
}

macro_rules! line {
    ($out:expr, $($what:tt)*) => { push_line($out, &format!($($what)*)) };
}

/// A comment stays one, whatever names and definitions it repeats.
fn push_line(out: &mut String, line: &str) {
    if line.starts_with('#') {
        out.extend(line.chars().map(|c| if c.is_control() { ' ' } else { c }));
    } else {
        out.push_str(line);
    }
    out.push('\n');
}

fn head(out: &mut String, legacy: &DraftTable, unified: &DraftTable, pairs: &Pairs<'_>) {
    line!(
        out,
        "# A draft, made from the tables as they are. Each line with DECIDE needs a decision;"
    );
    line!(
        out,
        "# then `crossfade check {}` tells whether the file fits the database.",
        legacy.name
    );
    line!(
        out,
        "\n[migration]\nname  = {}\nphase = \"legacy_only\"",
        text(&legacy.name)
    );
    line!(out, "\n[[table]]\nlegacy  = {}", text(&dotted(legacy)));
    line!(out, "unified = {}", text(&dotted(unified)));
    key(out, legacy, unified, pairs);
    line!(
        out,
        "# DECIDE: which rows of {} exist for statements that name {}; left out: all of them.",
        unified.name,
        legacy.name
    );
    line!(out, "# visible = \"…\"");
}

fn key(out: &mut String, legacy: &DraftTable, unified: &DraftTable, pairs: &Pairs<'_>) {
    let primary = legacy.constraints.iter().find(|c| c.kind == "p");
    let columns = primary.map(|primary| primary.columns.clone());
    let columns = columns.or_else(|| legacy.unique.first().cloned());
    let Some(columns) = columns else {
        line!(
            out,
            "# DECIDE: {} has no primary key; what tells its rows apart?",
            legacy.name
        );
        line!(out, "key     = [\"DECIDE\"]");
        return;
    };
    let there = mapped(&columns, pairs);
    let same = |unique: &Vec<String>| there.as_ref().is_some_and(|there| same_set(unique, there));
    if !unified.unique.iter().any(same) {
        line!(
            out,
            "# DECIDE: {} has no unique index on exactly these columns; make one, or take another key.",
            unified.name
        );
    }
    let names: Vec<String> = columns.iter().map(|name| text(name)).collect();
    line!(out, "key     = [{}]", names.join(", "));
}

fn columns(out: &mut String, legacy: &DraftTable, unified: &DraftTable, pairs: &Pairs<'_>) {
    line!(out, "\n[table.columns]");
    let taken: Vec<&str> = pairs
        .iter()
        .filter_map(|(_, there)| there.map(|column| column.name.as_str()))
        .collect();
    for (column, there) in pairs {
        let mut fields = vec![format!(
            "type = {}",
            text(&filled(column, &column.sql_type))
        )];
        match there {
            Some(there) if there.sql_type != column.sql_type => {
                fields.push(format!(
                    "unified_type = {}",
                    text(&filled_there(there, &there.sql_type))
                ));
                if column.labels.is_empty() || there.labels.is_empty() {
                    line!(
                        out,
                        "# DECIDE: {} is {} in {} and {} in {}: does every value survive the way there and back?",
                        column.name,
                        column.sql_type,
                        legacy.name,
                        there.sql_type,
                        unified.name
                    );
                    fields.extend(between(out, column, there));
                }
            }
            Some(there) if there.is_computed => fields.push(format!(
                "unified_type = {}",
                text(&filled_there(there, &there.sql_type))
            )),
            Some(_) => {}
            None => {
                let same_type = unified.columns.iter().filter(|other| {
                    other.sql_type == column.sql_type && !taken.contains(&other.name.as_str())
                });
                let names: Vec<&str> = same_type.map(|other| other.name.as_str()).collect();
                let free = if names.is_empty() {
                    "none of its type is free".to_owned()
                } else {
                    format!("of its type and free: {}", names.join(", "))
                };
                line!(
                    out,
                    "# DECIDE: {} has no column {}; {free}.",
                    unified.name,
                    column.name
                );
                fields.push("unified = \"DECIDE\"".to_owned());
            }
        }
        if let Some(default) = column.default.as_ref().filter(|_| !column.is_computed) {
            fields.push(format!("default = {}", text(default)));
        }
        if let Some(values) = there.and_then(|there| values(out, column, there, unified)) {
            fields.push(values);
        }
        let by_trigger = there.is_some_and(|there| there.set_by_trigger);
        match (column.set_by_trigger, by_trigger) {
            (true, true) => fields.push("set_by_trigger = true".to_owned()),
            (false, false) => {}
            (here, _) => {
                let (one, other) = if here {
                    (legacy, unified)
                } else {
                    (unified, legacy)
                };
                line!(
                    out,
                    "# DECIDE: a trigger of {} sets {} at every update, and none of {} does.",
                    one.name,
                    column.name,
                    other.name
                );
            }
        }
        line!(out, "{} = {{ {} }}", bare(&column.name), fields.join(", "));
    }
}

/// A type with what fills the column behind it.
fn filled(column: &DraftColumn, sql_type: &str) -> String {
    match &column.generated {
        Some(generated) => format!("{sql_type} {generated}"),
        None => sql_type.to_owned(),
    }
}

/// The same of a unified column, of which only matters that nothing can be written there.
fn filled_there(column: &DraftColumn, sql_type: &str) -> String {
    if column.is_computed {
        filled(column, sql_type)
    } else {
        sql_type.to_owned()
    }
}

/// How values get from one type to the other, and which of them legacy can hold.
fn between(out: &mut String, column: &DraftColumn, there: &DraftColumn) -> Option<String> {
    let (here, there) = (column.sql_type.as_str(), there.sql_type.as_str());
    if let Some(setting) = lens::depends_on(here, there) {
        line!(
            out,
            "# DECIDE: what {} is as the other type depends on the session ({setting}); say how it is meant.",
            column.name
        );
        let cast = match setting {
            "TimeZone" => "\"at time zone 'DECIDE'\"",
            _ => "{ unified = \"DECIDE\", legacy = \"DECIDE\" }",
        };
        return Some(format!("cast = {cast}"));
    }
    if lens::held(here, there) != Held::Unknown {
        return None;
    }
    let name = quote_ident(&column.name);
    let Some((below, checks)) = &column.domain else {
        line!(
            out,
            "# DECIDE: which values of the unified column {} can hold; \"true\": all of them.",
            column.name
        );
        return Some("holds = \"DECIDE\"".to_owned());
    };
    let limit = lens::held(below, there).over(&name);
    let checks = checks.iter().map(|check| of_column(check, &name));
    let all: Vec<String> = limit.into_iter().chain(checks).collect();
    let all = if all.is_empty() {
        "true".to_owned()
    } else {
        all.join(" AND ")
    };
    Some(format!("holds = {}", text(&all)))
}

/// What a domain says of its VALUE, said of a column.
fn of_column(check: &str, name: &str) -> String {
    let mut out = String::new();
    for (number, part) in check.split('\'').enumerate() {
        if number > 0 {
            out.push('\'');
        }
        // Every second part is inside of a string.
        if number % 2 == 0 {
            out += &part.replace("VALUE", name);
        } else {
            out += part;
        }
    }
    out
}

/// Labels that both enums have stand for each other.
fn values(
    out: &mut String,
    column: &DraftColumn,
    there: &DraftColumn,
    unified: &DraftTable,
) -> Option<String> {
    if column.labels.is_empty() {
        return None;
    }
    let used = if column.used.is_empty() {
        "no rows".to_owned()
    } else {
        column.used.join(", ")
    };
    if column.sql_type == there.sql_type {
        line!(
            out,
            "# DECIDE: {} has the same type in both tables. Does each value mean the same in {}?",
            column.name,
            unified.name
        );
        line!(
            out,
            "# In use: {used}. If one is called otherwise there, add values = {{ legacy = \"unified\", … }} for all in use.",
        );
        return None;
    }
    if there.labels.is_empty() {
        return None;
    }
    let pairs: Vec<String> = column
        .labels
        .iter()
        .map(|label| {
            let same = there.labels.contains(label);
            if !same {
                line!(
                    out,
                    "# DECIDE: what {} = {label} is called in {} ({}); in use: {used}.",
                    column.name,
                    unified.name,
                    there.labels.join(", ")
                );
            }
            let found = if same { label.as_str() } else { "DECIDE" };
            format!("{} = {}", bare(label), text(found))
        })
        .collect();
    Some(format!("values = {{ {} }}", pairs.join(", ")))
}

fn constants(out: &mut String, legacy: &DraftTable, unified: &DraftTable, pairs: &Pairs<'_>) {
    line!(out, "\n[table.constants]");
    let fed = |name: &str| {
        pairs
            .iter()
            .any(|(_, there)| there.is_some_and(|c| c.name == name))
    };
    for column in unified.columns.iter().filter(|column| !fed(&column.name)) {
        if column.fills_itself {
            continue;
        }
        match (&column.default, column.not_null) {
            (None, true) => {
                line!(
                    out,
                    "# DECIDE: {} is NOT NULL without a default, and {} has no such column: SQL over its row.",
                    column.name,
                    legacy.name
                );
                line!(out, "{} = \"DECIDE\"", bare(&column.name));
            }
            (Some(default), _) => line!(
                out,
                "# DECIDE: {} of a copied row; left out: its default, {default}.",
                column.name
            ),
            (None, false) => line!(
                out,
                "# DECIDE: {} of a copied row; left out: NULL.",
                column.name
            ),
        }
    }
}

fn constraints(out: &mut String, legacy: &DraftTable, unified: &DraftTable, pairs: &Pairs<'_>) {
    line!(out, "\n[table.constraints]");
    for constraint in &legacy.constraints {
        match counterpart(constraint, unified, pairs) {
            Some(there) if there.name == constraint.name => {}
            Some(there) => line!(out, "{} = {}", bare(&constraint.name), text(&there.name)),
            None => line!(
                out,
                "# DECIDE: {} has nothing like {}: {}.",
                unified.name,
                constraint.name,
                constraint.definition
            ),
        }
    }
    for constraint in &unified.constraints {
        let stands_for = |ours: &Constraint| {
            counterpart(ours, unified, pairs).is_some_and(|there| there.name == constraint.name)
        };
        if !legacy.constraints.iter().any(stands_for) {
            line!(
                out,
                "# DECIDE: {} also has {}: {}. Do all rows of {} keep it?",
                unified.name,
                constraint.name,
                constraint.definition,
                legacy.name
            );
        }
    }
}

fn counterpart<'a>(
    constraint: &Constraint,
    unified: &'a DraftTable,
    pairs: &Pairs<'_>,
) -> Option<&'a Constraint> {
    let there = mapped(&constraint.columns, pairs)?;
    unified.constraints.iter().find(|other| {
        let unique = ["p", "u"];
        let kinds = constraint.kind == other.kind
            || (unique.contains(&constraint.kind.as_str())
                && unique.contains(&other.kind.as_str()));
        // What a CHECK says is in its definition. What a foreign key refers to may have moved as well; whether both act
        // alike `check` tells.
        let by_columns = ["p", "u", "f"].contains(&constraint.kind.as_str());
        let says = by_columns || constraint.definition == other.definition;
        kinds && says && same_set(&other.columns, &there)
    })
}

/// The unified names of legacy columns, if all have one.
fn mapped(columns: &[String], pairs: &Pairs<'_>) -> Option<Vec<String>> {
    columns
        .iter()
        .map(|name| {
            let pair = pairs.iter().find(|(column, _)| column.name == *name)?;
            pair.1.map(|there| there.name.clone())
        })
        .collect()
}

fn same_set(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|name| b.contains(name))
}

fn dotted(table: &DraftTable) -> String {
    let plain = |name: &str| {
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        name.chars().all(lower) && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let part = |name: &str| {
        if plain(name) {
            name.to_owned()
        } else {
            quote_ident(name)
        }
    };
    format!("{}.{}", part(&table.schema), part(&table.name))
}

/// A TOML string.
fn text(value: &str) -> String {
    let mut out = String::from("\"");
    for letter in value.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => _ = write!(out, "\\u{:04X}", u32::from(control)),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A TOML key: bare where it may be.
fn bare(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        text(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, sql_type: &str) -> DraftColumn {
        DraftColumn {
            column: crate::control::catalog::Column {
                name: name.to_owned(),
                sql_type: sql_type.to_owned(),
                ..crate::control::catalog::Column::default()
            },
            ..DraftColumn::default()
        }
    }

    fn table(name: &str, columns: Vec<DraftColumn>) -> DraftTable {
        DraftTable {
            schema: "public".to_owned(),
            name: name.to_owned(),
            columns,
            ..DraftTable::default()
        }
    }

    #[test]
    fn a_comment_that_repeats_several_lines_stays_one() {
        let mut legacy = table("old", vec![column("id", "integer"), column("a\nb", "text")]);
        legacy.constraints.push(Constraint {
            name: "odd".to_owned(),
            kind: "c".to_owned(),
            columns: vec!["a\nb".to_owned()],
            definition: "CHECK (a <> 'x\n[not.toml\n')".to_owned(),
        });
        let drafted = draft(&legacy, &table("new", vec![column("id", "integer")]));
        let file: Result<toml::Table, _> = toml::from_str(&drafted);
        assert!(file.is_ok(), "{file:?}\n{drafted}");
        assert!(
            drafted.contains("nothing like odd: CHECK (a <> 'x [not.toml ')."),
            "{drafted}"
        );
    }

    #[test]
    fn what_cannot_be_known_is_marked_and_does_not_work_by_chance() {
        let mut state = column("state", "public.old_state");
        state.labels = vec!["new".to_owned(), "gone".to_owned()];
        let mut there = column("state", "public.state");
        there.labels = vec!["new".to_owned(), "left".to_owned()];
        let mut must = column("must", "text");
        must.column.not_null = true;
        let legacy = table(
            "old",
            vec![column("id", "integer"), column("a b", "text"), state],
        );
        let unified = table(
            "new",
            vec![column("id", "bigint"), column("title", "text"), there, must],
        );
        let drafted = draft(&legacy, &unified);
        for expected in [
            "# DECIDE: old has no primary key; what tells its rows apart?\nkey     = [\"DECIDE\"]",
            "# DECIDE: id is integer in old and bigint in new: does every value survive the way there and back?",
            "id = { type = \"integer\", unified_type = \"bigint\" }",
            "# DECIDE: new has no column a b; of its type and free: title, must.\n\"a b\" = { type = \"text\", unified = \"DECIDE\" }",
            "# DECIDE: what state = gone is called in new (new, left); in use: no rows.",
            "values = { new = \"new\", gone = \"DECIDE\" }",
            "must = \"DECIDE\"",
        ] {
            assert!(
                drafted.contains(expected),
                "{expected}\nis not in\n{drafted}"
            );
        }
        let file: Result<toml::Table, _> = toml::from_str(&drafted);
        assert!(file.is_ok(), "{file:?}\n{drafted}");
    }
}
