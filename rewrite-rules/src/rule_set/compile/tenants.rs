//! What a rule file says of tables that each tenant has in a schema of its own.

use toml::Spanned;

use super::Reader;
use crate::lens::{ANY_TENANT, Discriminator, TableName};
use crate::rule_file::{MigrationPart, TablePart};
use crate::rule_set::{ListedBy, Migration};
use crate::rule_sql;

/// The type of a discriminator of which the rule file gives the name alone.
const USUAL_TYPE: &str = "uuid";

/// As a legacy table's name begins that each tenant has.
pub(super) fn of_any_tenant(name: &str) -> Option<&str> {
    name.strip_prefix(ANY_TENANT)?.strip_prefix('.')
}

impl Reader<'_> {
    /// How the tenants are listed; an error where it is not said and must be, or is said and need not be.
    pub(super) fn listed_by(
        &mut self,
        part: &MigrationPart,
        tables: &[Spanned<TablePart>],
    ) -> Option<ListedBy> {
        let mut names = tables
            .iter()
            .filter_map(|table| table.get_ref().legacy.as_ref());
        let first = names.find(|name| of_any_tenant(name.get_ref()).is_some());
        let Some(query) = &part.tenants else {
            if let Some(first) = first {
                self.error(
                    &first.span(),
                    "it is not said which tenants there are; expected `tenants = \"SELECT schema, id FROM …\"` in [migration]",
                );
            }
            if let Some(context) = &part.context {
                self.error(&context.span(), "found `context` without `tenants`");
            }
            return None;
        };
        if first.is_none() {
            let said = format!("no table is of a tenant; expected `legacy = \"{ANY_TENANT}.…\"`");
            self.error(&query.span(), &said);
        }
        if let Err(error) = rule_sql::one_query(query.get_ref()) {
            self.sql_error(query, &error);
        }
        let context = part.context.as_ref();
        let words = |name: &str| {
            let word = |word: &str| {
                word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            };
            name.split('.').count() == 2 && name.split('.').all(word)
        };
        if let Some(name) = context.filter(|name| !words(name.get_ref())) {
            let said = format!(
                "found `{}`; expected a setting of the application's own, `app.current_organization_id`",
                name.get_ref()
            );
            self.error(&name.span(), &said);
        }
        Some(ListedBy {
            query: query.get_ref().clone(),
            context: context.map(|name| name.get_ref().clone()),
        })
    }

    pub(super) fn legacy_name(&mut self, name: &Spanned<String>) -> Option<TableName> {
        let Some(table) = of_any_tenant(name.get_ref()) else {
            return self.table_name(name);
        };
        // The schema stands in for the tenant's.
        match rule_sql::table_name(&format!("a.{table}")) {
            Some(found) => Some(TableName {
                schema: ANY_TENANT.to_owned(),
                name: found.name,
            }),
            None => {
                let said = format!("found `{}`; expected {ANY_TENANT}.table", name.get_ref());
                self.error(&name.span(), &said);
                None
            }
        }
    }

    /// What tells the tenants' rows apart, of a table that each of them has.
    pub(super) fn discriminator(&mut self, part: &TablePart) -> Option<Discriminator> {
        let legacy = part.legacy.as_ref()?;
        let is_of_tenants = of_any_tenant(legacy.get_ref()).is_some();
        let said = match (&part.discriminator, is_of_tenants) {
            (None, false) => return None,
            (None, true) => {
                self.error(
                    &legacy.span(),
                    "it is not said which unified column tells the tenants' rows apart; expected `discriminator = \"…\"`",
                );
                return None;
            }
            (Some(said), false) => {
                let expected =
                    format!("found this beside one table; expected `legacy = \"{ANY_TENANT}.…\"`");
                self.error(&said.span(), &expected);
                return None;
            }
            (Some(said), true) => said,
        };
        if let Some(read) = &part.read {
            self.error(
                &read.span(),
                "found `read` beside tenants; expected a table whose rows are one unified row each",
            );
        }
        let written = said.get_ref().trim();
        let whole = match written.contains(' ') {
            true => written.to_owned(),
            false => format!("{written} {USUAL_TYPE}"),
        };
        let found = rule_sql::table(&whole).ok().map(|table| table.columns);
        match found.as_deref() {
            Some([column]) if column.is.default.is_none() && column.is.generated.is_none() => {
                Some(Discriminator {
                    column: column.name.clone(),
                    sql_type: column.is.sql_type.clone(),
                    value: None,
                })
            }
            Some(_) | None => {
                let expected = format!(
                    "found `{written}`; expected a column, with its type behind it if that is not uuid"
                );
                self.error(&said.span(), &expected);
                None
            }
        }
    }

    /// One list of tenants is followed, whatever migrations their tables are of.
    pub(super) fn one_list(&mut self, migration: &Migration, earlier: &[Migration]) {
        let Some(own) = &migration.tenants else {
            return;
        };
        let mut others = earlier.iter().filter(|other| other.tenants.is_some());
        if let Some(other) = others.find(|other| other.tenants.as_ref() != Some(own)) {
            let said = format!(
                "migration `{}` in {} lists tenants in another way; expected the same `tenants` and `context` in all",
                other.name,
                other.file.display()
            );
            self.error(&(0..0), &said);
        }
    }
}
