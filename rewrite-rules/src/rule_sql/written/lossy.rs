//! The condition on which columns of a lens's `read` are lossy: what it reads decides, as what a column
//! is read from does, which legacy columns a write to a unified table concerns.

use sqlparser::ast::{Expr, SelectItem};

use super::names::NamesCheck;
use super::read::{columns_of, cut_names, no_whole_rows, plain_select, sources};
use super::ties::JoinTies;
use super::{Known, SqlError, one};
use crate::lens::{Part, Query};

/// Adds a condition to a `read`; `lossy` are the columns that it speaks of.
pub(crate) fn lossy_rows(
    text: &str,
    known: Known<'_>,
    lossy: &[usize],
    query: &mut Query,
) -> Result<(), SqlError> {
    crate::rule_sql::expression(text).map_err(SqlError::nowhere)?;
    // With the key behind it: where the tables of a row begin. Its own line, whose number is told.
    let mut whole = format!(
        "SELECT\n{text}\n, {} FROM {}",
        query.key.join(", "),
        query.from
    );
    if let Some(condition) = &query.condition {
        whole += &format!(" WHERE {condition}");
    }
    let in_text = |mut error: SqlError| {
        error.at = error.at.map(|(line, column)| (line - 1, column));
        error
    };
    let mut statement = one(&whole).map_err(in_text)?;
    let mut names = NamesCheck::new(known);
    names.resolve(&mut statement).map_err(in_text)?;
    if let Some((table, at)) = &names.nested {
        let said = format!(
            "names {} in a subquery, where legacy cannot follow what clients write to it; join it in \
             the FROM of `read`",
            table.name
        );
        return Err(in_text(SqlError::new(said, *at)));
    }
    cut_names(&mut statement);
    let select = plain_select(&statement)?;
    let sources = sources(select, known.tables)?;
    no_whole_rows(select, &sources).map_err(in_text)?;
    let items: Vec<&Expr> = select.projection.iter().filter_map(plain).collect();
    let [condition, keys @ ..] = items.as_slice() else {
        return Err(SqlError::nowhere("expected a condition"));
    };
    let ties = JoinTies::of(select, &sources, keys);
    for source in &sources {
        let of_source = |part: &&mut Part| part.alias == source.alias;
        let Some(part) = query.parts.iter_mut().find(of_source) else {
            continue;
        };
        for column in columns_of(condition, source) {
            part.feeds
                .extend(lossy.iter().map(|&at| (column.clone(), at)));
        }
        for column in part.decides.clone() {
            let behind = ties.behind(source, &column);
            if behind
                .iter()
                .any(|&b| !columns_of(condition, &sources[b]).is_empty())
            {
                part.ties
                    .extend(lossy.iter().map(|&at| (column.clone(), at)));
            }
        }
    }
    let condition = crate::strings::settled(&condition.to_string());
    query.lossy.push(condition);
    Ok(())
}

fn plain(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some(expr),
        _ => None,
    }
}
