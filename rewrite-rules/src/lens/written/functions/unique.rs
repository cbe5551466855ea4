//! The legacy table's key and UNIQUE constraints, once no index of its own watches over them.
//!
//! Of some of them a constraint of the unified tables takes the place (`[table.constraints]`). The
//! others, and the key, are looked for by `read`, and two rows with one value wait for each other by
//! claims.

use super::Functions;
use super::image::field_type;
use crate::lens::guarded::Guarded;
use crate::lens::{LegacyColumn, Unique, all_of, list, quote_ident, quote_literal, shown_ident};

/// Columns that tell the rows of the legacy table apart.
pub(super) struct Distinct<'a> {
    f: &'a Functions<'a>,
    constraint: String,
    /// The unified constraint.
    stands_for_it: Option<String>,
    /// With what they are read from.
    columns: Vec<(&'a LegacyColumn, &'a str)>,
}

/// The unified table whose rows have the legacy key, which clients may write under its own name.
pub(super) struct Keyed {
    pub table: String,
    /// Its name as a literal.
    pub literal: String,
    /// Whether one of its rows (`cf_k`) has the key of `cf_image`.
    pub same_key: String,
}

impl Functions<'_> {
    pub(super) fn keyed(&self) -> Option<Keyed> {
        let mut parts = self.written.query.parts.iter();
        let part = parts.find(|part| {
            let keyed = part.key.iter().all(Option::is_some) && !part.nullable;
            keyed && self.written.tables.contains(&part.table)
        })?;
        let keys = part.key.iter().flatten().zip(self.lens.legacy_key());
        let same = all_of(
            keys.map(|(column, key)| format!("cf_k.{} = (cf_image).{key}", quote_ident(column))),
        );
        Some(Keyed {
            table: part.table.sql(),
            literal: quote_literal(&part.table.sql()),
            same_key: same,
        })
    }

    pub(super) fn key(&self) -> Distinct<'_> {
        self.distinct(self.lens.key_constraint(), &self.lens.key)
    }

    pub(super) fn uniques(&self) -> Vec<Distinct<'_>> {
        let uniques = self.written.uniques.iter();
        uniques.map(|unique| self.unique(unique)).collect()
    }

    /// Those that none of the unified tables stands for.
    pub(super) fn unwatched(&self) -> Vec<Distinct<'_>> {
        let uniques = self.written.uniques.iter();
        let unwatched = uniques.filter(|unique| unique.unified.is_none());
        unwatched.map(|unique| self.unique(unique)).collect()
    }

    fn unique(&self, unique: &Unique) -> Distinct<'_> {
        let mut distinct = self.distinct(unique.name.clone(), &unique.columns);
        distinct.stands_for_it.clone_from(&unique.unified);
        distinct
    }

    fn distinct(&self, constraint: String, columns: &[usize]) -> Distinct<'_> {
        let read = &self.written.query.columns;
        let columns = columns.iter();
        Distinct {
            f: self,
            constraint,
            stands_for_it: None,
            columns: columns
                .map(|&at| (&self.lens.columns[at], read[at].as_str()))
                .collect(),
        }
    }

    pub(super) fn claim_key(&self, image: &str) -> String {
        let key = self.lens.key_json(image);
        self.lens
            .call_guarded(Guarded::Claim, &format!("'', {key}"))
    }

    /// Whether a row (`cf_r`) is that of an image.
    pub(super) fn is_row_of(&self, image: &str) -> String {
        self.same_key("cf_r", &format!("({image})"))
    }
}

impl Distinct<'_> {
    fn of_columns(&self, each: impl Fn(&LegacyColumn) -> String, between: &str) -> String {
        let columns = self.columns.iter();
        let all: Vec<String> = columns.map(|(column, _)| each(column)).collect();
        all.join(between)
    }

    /// Literals: what errors may call it.
    pub fn names(&self) -> String {
        let names = std::iter::once(&self.constraint).chain(&self.stands_for_it);
        list(names.map(|name| quote_literal(name)))
    }

    /// The constraint's name as a literal.
    pub fn name(&self) -> String {
        quote_literal(&self.constraint)
    }

    pub fn values(&self, image: &str) -> String {
        self.of_columns(|c| format!("({image}).{}", quote_ident(&c.name)), ", ")
    }

    pub fn texts(&self, image: &str) -> String {
        self.of_columns(
            |c| format!("({image}).{}::text", quote_ident(&c.name)),
            ", ",
        )
    }

    /// Whether an image has all of the values.
    pub fn given(&self, image: &str) -> String {
        self.of_columns(
            |c| format!("({image}).{} IS NOT NULL", quote_ident(&c.name)),
            " AND ",
        )
    }

    /// What is said of a row with the same values.
    pub fn said(&self) -> String {
        quote_literal(&format!(
            "duplicate key value violates unique constraint \"{}\"",
            self.constraint
        ))
    }

    pub fn detail(&self) -> String {
        let names = self.of_columns(|column| shown_ident(&column.name), ", ");
        quote_literal(&format!("Key ({names})=("))
    }

    /// What is said where nothing can tell whether there is one.
    pub fn untold(&self) -> String {
        quote_literal(&format!(
            "at REPEATABLE READ nothing can tell whether unique constraint \"{}\" of {} holds",
            self.constraint, self.f.lens.legacy.name
        ))
    }

    /// Makes others that enter the same values wait.
    pub fn claim(&self, image: &str) -> String {
        let of = quote_literal(&format!(" {}", self.constraint));
        let texts = self.texts(image);
        let arguments = format!("{of}, jsonb_build_array({texts})");
        self.f.lens.call_guarded(Guarded::Claim, &arguments)
    }

    /// `read` of the rows that have an image's values.
    pub fn look(&self, image: &str) -> String {
        let columns = self.columns.iter();
        let same: Vec<String> = columns
            .map(|(column, read)| {
                format!(
                    "({read})::{} = ({image}).{}",
                    field_type(column),
                    quote_ident(&column.name)
                )
            })
            .collect();
        self.f.lens.read_written(self.f.written, &same)
    }
}
