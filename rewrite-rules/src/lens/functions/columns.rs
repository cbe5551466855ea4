//! The functions of a lens that is derived from columns. What they do stands in `templates/columns`.

use askama::Template;

use crate::failure::Failure;
use crate::lens::{Callers, Function, Lens, WhenHidden, Work, list, quote_ident, quote_literal};

/// From legacy to unified: `put`, `remove` and `rekey`.
#[derive(Template)]
#[template(path = "columns/put.sql", escape = "none")]
struct PutByColumns<'a> {
    name: String,
    lens: &'a Lens,
}

#[derive(Template)]
#[template(path = "columns/remove.sql", escape = "none")]
struct Remove<'a> {
    name: String,
    lens: &'a Lens,
}

#[derive(Template)]
#[template(path = "columns/rekey.sql", escape = "none")]
struct RekeyByColumns<'a> {
    name: String,
    lens: &'a Lens,
}

/// From unified to legacy.
#[derive(Template)]
#[template(path = "columns/put_legacy.sql", escape = "none")]
struct PutLegacy<'a> {
    name: String,
    lens: &'a Lens,
}

#[derive(Template)]
#[template(path = "columns/remove_legacy.sql", escape = "none")]
struct RemoveLegacy<'a> {
    name: String,
    lens: &'a Lens,
}

#[derive(Template)]
#[template(path = "columns/rekey_legacy.sql", escape = "none")]
struct RekeyLegacy<'a> {
    name: String,
    lens: &'a Lens,
}

#[derive(Template)]
#[template(path = "columns/hide_legacy.sql", escape = "none")]
struct HideLegacy<'a> {
    name: String,
    lens: &'a Lens,
}

/// Within unified.
#[derive(Template)]
#[template(path = "columns/skipped.sql", escape = "none")]
struct Skipped<'a> {
    name: String,
    lens: &'a Lens,
    row: &'static str,
    /// As literals: names of unified constraints, of the key's columns, whether legacy readers see a row, the table.
    named: String,
    key: String,
    shown: String,
    table: String,
    relation: String,
    schema: String,
    hidden: String,
}

impl Lens {
    pub(super) fn functions_by_columns(&self) -> Vec<Function> {
        let guarded = self.guarded_functions();
        let looks = self.look_functions();
        let works = Work::ALL.into_iter().map(|work| self.by_columns(work));
        guarded.chain(looks).chain(works).collect()
    }

    fn by_columns(&self, work: Work) -> Function {
        let (name, lens) = (self.function_name(work), self);
        let ddl = match work {
            Work::Put => PutByColumns { name, lens }.to_string(),
            Work::Remove => Remove { name, lens }.to_string(),
            Work::Rekey => RekeyByColumns { name, lens }.to_string(),
            Work::PutLegacy => PutLegacy { name, lens }.to_string(),
            Work::RekeyLegacy => RekeyLegacy { name, lens }.to_string(),
            Work::RemoveLegacy => RemoveLegacy { name, lens }.to_string(),
            Work::HideLegacy => HideLegacy { name, lens }.to_string(),
            Work::Skipped => self.skipped(name).to_string(),
            Work::Truncate => return self.truncate(&self.remove_all()),
            Work::Empty => return self.empty(&self.remove_all()),
        };
        Function {
            name: self.function_name(work),
            ddl,
            callers: Callers::Writers,
        }
    }

    fn skipped(&self, name: String) -> Skipped<'_> {
        let texts = |names: Vec<&str>| {
            let literals: Vec<String> = names.into_iter().map(quote_literal).collect();
            format!("ARRAY[{}]::text[]", literals.join(", "))
        };
        let mut key: Vec<&str> = self.key_columns().map(|c| c.unified.as_str()).collect();
        key.sort_unstable();
        let named = self.constraints.iter();
        let shown = self.visible_condition(Self::ROW);
        Skipped {
            name,
            lens: self,
            row: Self::ROW,
            named: texts(named.map(|(_, unified)| unified.as_str()).collect()),
            key: texts(key),
            shown: quote_literal(&shown.unwrap_or_else(|| "true".to_owned())),
            table: quote_literal(&self.unified.sql()),
            relation: quote_literal(&self.unified.name),
            schema: quote_literal(&self.unified.schema),
            hidden: quote_literal(Failure::Hidden.said()),
        }
    }

    /// A condition that is an error if one of the rows in a relation, called by unified's names, was passed over for
    /// another reason than the legacy table would have.
    pub(crate) fn skipped_call(&self, relation: &str, has_target: bool) -> String {
        format!(
            "(SELECT {}(array_agg(to_jsonb(cf_p)), {has_target}) FROM {relation} AS cf_p)",
            self.function_name(Work::Skipped),
        )
    }

    /// The put of those images in a relation that unified has no row for, by a statement of its own behind
    /// [`Lens::update_from`]: an INSERT … ON CONFLICT would ask the policies for INSERT also where it updates.
    fn put_absent_images(&self, relation: &str) -> String {
        let same_key = self.key_join("cf_t", Self::IMAGE);
        self.put_from(&Self::absent(relation, &self.unified.sql(), &same_key))
    }

    fn update_from(&self, relation: &str) -> String {
        let others = self.columns.iter();
        let others = others.filter(|c| !self.is_key(c) && !c.is_computed_in_unified());
        let sets = list(others.map(|column| {
            let image = format!("{}.{}", Self::IMAGE, quote_ident(&column.name));
            format!(
                "{} = {}",
                quote_ident(&column.unified),
                column.put_value(&image)
            )
        }));
        format!(
            "UPDATE {} AS {row} SET {} FROM {relation} AS {} WHERE {}",
            self.unified,
            sets,
            Self::IMAGE,
            self.key_join(Self::ROW, Self::IMAGE),
            row = Self::ROW,
        )
    }

    /// Assignments of all that an image in scope under a name has, its key too.
    fn set_all_from(&self, image: &str) -> String {
        let written = self.columns.iter().filter(|c| !c.is_computed_in_unified());
        list(written.map(|c| {
            let value = c.put_value(&format!("{image}.{}", quote_ident(&c.name)));
            format!("{} = {value}", quote_ident(&c.unified))
        }))
    }

    /// The put of images into legacy, under row policies in two statements for the same reason.
    fn puts_legacy_from(&self, relation: &str) -> String {
        if !self.row_security {
            return self.put_legacy_from(relation, None);
        }
        let others = self.columns.iter().filter(|column| !self.is_key(column));
        let names: Vec<&str> = others.map(|column| column.name.as_str()).collect();
        let absent = Self::absent(relation, &self.legacy.sql(), &self.same_legacy_key());
        format!(
            "{};\n    {}",
            self.update_legacy_from(relation, &names),
            self.put_legacy_from(&absent, None)
        )
    }

    /// The images in a relation that a table has no row for.
    fn absent(relation: &str, table: &str, same_key: &str) -> String {
        format!(
            "(SELECT {image}.* FROM {relation} AS {image} \
             WHERE NOT EXISTS (SELECT FROM {table} AS cf_t WHERE {same_key}))",
            image = Self::IMAGE,
        )
    }
}

/// Those of an array of images that no row was moved for, by the numbers in `cf_moved`.
fn left_of(images: &str) -> String {
    format!(
        "(SELECT cf_left.* FROM unnest({images}) WITH ORDINALITY AS cf_left \
         WHERE cf_left.ordinality NOT IN (SELECT cf_moved.cf_at FROM cf_moved))"
    )
}

fn unnested(images: &str) -> String {
    format!("unnest({images})")
}
