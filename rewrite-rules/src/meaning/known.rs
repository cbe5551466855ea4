//! The words that are known to change nothing.

/// Statements that run nothing but what is spelled in them.
pub(super) const HARMLESS: [&str; 22] = [
    "select",
    "insert",
    "update",
    "delete",
    "with",
    "merge",
    "values",
    "table",
    "explain",
    "copy",
    "declare",
    "begin",
    "start",
    "savepoint",
    "release",
    "show",
    "close",
    "lock",
    "listen",
    "unlisten",
    "notify",
    "deallocate",
];

/// Ends of transactions and of subtransactions; PREPARE, which may be one; and what goes on with a
/// query of which the text has been seen before.
pub(super) const REVERTING: [&str; 7] = [
    "commit", "end", "rollback", "abort", "prepare", "fetch", "move",
];

/// Words of the grammar that may stand before a parenthesis. Other names cost a question, unless they are those of
/// PostgreSQL's own functions that set nothing and run no SQL that they are given.
#[rustfmt::skip]
pub(super) const GRAMMAR: [&str; 123] = [
    "all", "and", "any", "array", "as", "bernoulli", "between", "boolean", "both", "by", "case",
    "cast", "character", "check", "coalesce", "collate", "conflict", "cross", "cube",
    "current_catalog", "current_date", "current_role", "current_time", "current_timestamp",
    "decimal", "default", "distinct", "do", "else", "end", "except", "exclude", "exists", "fetch",
    "filter", "float", "for", "from", "full", "greatest", "grouping", "groups", "having", "ilike",
    "in", "inner", "intersect", "into", "is", "join", "json_array", "json_arrayagg", "json_exists",
    "json_objectagg", "json_query", "json_value", "key", "lateral", "leading", "least", "limit",
    "localtime", "localtimestamp", "match", "materialized", "merge_action", "national", "natural",
    "nchar", "none", "not", "nothing", "notnull", "null", "nullif", "nulls", "offset", "on", "only",
    "or", "order", "ordinality", "over", "partition", "precision", "primary", "range", "recursive",
    "references", "returning", "rollup", "row", "rows", "select", "set", "sets", "share", "similar",
    "some", "symmetric", "system", "tablesample", "then", "to", "trailing", "treat", "trim", "true",
    "union", "unique", "unknown", "update", "using", "value", "values", "varying", "when", "where",
    "window", "with", "within", "without", "zone",
];
