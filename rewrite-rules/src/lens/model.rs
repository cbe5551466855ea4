//! What a lens is made of: what a rule file says of a table, compiled.

use std::sync::{Arc, OnceLock};

use super::over::Over;
use super::table::TableName;
use super::tenant::Discriminator;

#[derive(Clone, Debug)]
pub struct Lens {
    pub migration: String,
    pub legacy: TableName,
    /// The unified table; of a written lens the first of several.
    pub unified: TableName,
    /// The same for all tenants of one table.
    pub columns: Arc<Vec<LegacyColumn>>,
    /// Indexes into `columns`, in key order.
    pub key: Vec<usize>,
    /// Pairs of a legacy constraint and the unified one that stands for it.
    pub constraints: Vec<(String, String)>,
    /// Rows that are there are put by UPDATE alone, for roles that may not insert.
    pub row_security: bool,
    /// What the rule file says of legacy rows whose unified rows are hidden.
    pub when_hidden: Option<WhenHidden>,
    /// What tells its rows in the unified table from those of other tenants.
    pub(crate) discriminator: Option<Discriminator>,
    /// Asked by the lens alone: others ask what differs (`kind`).
    pub(in crate::lens) kind: Kind,
    /// What every statement needs and takes long to compose.
    pub(in crate::lens) composed: Composed,
}

/// How the two sides go together.
#[derive(Clone, Debug)]
pub(in crate::lens) enum Kind {
    /// A legacy row is one row of the unified table, which is derived from the columns.
    Columns(BesideColumns),
    /// A legacy row is what the operator's own SQL makes of it.
    Steps(Box<Written>),
    /// Both sides are one table, some of whose columns move.
    InPlace(InPlace),
}

/// What a rule file says of two tables beside their columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct BesideColumns {
    /// Which unified rows exist for legacy readers; `None`: all.
    pub visible: Option<Visible>,
    pub constants: Vec<Constant>,
}

/// One column of the legacy shape and where its value lives in the unified table.
#[derive(Clone, Debug)]
pub struct LegacyColumn {
    pub name: String,
    /// The legacy type as SQL, e.g. `numeric(10,2)`.
    pub sql_type: String,
    /// The unified column's name.
    pub unified: String,
    /// The unified column's type as SQL.
    pub unified_type: String,
    /// Declared for written lenses, whose tables need not repeat it.
    pub not_null: bool,
    /// SQL of the legacy default; `NULL` when there is none.
    pub default: Option<String>,
    /// What fills the legacy column by itself.
    pub generated: Option<Generated>,
    /// What fills the unified one.
    pub unified_generated: Option<Generated>,
    /// Pairs of legacy and unified values; empty means that values are the same on both sides.
    pub values: Vec<(String, String)>,
    /// How values of the two types are made of each other; `None`: by the cast between them.
    pub cast: Option<Cast>,
    /// Over a unified value: whether the legacy column can hold it, where types do not tell.
    pub holds: Option<Over>,
    /// A BEFORE trigger on both tables sets this column on every update.
    pub set_by_trigger: bool,
    /// Whether verify compares this column.
    pub verify: bool,
    /// Of which rows its values do not survive the way to unified and back.
    pub lossy: Lossy,
}

/// A unified column that legacy lacks.
#[derive(Clone, Debug)]
pub struct Constant {
    pub unified: String,
    /// SQL over a legacy row image that is in scope as [`Lens::IMAGE`].
    pub sql: String,
}

/// The condition for a unified row to exist for legacy readers.
#[derive(Clone, Debug)]
pub struct Visible {
    /// Over the row's name.
    pub(in crate::lens) sql: Over,
    /// Unified columns that it reads.
    pub reads: Vec<String>,
    /// Those of them to which a write under the legacy name may give a value for which it is not true.
    pub(crate) loses: Vec<String>,
}

/// Parts of a lens's SQL, composed when they are first asked for. They depend on what stays as it
/// was compiled.
#[derive(Clone, Debug, Default)]
pub(in crate::lens) struct Composed {
    pub(in crate::lens) hash: OnceLock<u32>,
    pub(in crate::lens) image_list: OnceLock<String>,
}

/// What fills a column by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Generated {
    /// A sequence of its own.
    Identity {
        /// Only DEFAULT may be given, unless the statement says OVERRIDING SYSTEM VALUE.
        always: bool,
    },
    /// Over the row, and so over its other columns.
    Expression(Over),
}

/// How the value of one side is made of the other's, where a cast alone does not say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    /// Over a legacy value.
    pub(crate) to_unified: Over,
    /// Over a unified one.
    pub(crate) to_legacy: Over,
}

/// Of which rows a column's values do not survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lossy {
    Never,
    Always,
    /// Of those of which this condition of [`Query::lossy`] is true.
    When(usize),
}

/// What becomes of such a legacy row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenHidden {
    /// It stays, and its key enters the ledger.
    #[default]
    Keep,
    /// It goes, and with it what its foreign keys say.
    Remove,
    /// The write fails.
    Refuse,
}

/// What makes a lens one of a single table.
#[derive(Clone, Debug)]
pub(in crate::lens) struct InPlace {
    /// Names of the columns that move: legacy and unified.
    pub(in crate::lens) moved: Vec<(String, String)>,
    /// The same table until the reads turn; `None` in that lens itself.
    pub(in crate::lens) before: Option<Box<Lens>>,
}

#[derive(Clone, Debug)]
pub struct Written {
    /// The unified tables, which clients may write.
    pub tables: Vec<TableName>,
    /// Tables that only lenses write.
    pub crosswalk: Vec<TableName>,
    pub query: Query,
    pub put: Vec<Step>,
    pub remove: Vec<Step>,
    /// What carries the unified rows of a key over to another; empty: keys do not change.
    pub rekey: Vec<Step>,
    /// In the order in which PostgreSQL looks at them: that of their names.
    pub checks: Vec<Check>,
    pub uniques: Vec<Unique>,
    pub foreign_keys: Vec<ForeignKey>,
    /// Foreign keys to this table that the lenses see to.
    pub(crate) referrers: Vec<Referrer>,
}

/// What a rule file's `read` was taken apart into.
#[derive(Clone, Debug)]
pub struct Query {
    /// The expression of each legacy column, in the shape's order.
    pub columns: Vec<String>,
    pub from: String,
    pub condition: Option<String>,
    /// What the key columns are read from.
    pub key: Vec<String>,
    /// The tables that it reads.
    pub parts: Vec<Part>,
    /// Of which rows columns are lossy: conditions over `from`.
    pub lossy: Vec<String>,
}

/// What a row of one table is to the legacy rows.
#[derive(Clone, Debug)]
pub struct Part {
    pub table: TableName,
    pub alias: String,
    /// A LEFT JOIN may find no row of it.
    pub nullable: bool,
    /// The FROM clause for legacy rows that have such a row.
    pub from: String,
    /// The same over a relation of rows in the table's place; `None` when the table is
    /// named more than once, so that nobody can tell which legacy rows a row of it belongs to.
    pub of_rows: Option<Over>,
    /// Its columns, each with a legacy column (an index) that is read from it.
    pub feeds: Vec<(String, usize)>,
    /// Its columns that decide which legacy rows there are.
    pub decides: Vec<String>,
    /// Those of these by which tables are joined, each with a legacy column (an index) that is read
    /// through the join.
    pub ties: Vec<(String, usize)>,
    /// Whether a legacy row may be there because a row of it is: not if a LEFT JOIN may lack it,
    /// unless the condition of `read` looks at it.
    pub makes_rows: bool,
    /// Its columns that are the legacy key's, one for each of these.
    pub key: Vec<Option<String>>,
}

/// One statement of `put`, `remove` or `rekey`.
#[derive(Clone, Debug)]
pub struct Step {
    /// Under which later steps find what it returned.
    pub name: Option<String>,
    pub sql: String,
    /// The columns of its RETURNING.
    pub returning: Vec<String>,
    /// The table that it deletes from.
    pub deletes: Option<TableName>,
    /// The query that locks what it deletes, where other rows decide whether that goes.
    pub locks: Option<String>,
}

/// A CHECK of the legacy table.
#[derive(Clone, Debug)]
pub struct Check {
    pub name: String,
    /// Over the row's name.
    pub(crate) sql: Over,
}

/// A UNIQUE constraint of the legacy table.
#[derive(Clone, Debug)]
pub struct Unique {
    pub name: String,
    /// Indexes into the shape's columns.
    pub columns: Vec<usize>,
    /// The unified constraint that stands for it; `None`: the lens sees to it itself.
    pub unified: Option<String>,
}

/// A foreign key as the legacy table has it.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    pub name: String,
    /// Indexes into the shape's columns.
    pub columns: Vec<usize>,
    pub parent: TableName,
    /// The parent's columns, in the same order; empty: its key.
    pub referred: Vec<String>,
    pub on_delete: Action,
    pub on_update: Action,
    pub deferral: Deferral,
    /// The unified constraint that stands for it; `None`: the lenses see to it.
    pub unified: Option<String>,
    /// The parent's lens, where they do.
    pub(crate) holder: Option<Box<Lens>>,
}

/// A foreign key of another table, or of its own, that refers to a lens's rows, and that lenses see to.
#[derive(Clone, Debug)]
pub struct Referrer {
    pub(crate) key: ForeignKey,
    /// Its number among those of the table that refers.
    pub(crate) number: usize,
    pub(crate) child: Box<Lens>,
}

/// What becomes of the rows that refer to a row that goes, or whose key changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Nothing,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

/// When a reference is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deferral {
    /// At the end of the statement.
    Never,
    /// So too, unless the client sets it deferred.
    Immediate,
    /// At the end of the transaction.
    Deferred,
}
