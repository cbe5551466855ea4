//! The SQL of verify: the legacy table against [`Lens::read`], joined by key in one statement.

use super::{KeyRange, LegacyColumn, Lens, Lossy, lossy, quote_ident, quote_literal};
use crate::lens::list;

/// How the two sides disagree about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// Legacy has a row that unified lacks.
    Missing,
    /// Unified has a row, visible to legacy readers, that legacy lacks.
    Extra,
    /// Both have the row, with different values.
    Different,
}

impl Disagreement {
    pub const ALL: [Disagreement; 3] = [
        Disagreement::Missing,
        Disagreement::Extra,
        Disagreement::Different,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Disagreement::Missing => "missing",
            Disagreement::Extra => "extra",
            Disagreement::Different => "different",
        }
    }
}

impl Lens {
    /// The columns that verify compares, in the shape's order. The key is what rows are joined by.
    pub fn compared_columns(&self) -> impl Iterator<Item = &LegacyColumn> {
        self.columns
            .iter()
            .filter(|c| c.verify && c.lossy != Lossy::Always && !self.is_key(c))
    }

    /// One row of counts: legacy rows, unified rows, missing, extra, different, and then for each
    /// of [`Lens::compared_columns`] the rows that differ in it. Only the groups of keys in `$1`
    /// (`bigint[]`, see [`Lens::digest`]) are looked at; NULL: all.
    #[must_use]
    pub fn count_disagreements(&self) -> String {
        self.count_within(&self.in_groups("$1"))
    }

    /// The same of the rows in a range of the key.
    #[must_use]
    pub fn count_disagreements_in(&self, range: KeyRange) -> String {
        self.count_within(&self.in_range(range))
    }

    fn count_within(&self, within: &str) -> String {
        let any = self.any_difference("cf_l", "cf_u");
        let mut counts = vec![
            "count(cf_l.cf_here)".to_owned(),
            "count(cf_u.cf_here)".to_owned(),
            "count(*) FILTER (WHERE cf_u.cf_here IS NULL)".to_owned(),
            "count(*) FILTER (WHERE cf_l.cf_here IS NULL)".to_owned(),
            format!("count(*) FILTER (WHERE {BOTH} AND ({any}))"),
        ];
        counts.extend(
            self.compared_columns()
                .map(|c| format!("count(*) FILTER (WHERE {BOTH} AND {})", difference(c))),
        );
        format!(
            "SELECT {} FROM {}",
            counts.join(", "),
            self.both_sides(within)
        )
    }

    /// Keys of one kind of disagreement, with the values of both sides as a JSON object
    /// (`column: [legacy, unified]`, texts), at most `$1` of them, within the groups `$2`.
    #[must_use]
    pub fn sample_disagreements(&self, kind: Disagreement) -> String {
        self.sample_within(kind, &self.in_groups("$2"), 1)
    }

    /// The same of the rows in a range of the key; how many at most is the parameter after it.
    #[must_use]
    pub fn sample_disagreements_in(&self, kind: Disagreement, range: KeyRange) -> String {
        self.sample_within(kind, &self.in_range(range), range.parameters() + 1)
    }

    fn sample_within(&self, kind: Disagreement, within: &str, limit: usize) -> String {
        let (condition, image) = match kind {
            Disagreement::Missing => ("cf_u.cf_here IS NULL".to_owned(), "cf_l"),
            Disagreement::Extra => ("cf_l.cf_here IS NULL".to_owned(), "cf_u"),
            Disagreement::Different => (
                format!("{BOTH} AND ({})", self.any_difference("cf_l", "cf_u")),
                "cf_l",
            ),
        };
        let shown: Vec<String> = self
            .compared_columns()
            .map(|c| {
                let name = quote_ident(&c.name);
                let differs = match kind {
                    Disagreement::Missing | Disagreement::Extra => "true".to_owned(),
                    Disagreement::Different => difference(c),
                };
                format!(
                    "({}, cf_l.{name}::text, cf_u.{name}::text, {differs})",
                    quote_literal(&c.name)
                )
            })
            .collect();
        let values = if shown.is_empty() {
            "'{}'::jsonb".to_owned()
        } else {
            format!(
                "(SELECT jsonb_object_agg(cf_v.name, jsonb_build_array(cf_v.legacy, cf_v.unified)) \
                 FROM (VALUES {}) AS cf_v (name, legacy, unified, differs) WHERE cf_v.differs)",
                shown.join(", ")
            )
        };
        format!(
            "SELECT {}, {values} FROM {} WHERE {condition} LIMIT ${limit}",
            self.key_json(image),
            self.both_sides(within),
        )
    }

    /// Legacy rows `cf_l` joined with the unified rows' legacy images `cf_u`; `cf_here` is NULL on
    /// the side that lacks the row. Only rows for which `within` is true are looked at, a condition
    /// over [`Lens::IMAGE`].
    pub(super) fn both_sides(&self, within: &str) -> String {
        let image = Self::IMAGE;
        let columns = list(self.columns.iter().map(|c| quote_ident(&c.name)));
        let join = self.same_key("cf_l", "cf_u");
        format!(
            "(SELECT {}, true AS cf_here FROM {} AS {image} WHERE {within}) AS cf_l FULL JOIN \
             (SELECT {image}.*, true AS cf_here FROM ({}) AS {image} WHERE {within}) AS cf_u ON {}",
            columns,
            self.legacy,
            self.read_judged(),
            join,
        )
    }

    /// Whether a row's group is among those of a parameter; NULL: all are.
    fn in_groups(&self, groups: &str) -> String {
        format!(
            "({groups}::bigint[] IS NULL OR {} = ANY ({groups}::bigint[]))",
            self.group_of(Self::IMAGE)
        )
    }

    /// Whether a legacy row and a row of [`Lens::read_judged`] in scope differ in a column that verify
    /// compares.
    pub(super) fn any_difference(&self, a: &str, b: &str) -> String {
        let all: Vec<String> = self
            .compared_columns()
            .map(|column| difference_of(column, a, b))
            .collect();
        if all.is_empty() {
            "false".to_owned()
        } else {
            all.join(" OR ")
        }
    }
}

const BOTH: &str = "cf_l.cf_here AND cf_u.cf_here";

fn difference(column: &LegacyColumn) -> String {
    difference_of(column, "cf_l", "cf_u")
}

fn difference_of(column: &LegacyColumn, a: &str, b: &str) -> String {
    let name = quote_ident(&column.name);
    let differs = column.legacy_differs(&format!("{a}.{name}"), &format!("{b}.{name}"));
    match column.lossy {
        Lossy::Never | Lossy::Always => differs,
        Lossy::When(number) => format!("(NOT {} AND {differs})", lossy::of(b, number)),
    }
}
