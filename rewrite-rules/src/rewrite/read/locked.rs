//! FOR UPDATE once unified leads: of rows that are read by outer joins, and of any while legacy follows.
//!
//! ```text
//! SELECT language FROM user_settings WHERE id = $1 FOR UPDATE
//!
//! SELECT language FROM (SELECT (cf_n)."id"::integer AS "id", … FROM crossfade.lock_…(
//!   (SELECT array_agg(ROW("user_settings"."id", …)::image ORDER BY …)
//!    FROM (read) AS "user_settings" WHERE (id = $1)), true) AS cf_n) AS "user_settings"
//! WHERE id = $1 FOR UPDATE
//! ```
//!
//! PostgreSQL locks no row on the other side of an outer join, and what is read from there would be
//! what it was when the statement began. The lens's function locks as an UPDATE does, and gives the
//! rows as they are then. Their condition is looked at again, as PostgreSQL does with a row that
//! changed while it was waited for; hence nothing in it may be told apart by how often it is run.

use super::{ManagedRef, Scope, invert, only, reference_range, relation};
use crate::bind::functions;
use crate::lens::{Call, Lens, quote_ident};
use crate::phase::Phase;
use crate::refuse;
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};
use crate::text::tree::Tree;
use pg_query::protobuf::{AExprKind, BoolExprType, LockClauseStrength, LockWaitPolicy};

/// A locking SELECT from one table, whose rows a function can lock.
pub(super) struct Locked<'a> {
    select: &'a Tree,
}

impl<'a> Locked<'a> {
    /// `found` is the table that is locked, `None` if it is only read beside it.
    pub fn of(scope: &Scope<'a>, found: &ManagedRef<'a>) -> Result<Option<Locked<'a>>, Refusal> {
        let refuse = |what: &str| {
            Err(refuse::unsupported(
                &format!(
                    "FOR UPDATE of rows that are read from several tables by outer joins, {what},"
                ),
                &found.table_name(),
                "Lock the rows of this table by a SELECT of its own, or leave the lock out: an UPDATE \
                 locks what it needs and fails if the row changed.",
            ))
        };
        if !is_locked(scope, found.table.node) {
            return Ok(None);
        }
        let select = match scope.statement.kind() {
            "ExplainStmt" => scope.statement.get("query"),
            _ => scope.statement,
        };
        let clauses = select.list("locking_clause");
        let mut locks = 0;
        scope
            .statement
            .each(&mut |node| locks += usize::from(node.is("LockingClause")));
        let [clause] = clauses else {
            return refuse("in a query within another statement, or several times");
        };
        if !select.is("SelectStmt") || locks != 1 || select.get("with_clause").exists() {
            return refuse("in a query within another statement, or beside WITH");
        }
        let [item] = select.list("from_clause") else {
            return refuse("beside other tables");
        };
        if !std::ptr::eq(item, found.table.node) {
            return refuse("beside other tables");
        }
        let strengths = [
            LockClauseStrength::LcsForupdate,
            LockClauseStrength::LcsFornokeyupdate,
        ];
        let strength = clause.int("strength");
        if !strengths.iter().any(|known| *known as i64 == strength) {
            return refuse("or FOR SHARE");
        }
        if clause.int("wait_policy") != LockWaitPolicy::LockWaitBlock as i64 {
            return refuse("with NOWAIT or SKIP LOCKED");
        }
        let range = reference_range(scope, found)?;
        if scope.tokens.word_before("table", range.start).is_some() {
            return refuse("by TABLE");
        }
        if found.table.renames_columns() {
            return refuse("whose columns have other names here");
        }
        let condition = select.get("where_clause");
        let mut others = false;
        condition.each(&mut |node| {
            if node.is("FuncCall") {
                // It gives the same each time.
                let name = scope
                    .set
                    .namesakes()
                    .in_catalog_or_stable(node.list("funcname"));
                others |= !name.is_some_and(functions::is_stable);
            }
        });
        if others {
            return refuse("by a condition that calls functions");
        }
        let limited = select.get("limit_count").exists() || select.get("limit_offset").exists();
        if limited && !is_narrow(condition) {
            return refuse("with a LIMIT and no column = value");
        }
        Ok(Some(Locked { select }))
    }

    /// Puts the locked rows in the table's place. To be done when all else has been edited.
    pub fn substitute(
        &self,
        scope: &Scope<'a>,
        found: &ManagedRef<'a>,
        source: &mut Source<'a>,
    ) -> Result<(), Refusal> {
        if found.managed.lens.is_row_for_row() {
            return self.lock_legacy(scope, found, source);
        }
        let lens = found.managed.lens;
        let alias = quote_ident(found.table.refname());
        let range = reference_range(scope, found)?;
        let keys = lens.keys_of(&alias);
        let mirrors = found.managed.migration.phase == Phase::UnifiedRead;
        let mut with = Output::default();
        with.own(&format!(
            "(SELECT {} FROM {}((SELECT array_agg({} ORDER BY {}) FROM ({}) AS {alias}",
            lens.image_fields(Lens::IMAGE),
            lens.call_name(Call::Lock),
            lens.image_row(&alias),
            keys.join(", "),
            only(found, lens.read()).sql,
        ));
        self.condition(scope, found, &mut with, source)?;
        with.own(&format!("), {mirrors}) AS {})", Lens::IMAGE));
        if found.table.alias().is_none() {
            with.own(&format!(" AS {}", quote_ident(found.table.table())));
        }
        source.edit(range, with);
        Ok(())
    }

    /// The rows as ever, their legacy rows locked before them:
    ///
    /// ```text
    /// (SELECT * FROM (read) AS "t" WHERE (SELECT count(*) FROM (
    ///    SELECT 1 FROM legacy WHERE (key) IN (SELECT key FROM (read) AS "t" WHERE (…)) FOR UPDATE) AS cf_l) >= 0)
    /// ```
    ///
    /// Every writer asks for them first. Whoever had locked the unified rows alone, and then wrote
    /// them, would wait for a writer that waits for these.
    fn lock_legacy(
        &self,
        scope: &Scope<'a>,
        found: &ManagedRef<'a>,
        source: &mut Source<'a>,
    ) -> Result<(), Refusal> {
        let lens = found.managed.lens;
        let alias = quote_ident(found.table.refname());
        let range = reference_range(scope, found)?;
        let keys = lens.keys_of(&alias);
        let conditions = invert::conditions(scope, found);
        let phase = found.managed.migration.phase;
        let read = only(found, relation(lens, phase, &conditions));
        let mut rows = Output::from(format!(
            "SELECT {} FROM ({}) AS {alias}",
            keys.join(", "),
            only(found, lens.read()).sql
        ));
        self.condition(scope, found, &mut rows, source)?;
        let mut with = Output::default();
        with.own("(SELECT * FROM (").append(read);
        with.own(&format!(") AS {alias} WHERE (SELECT count(*) FROM ("))
            .append(lens.lock_legacy(rows, "UPDATE"))
            .own(") AS cf_l) >= 0)");
        if found.table.alias().is_none() {
            with.own(&format!(" AS {alias}"));
        }
        source.edit(range, with);
        Ok(())
    }

    /// The client's condition once more.
    fn condition(
        &self,
        scope: &Scope<'a>,
        found: &ManagedRef<'a>,
        with: &mut Output,
        source: &Source<'a>,
    ) -> Result<(), Refusal> {
        if !self.select.get("where_clause").exists() {
            return Ok(());
        }
        let range = reference_range(scope, found)?;
        let condition = scope.tokens.where_behind(range.start).ok_or_else(|| {
            refuse::unsupported(
                "this spelling of WHERE",
                &found.table_name(),
                "Write it plainly.",
            )
        })?;
        with.own(" WHERE (").client(source, condition).own(")");
        Ok(())
    }
}

/// Whether a statement locks the rows of what a node names.
fn is_locked(scope: &Scope<'_>, table: &Tree) -> bool {
    let mut locked = false;
    scope.statement.each(&mut |select| {
        for clause in select.list("locking_clause") {
            let named = clause.list("locked_rels");
            locked |= match named {
                [] => select
                    .list("from_clause")
                    .iter()
                    .any(|item| locks(item, table)),
                named => named.iter().any(|name| {
                    let item = scope.bound.item_of(name);
                    item.is_none_or(|id| locks(scope.bound.item(id).node, table))
                }),
            };
        }
    });
    locked
}

/// Whether a lock of an item of FROM is one of a table: not of those in expressions.
fn locks(item: &Tree, table: &Tree) -> bool {
    std::ptr::eq(item, table)
        || match item.kind() {
            "JoinExpr" => ["larg", "rarg"]
                .iter()
                .any(|side| locks(item.get(side), table)),
            "RangeTableSample" => locks(item.get("relation"), table),
            "RangeSubselect" => {
                let query = item.get("subquery");
                let items = query.list("from_clause");
                query.get("larg").exists() || items.iter().any(|item| locks(item, table))
            }
            _ => false,
        }
}

/// Whether a condition asks for a value of a column: only so are the rows that LIMIT leaves out, and
/// that are locked all the same, likely to be few.
fn is_narrow(condition: &Tree) -> bool {
    if condition.is("BoolExpr") {
        return condition.int("boolop") == BoolExprType::AndExpr as i64
            && condition.list("args").iter().any(is_narrow);
    }
    let kind = condition.int("kind");
    let equals = condition
        .list("name")
        .iter()
        .any(|name| name.text("sval") == "=");
    condition.is("AExpr")
        && equals
        && (kind == AExprKind::AexprOp as i64 || kind == AExprKind::AexprIn as i64)
        && condition.get("lexpr").is("ColumnRef")
}
