//! The SQL of verify's first look: hashes of all rows of a side, by groups of keys, with what each
//! column adds up to, in one scan. Groups whose hashes differ are looked at row by row.

use super::{LegacyColumn, Lens, Lossy, lossy, quote_ident};
use crate::lens::list;

/// Which side of a lens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestOf {
    Legacy,
    /// The unified rows that legacy readers see, as their legacy images.
    Unified,
}

/// Groups of keys. Few enough that their hashes fit in a processor's cache, and enough that a
/// difference leaves a thousandth of the table to be looked at again.
pub const GROUPS: i64 = 1024;

impl Lens {
    /// One row for each group (`group, rows, hash, NULL, NULL`), then one for the table
    /// (`NULL, rows, NULL, nulls, totals`), the latter two arrays over [`Lens::compared_columns`].
    ///
    /// Values are hashed in the form in which being equal means reading the same, without a detour
    /// over text where a type allows it. The server's hash of a record is a sum of its columns'
    /// hashes; hashed once more, two rows that exchanged a value do not cancel out. A total is NULL
    /// for a type that does not add up.
    #[must_use]
    pub fn digest(&self, of: DigestOf) -> String {
        let relation = match of {
            DigestOf::Legacy => self.legacy_judged(),
            DigestOf::Unified => format!("({})", self.read_judged()),
        };
        let image = Self::IMAGE;
        let compared: Vec<&LegacyColumn> = self.compared_columns().collect();
        let keys = self.columns.iter().filter(|column| self.is_key(column));
        let hashed = hash(keys.chain(compared.iter().copied()), image);
        let of_columns = |each: &dyn Fn(&LegacyColumn, &str) -> String| -> Vec<String> {
            compared.iter().map(|c| each(c, &kept(c, image))).collect()
        };
        let nulls = of_columns(&|column, value| match column.lossy {
            Lossy::Never | Lossy::Always => format!("count(*) - count({value})"),
            Lossy::When(number) => format!(
                "count(*) FILTER (WHERE {value} IS NULL AND NOT {})",
                lossy::of(image, number)
            ),
        });
        let totals = of_columns(&|column, value| total(column, value));
        let numbered = |word: &str, all: &[String]| -> String {
            let named = all.iter().enumerate();
            named
                .map(|(i, sql)| format!(", {sql} AS {word}{i}"))
                .collect()
        };
        let summed = |word: &str, as_type: &str| {
            let all = list((0..compared.len()).map(|i| format!("sum({word}{i})::{as_type}")));
            format!("ARRAY[{}]::{as_type}[]", all)
        };
        format!(
            "WITH cf_groups AS MATERIALIZED (SELECT {group} AS cf_group, count(*) AS cf_rows, \
             bit_xor(hashint8extended({hashed}, 0)) AS cf_hash{}{} \
             FROM {relation} AS {image} GROUP BY 1) \
             SELECT cf_group, cf_rows, cf_hash, NULL::bigint[], NULL::text[] FROM cf_groups \
             UNION ALL SELECT NULL, coalesce(sum(cf_rows), 0)::bigint, NULL, {}, {} FROM cf_groups",
            numbered("cf_n", &nulls),
            numbered("cf_s", &totals),
            summed("cf_n", "bigint"),
            summed("cf_s", "text"),
            group = self.group_of(image),
        )
    }

    /// The group of a legacy row or image in scope under a name.
    pub(super) fn group_of(&self, image: &str) -> String {
        let keys = self.columns.iter().filter(|column| self.is_key(column));
        format!("({} & {})", hash(keys, image), GROUPS - 1)
    }
}

/// A hash of some columns of the row in scope under a name.
fn hash<'c>(columns: impl Iterator<Item = &'c LegacyColumn>, image: &str) -> String {
    let values = list(columns.map(|column| column.legacy_exact(&kept(column, image))));
    format!("hash_record_extended(ROW({}), 0)", values)
}

/// A column's value in a row of a judged side, or NULL where the rule file lets it differ: so both
/// sides leave out the same.
fn kept(column: &LegacyColumn, image: &str) -> String {
    let value = format!("{image}.{}", quote_ident(&column.name));
    match column.lossy {
        Lossy::Never | Lossy::Always => value,
        Lossy::When(number) => {
            format!(
                "CASE WHEN NOT {} THEN {value} END",
                lossy::of(image, number)
            )
        }
    }
}

/// What a column adds up to: numbers as they are, truths by their count.
fn total(column: &LegacyColumn, value: &str) -> String {
    match column.base_type().to_ascii_lowercase().as_str() {
        "smallint" | "int2" | "integer" | "int" | "int4" | "bigint" | "int8" | "numeric"
        | "decimal" => format!("sum({value})"),
        "boolean" | "bool" => format!("count(*) FILTER (WHERE {value})"),
        // A sum of floating-point numbers depends on their order.
        _ => "NULL::bigint".to_owned(),
    }
}
