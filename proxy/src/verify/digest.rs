//! The hashes of one side, as the server computed them.

use std::collections::BTreeMap;

use rewrite_rules::Lens;
use rewrite_rules::lens::DigestOf;
use tokio_postgres::Transaction;

use crate::control::ControlError;

/// One side of a table. There are [`rewrite_rules::lens::GROUPS`] groups at most.
#[derive(Debug, Default)]
pub struct Digest {
    pub rows: i64,
    /// Rows and hash of each group of keys.
    groups: BTreeMap<i64, (i64, i64)>,
    /// Of each compared column: how many NULLs, and what it adds up to.
    pub nulls: Vec<i64>,
    pub totals: Vec<Option<String>>,
}

impl Digest {
    /// The groups in which the two sides are not the same.
    #[must_use]
    pub fn differing(&self, other: &Digest) -> Vec<i64> {
        let mut groups: Vec<i64> = self
            .groups
            .keys()
            .chain(other.groups.keys())
            .filter(|group| self.groups.get(group) != other.groups.get(group))
            .copied()
            .collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

pub async fn digest(
    transaction: &Transaction<'_>,
    lens: &Lens,
    of: DigestOf,
) -> Result<Digest, ControlError> {
    let rows = transaction
        .query(&lens.digest(of), &[])
        .await
        .map_err(ControlError::sql("hashing of a side"))?;
    let mut digest = Digest::default();
    for row in rows {
        match row.get::<_, Option<i64>>(0) {
            Some(group) => {
                digest.groups.insert(group, (row.get(1), row.get(2)));
            }
            None => {
                digest.rows = row.get(1);
                // Of an empty table the sums are NULL.
                let nulls: Vec<Option<i64>> = row.get(3);
                digest.nulls = nulls.into_iter().map(Option::unwrap_or_default).collect();
                digest.totals = row.get(4);
            }
        }
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_differ_by_their_rows_by_their_hash_and_by_being_there() {
        let of = |groups: &[(i64, (i64, i64))]| Digest {
            groups: groups.iter().copied().collect(),
            ..Digest::default()
        };
        let a = of(&[(1, (5, 77)), (2, (5, 78)), (3, (5, 79)), (4, (1, 1))]);
        let b = of(&[(1, (5, 77)), (2, (6, 78)), (3, (5, 80)), (9, (1, 1))]);
        assert_eq!(a.differing(&b), [2, 3, 4, 9]);
        assert_eq!(a.differing(&a), [0; 0]);
    }
}
