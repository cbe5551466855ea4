//! Which tables of a lens's `read` are joined to which, seen from the tables that have the key.
//!
//! ```text
//! FROM settings s LEFT JOIN "user" u ON u.keycloak_user_id = s.keycloak_user_id     (the key is s.id)
//! ```
//!
//! Another `s.keycloak_user_id` gives the legacy row another `u`, and so does another
//! `u.keycloak_user_id`: either way all that is read from `u` may change, and what is read from `s`
//! stays as it is. Behind `u` the same holds of whatever is joined to it.

use sqlparser::ast::{BinaryOperator, Expr, Select};

use super::read::{SourceTable, columns_of, condition};

/// The conditions by which the tables of a FROM clause are joined.
pub(super) struct JoinTies<'a> {
    /// Each with the tables that it names, as indexes.
    conditions: Vec<(&'a Expr, Vec<usize>)>,
    /// How many joins each table is away from those that have the key.
    distances: Vec<usize>,
}

impl<'a> JoinTies<'a> {
    /// `keys` are the expressions of the key's columns.
    pub fn of(select: &'a Select, sources: &[SourceTable], keys: &[&Expr]) -> JoinTies<'a> {
        let joins = select.from.iter().flat_map(|from| &from.joins);
        let mut all: Vec<&Expr> = joins.filter_map(condition).collect();
        if let Some(filter) = select.selection.as_ref().filter(|_| select.from.len() > 1) {
            // `FROM a, b WHERE a.x = b.y` is a join too.
            conjuncts(filter, &mut all);
        }
        let named = |expr: &Expr| -> Vec<usize> {
            let sources = sources.iter().enumerate();
            let named = sources.filter(|(_, source)| !columns_of(expr, source).is_empty());
            named.map(|(index, _)| index).collect()
        };
        let conditions: Vec<(&Expr, Vec<usize>)> =
            all.into_iter().map(|expr| (expr, named(expr))).collect();
        let mut distances = vec![usize::MAX; sources.len()];
        for index in keys.iter().flat_map(|key| named(key)) {
            distances[index] = 0;
        }
        // Each round comes one join further.
        for _ in 0..sources.len() {
            for (_, tables) in &conditions {
                let nearest = tables.iter().map(|&table| distances[table]).min();
                for &table in tables {
                    let next = nearest.unwrap_or(usize::MAX).saturating_add(1);
                    distances[table] = distances[table].min(next);
                }
            }
        }
        JoinTies {
            conditions,
            distances,
        }
    }

    /// The tables of which a legacy row gets other rows when this column of a table changes.
    pub fn behind(&self, source: &SourceTable, column: &str) -> Vec<usize> {
        let mut behind = Vec::new();
        for (expr, tables) in &self.conditions {
            if columns_of(expr, source).iter().any(|name| name == column) {
                let nearest = tables.iter().map(|&table| self.distances[table]).min();
                self.farther(tables, nearest.unwrap_or_default(), &mut behind);
            }
        }
        let mut at = 0;
        while let Some(&table) = behind.get(at) {
            for (_, tables) in &self.conditions {
                if tables.contains(&table) {
                    self.farther(tables, self.distances[table], &mut behind);
                }
            }
            at += 1;
        }
        behind
    }

    fn farther(&self, tables: &[usize], than: usize, found: &mut Vec<usize>) {
        for &table in tables {
            if self.distances[table] > than && !found.contains(&table) {
                found.push(table);
            }
        }
    }
}

fn conjuncts<'a>(expr: &'a Expr, found: &mut Vec<&'a Expr>) {
    match expr {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            conjuncts(left, found);
            conjuncts(right, found);
        }
        Expr::Nested(inner) => conjuncts(inner, found),
        other => found.push(other),
    }
}
