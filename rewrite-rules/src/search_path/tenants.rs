//! To which tenant a search path leads: of tables that each tenant has, one in every schema.
//!
//! The path's schemas are walked as PostgreSQL walks them, but that of a tenant counts as having the table whether
//! it still has or not, and whether the schema itself is still there: what a name means does not change with what
//! is dropped when a migration ends.
//!
//! ```text
//! acme_corp, public     →  acme_corp's, also when only public has a table of that name
//! public                →  the unified table, if it is there and bears the name
//! initech, public       →  nobody's, if initech has the table and is no tenant
//! ```

use crate::lens::{ANY_TENANT, TableName, quote_ident, quote_literal};
use crate::rule_set::{RuleSet, Tenants};
use crate::statement::{Names, SearchPath, TenantId};

/// In the answer, the letter of a table of which the lines behind the letters tell.
pub(super) const OF_TENANTS: char = '-';

/// A line for each schema of the path, with a letter before it: `g` it is not there, `d` the role may not use it,
/// `u` it is looked into, `w` it is not read here.
const PATH: &str = "(SELECT pg_catalog.string_agg(pg_catalog.concat(CASE \
     WHEN pg_catalog.strpos(cf_s.name, '\"') OPERATOR(pg_catalog.>) 0 THEN 'w' WHEN cf_n.oid IS NULL THEN 'g' \
     WHEN pg_catalog.array_position(pg_catalog.current_schemas(true), cf_s.name::pg_catalog.name) IS NULL THEN 'd' \
     ELSE 'u' END, pg_catalog.translate(cf_s.name, E'\\n', '?')), E'\\n' ORDER BY cf_s.at) \
     FROM (SELECT CASE WHEN cf_q.name OPERATOR(pg_catalog.=) '$user' THEN CURRENT_USER::pg_catalog.text \
     ELSE cf_q.name END AS name, cf_q.at FROM (SELECT CASE \
     WHEN cf_p.said OPERATOR(pg_catalog.~) '^\".*\"$' \
     THEN pg_catalog.substr(cf_p.said, 2, pg_catalog.length(cf_p.said) OPERATOR(pg_catalog.-) 2) \
     ELSE pg_catalog.lower(cf_p.said) END AS name, cf_p.at FROM (SELECT pg_catalog.btrim(cf_e.said, E' \\t\\n\\r\\f') AS said, \
     cf_e.at FROM pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('search_path'), ',')) \
     WITH ORDINALITY AS cf_e (said, at)) AS cf_p) AS cf_q) AS cf_s \
     LEFT JOIN pg_catalog.pg_namespace AS cf_n ON cf_n.nspname OPERATOR(pg_catalog.=) cf_s.name::pg_catalog.name)";

/// One schema of the path.
struct Searched<'a> {
    name: &'a str,
    /// The role may not use it, so the server does not look there.
    denied: bool,
}

impl RuleSet {
    /// What is asked beside the letters: the path, and for each of the tenants' tables the schema in which its name is
    /// found now.
    pub(super) fn tenants_question(&self) -> Option<String> {
        self.tenants.as_ref()?;
        let found = self.tables_of_tenants().map(|(_, table)| {
            format!(
                "(SELECT cf_n.nspname FROM pg_catalog.pg_class AS cf_c JOIN pg_catalog.pg_namespace AS cf_n \
                 ON cf_n.oid OPERATOR(pg_catalog.=) cf_c.relnamespace WHERE cf_c.oid OPERATOR(pg_catalog.=) \
                 pg_catalog.to_regclass({})::pg_catalog.oid)",
                quote_literal(&quote_ident(&table.name))
            )
        });
        let found: Vec<String> = found.collect();
        let found = found.join(", E'\\n', ");
        Some(format!(", E'\\n', {PATH}, E'\\n\\n', {found}"))
    }

    /// The tables that each tenant has, with their places among the names.
    fn tables_of_tenants(&self) -> impl Iterator<Item = (usize, &TableName)> {
        let names = self.path_names.iter().enumerate();
        names.filter(|(_, table)| table.schema == ANY_TENANT)
    }

    /// What the letters and the lines behind them say.
    pub(super) fn tenant_answered(
        &self,
        tenants: &Tenants,
        letters: &[u8],
        lines: &[u8],
    ) -> SearchPath {
        self.led_to(tenants, letters, lines)
            .unwrap_or(SearchPath::Unknown)
    }

    fn led_to(&self, tenants: &Tenants, letters: &[u8], lines: &[u8]) -> Option<SearchPath> {
        let lines = std::str::from_utf8(lines).ok()?.strip_prefix('\n')?;
        let (path, found) = lines.split_once("\n\n")?;
        let path: Vec<Searched<'_>> = path
            .split('\n')
            .filter(|line| !line.is_empty())
            .map(searched)
            .collect::<Option<_>>()?;
        let known = letters.len() == self.path_names.len() && letters.len() <= Names::MAX;
        if !known || !letters.iter().all(|letter| b"tbf-".contains(letter)) {
            return None;
        }
        let ordinary = letters.iter().enumerate();
        let ordinary = ordinary.filter(|(_, letter)| b"tb".contains(letter));
        let mut finds: Vec<usize> = ordinary.map(|(at, _)| at).collect();
        let of_tenants = self.tables_of_tenants();
        let (mut tenant, mut nobodys) = (None, false);
        let mut found = found.split('\n');
        for (at, _) in of_tenants {
            match whose(tenants, &path, found.next()?) {
                Whose::Tenants(id) => {
                    tenant = Some(id);
                    finds.push(at);
                }
                Whose::Nobodys(schema) => {
                    let lens = self.of_any_tenant().map(|(_, lens)| lens);
                    let shared = |lens: &crate::Lens| {
                        lens.unified.schema == schema
                            && lens.unified.name == self.path_names[at].name
                    };
                    if !lens.into_iter().any(shared) {
                        nobodys = true;
                        finds.push(at);
                    }
                }
                Whose::Other => {}
            }
        }
        let finds: Names = finds.into_iter().collect();
        match tenant {
            None => Some(SearchPath::Finds(finds)),
            // Which of the names that are found are the tenant's is not told apart.
            Some(_) if nobodys => None,
            Some(tenant) => Some(SearchPath::Tenant { tenant, finds }),
        }
    }
}

fn searched(line: &str) -> Option<Searched<'_>> {
    let (letter, name) = line.split_at_checked(1)?;
    match letter {
        "g" | "u" => Some(Searched {
            name,
            denied: false,
        }),
        "d" => Some(Searched { name, denied: true }),
        _ => None,
    }
}

enum Whose<'a> {
    Tenants(TenantId),
    /// The schema, which is no tenant's.
    Nobodys(&'a str),
    /// A temporary table's, one of the server's own, or none.
    Other,
}

/// Whose table a name means that is found in this schema now, if in any.
fn whose<'a>(tenants: &Tenants, path: &[Searched<'_>], found: &'a str) -> Whose<'a> {
    // These come first, unless the path says where.
    let (temporary, own) = (found.starts_with("pg_temp_"), found == "pg_catalog");
    let named = if temporary { "pg_temp" } else { found };
    let place = path.iter().position(|schema| schema.name == named);
    let place = match (temporary || own, place) {
        (true, None) => Some(0),
        (_, place) => place.map(|at| at + 1),
    };
    let searched = path.iter().filter(|schema| !schema.denied);
    let leads = searched.clone().find_map(|schema| {
        let id = tenants.of_schema(schema.name)?;
        let at = path.iter().position(|known| std::ptr::eq(known, schema))?;
        Some((at + 1, id))
    });
    match (leads, place) {
        (Some((at, id)), place) if place.is_none_or(|place| at <= place) => Whose::Tenants(id),
        (_, None) if found.is_empty() => Whose::Other,
        _ if temporary || own => Whose::Other,
        _ => Whose::Nobodys(found),
    }
}
