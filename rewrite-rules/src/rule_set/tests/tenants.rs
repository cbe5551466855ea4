//! Rules for thousands of tenants take no more than there is room for.

use std::sync::Arc;

use super::super::kept::{KEPT_BYTES_MAX, READINGS_MAX};
use super::{RuleSet, compile};
use crate::lens::Tenant;
use crate::statement::Verdict;

const SHIPPED: &str = include_str!("../../../rules/tenant_schemas.toml");
const TENANTS: usize = 2_000;

fn rules() -> RuleSet {
    let rules = compile(&SHIPPED.replace("\"legacy_only\"", "\"unified_read\""));
    let tenants = (0..TENANTS).map(|number| Tenant {
        schema: format!("tenant_{number}"),
        value: format!("00000000-0000-4000-8000-{number:012}"),
    });
    let rules = rules.expect("the shipped rules are right");
    rules.with_tenants(tenants.collect())
}

#[test]
fn the_tables_of_all_tenants_share_their_columns() {
    let rules = rules();
    let tables = &rules.migrations()[0].tables;
    let declared = &rules.declared()[0].tables;
    assert_eq!(tables.len(), declared.len() * TENANTS);
    let shared = |lens: &&crate::Lens| {
        let mut declared = declared.iter();
        declared.any(|known| Arc::ptr_eq(&known.columns, &lens.columns))
    };
    // One has a sequence of each tenant's own.
    let own = tables.iter().filter(|lens| !shared(lens)).count();
    assert_eq!(own, TENANTS);
}

#[test]
fn what_is_kept_does_not_grow_with_tenants_times_statements() {
    let rules = rules();
    for number in 0..TENANTS {
        let path = rules.path_of(Some(&format!("tenant_{number}")));
        for sql in [
            "SELECT name FROM employees_department WHERE code = $1",
            "DELETE FROM employees_location",
        ] {
            let reading = rules.rewrite(sql, path);
            let Verdict::Rewritten(rewritten) = &reading.verdict else {
                panic!("{sql}: {:?}", reading.verdict);
            };
            assert!(rewritten.sql.contains(&format!("8000-{number:012}'::uuid")));
        }
    }
    let kept = &rules.kept.elsewhere;
    assert!(kept.weight() <= KEPT_BYTES_MAX, "{}", kept.weight());
    assert!(kept.len() <= READINGS_MAX, "{}", kept.len());
}
