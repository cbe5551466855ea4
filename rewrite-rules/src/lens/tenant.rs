//! A lens that stands for many schemas: the legacy table of each tenant is its own, the unified one is
//! shared, and a column of it says whose a row is.
//!
//! ```text
//! {tenant}.employees_employee   →   public.employees_employee, organization_id
//!
//! acme_corp.employees_employee  →   … WHERE cf_u."organization_id" = '8c1f…'::uuid
//! ```
//!
//! As the rule file declares it the lens is of nobody: it names no schema, and no row is its own. Of a tenant
//! it is a lens like any other. The discriminator is part of which rows it has, of what it puts and of its key;
//! legacy readers never see it.

use std::sync::Arc;

use super::model::{Composed, Kind};
use super::{Constant, Lens, TableName, quote_ident, quote_literal};

/// Stands for the schema of a tenant. No tenant's schema has a brace in its name.
pub const ANY_TENANT: &str = "{tenant}";

/// Of the unified table: the column that says whose a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discriminator {
    pub column: String,
    /// Its type as SQL.
    pub sql_type: String,
    /// The tenant's value; `None` in a lens that is of nobody.
    pub value: Option<String>,
}

/// One whose rows are in a schema of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant {
    pub schema: String,
    /// What stands in the discriminator of its rows, as text.
    pub value: String,
}

impl Discriminator {
    /// The tenant's value as SQL.
    fn literal(&self) -> Option<String> {
        let value = quote_literal(self.value.as_ref()?);
        Some(format!("{value}::{}", self.sql_type))
    }
}

impl Lens {
    #[must_use]
    pub fn discriminator(&self) -> Option<&Discriminator> {
        self.discriminator.as_ref()
    }

    /// Whether it stands for the tables of all tenants, and for none of them.
    #[must_use]
    pub fn is_of_any_tenant(&self) -> bool {
        let discriminator = self.discriminator.as_ref();
        discriminator.is_some_and(|discriminator| discriminator.value.is_none())
    }

    /// The same of one tenant.
    #[must_use]
    pub fn of_tenant(&self, tenant: &Tenant) -> Lens {
        let mut lens = self.clone();
        lens.columns = Arc::clone(&self.columns);
        lens.composed = Composed::default();
        lens.legacy = TableName {
            schema: tenant.schema.clone(),
            name: self.legacy.name.clone(),
        };
        let Some(discriminator) = &mut lens.discriminator else {
            return lens;
        };
        discriminator.value = Some(tenant.value.clone());
        let schema = quote_ident(&tenant.schema);
        let names_schema = |default: &String| default.contains(ANY_TENANT);
        let mut defaults = self.columns.iter().filter_map(|c| c.default.as_ref());
        if defaults.any(names_schema) {
            // Sequences are the tenant's own.
            let quoted = quote_ident(ANY_TENANT);
            for column in Arc::make_mut(&mut lens.columns) {
                let default = column.default.as_ref();
                column.default = default.map(|default| {
                    let default = default.replace(&quoted, &schema);
                    default.replace(ANY_TENANT, &schema)
                });
            }
        }
        if let (Kind::Columns(columns), Some(sql)) = (&mut lens.kind, discriminator.literal()) {
            let unified = discriminator.column.clone();
            columns.constants.push(Constant { unified, sql });
        }
        lens
    }

    /// The condition for a unified row in scope under a name to be the tenant's; `None` for a table that is
    /// nobody's in particular.
    pub(crate) fn is_of_tenant(&self, row: &str) -> Option<String> {
        let discriminator = self.discriminator.as_ref()?;
        Some(match discriminator.literal() {
            Some(value) => format!("{row}.{} = {value}", quote_ident(&discriminator.column)),
            None => "false".to_owned(),
        })
    }

    /// The columns by whose unique index a row that is put finds the one that is there.
    #[must_use]
    pub fn unified_arbiter(&self) -> Vec<String> {
        let own = self.discriminator.iter().map(|d| quote_ident(&d.column));
        own.chain(self.unified_key()).collect()
    }
}
