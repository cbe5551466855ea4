//! Legacy follows a write, once unified leads.
//!
//! ```text
//! cf_put AS (UPDATE iso_agents AS cf_t SET … FROM (SELECT * FROM cf_img WHERE ‹in step›) AS cf_n WHERE … RETURNING 1)
//! … WHERE CASE WHEN ‹as many as there are images› THEN true ELSE ‹a function puts them› END
//! ```
//!
//! Where nothing stale can be in legacy's rows, they follow within the statement; the function, which minds what is, costs
//! as much again. It is called for what has no row there as well.
//!
//! Whether they are in step is asked behind the unified half, which may have waited: from the time on that somebody writes
//! unified alone, what says so is not there any more.

use crate::legend::query;
use crate::lens::quote_literal;
use crate::rewrite::ManagedRef;
use crate::rewrite::compose::Composer;

/// How many images there may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// One, if any.
    One,
    Any,
}

/// What is put into legacy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// Rows that were there before.
    Updated,
    /// Rows that may be new.
    All,
}

/// Puts the images of a relation into legacy.
pub(super) fn put_legacy(
    composer: &mut Composer,
    target: &ManagedRef<'_>,
    images: &str,
    (put, rows): (Put, Rows),
) {
    let lens = target.managed.lens;
    let call = lens.put_legacy_call(images);
    // Policies are asked by two statements then.
    let in_two = lens.row_security && put == Put::All;
    let marked = target.managed.migration.in_step().filter(|_| !in_two);
    let Some(marked) = marked else {
        return composer.call(call);
    };
    let all = format!("(SELECT count(*) FROM {images})");
    let is_there = format!(
        "pg_catalog.to_regproc({}) IS NOT NULL",
        quote_literal(&marked.sql())
    );
    // Alone it would be asked before the plan looks at any row.
    let in_step = match rows {
        Rows::One => format!("CASE WHEN EXISTS (SELECT FROM {images}) THEN {is_there} END"),
        Rows::Any => format!("CASE WHEN {all} >= 0 THEN {is_there} END"),
    };
    let images = format!("(SELECT * FROM {images} WHERE {in_step})");
    let sql = match put {
        Put::Updated => {
            let columns = lens.columns.iter().filter(|column| !lens.is_key(column));
            let names: Vec<&str> = columns
                .filter(|column| !column.is_computed())
                .map(|column| column.name.as_str())
                .collect();
            lens.update_legacy_from(&images, &names)
        }
        Put::All => lens.put_legacy_from(&images, None),
    };
    composer.query(query::PUT, format!("{sql} RETURNING 1"));
    let put = composer.name(query::PUT);
    let done = match rows {
        Rows::One => format!("EXISTS (SELECT FROM {put})"),
        Rows::Any => format!("(SELECT count(*) FROM {put}) = {all}"),
    };
    composer.call(format!("CASE WHEN {done} THEN true ELSE {call} END"));
}
