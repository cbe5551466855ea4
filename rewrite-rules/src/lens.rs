//! One lens between a legacy row image and the unified rows.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    pub schema: String,
    pub name: String,
}

#[derive(Clone, Debug)]
pub struct LegacyColumn {
    pub name: String,
}

#[derive(Debug)]
pub struct Lens {
    pub legacy: TableName,
    pub unified: TableName,
    pub columns: Vec<LegacyColumn>,
    /// Indexes into `columns`.
    pub key: Vec<usize>,
}
