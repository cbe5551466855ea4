//! Rules for tables that each tenant has in a schema of its own.
//!
//! A statement is read by the rules for the tenants that it may mean: the one that the session's search path
//! leads to, and those whose schemas it spells. These are rules like any others, made of the declared ones when they are
//! first asked for, and kept as long as there is room:
//!
//! ```text
//! SELECT … FROM employees_employee                  under acme_corp, public:  the rules for acme_corp
//! SELECT … FROM globex.employees_employee                                     the rules for acme_corp and globex
//! ```
//!
//! So what is kept grows with the statements that come, and is bounded, however many tenants there are.

use std::collections::HashMap;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use quick_cache::sync::Cache;

use super::{ListedBy, Migration, RuleSet};
use crate::lens::{ANY_TENANT, TableName, Tenant};
use crate::refuse;
use crate::statement::{Names, Reading, Refusal, SearchPath, SessionEffects, TenantId, Verdict};

/// Tenants that one text may name beside the session's own. More are refused: rules for each of them would be made.
const NAMED_MAX: usize = 8;

/// Sets of tenants of which the rules are kept: one for each tenant that is at work, as a rule. Each has its own
/// lenses, which share their columns: some kilobytes for ten tables.
const SETS_MAX: usize = 4_096;

/// The tenants that are known, and the rules for those of them that statements have named.
pub(crate) struct Tenants {
    list: Vec<Tenant>,
    by_schema: HashMap<String, TenantId>,
    /// Finds their schemas in a text.
    finder: Option<AhoCorasick>,
    /// Nobody has said yet who they are.
    unknown: bool,
    sets: Cache<Vec<TenantId>, Arc<RuleSet>>,
}

/// Why a list of tenants is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoTenant {
    pub schema: String,
    pub reason: &'static str,
}

impl Tenants {
    /// Those of a list, in the order of their schemas; `None`: nobody has said yet who they are.
    pub fn of(list: Option<Vec<Tenant>>) -> Tenants {
        let unknown = list.is_none();
        let mut list = list.unwrap_or_default();
        list.sort();
        list.dedup_by(|one, other| one.schema == other.schema);
        let schemas: Vec<&str> = list.iter().map(|tenant| tenant.schema.as_str()).collect();
        let finder = (!schemas.is_empty()).then(|| {
            let finder = AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .build(&schemas);
            finder.expect("names of 63 bytes are within the automaton's limits")
        });
        let numbered = (0..).zip(&list);
        Tenants {
            by_schema: numbered
                .map(|(number, tenant)| (tenant.schema.clone(), TenantId(number)))
                .collect(),
            finder,
            unknown,
            sets: Cache::new(SETS_MAX),
            list,
        }
    }

    pub fn list(&self) -> Option<&[Tenant]> {
        (!self.unknown).then_some(&self.list)
    }

    pub fn of_schema(&self, schema: &str) -> Option<TenantId> {
        self.by_schema.get(schema).copied()
    }

    fn get(&self, id: TenantId) -> Option<&Tenant> {
        self.list.get(usize::try_from(id.0).ok()?)
    }

    /// Those whose schema stands somewhere in a text as a word of its own.
    fn named_in(&self, text: &str) -> Vec<TenantId> {
        let Some(finder) = &self.finder else {
            return Vec::new();
        };
        let of_a_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let mut found: Vec<TenantId> = finder
            .find_overlapping_iter(text)
            .filter(|found| {
                let (before, behind) = (&text[..found.start()], &text[found.end()..]);
                !before.ends_with(of_a_word) && !behind.starts_with(of_a_word)
            })
            .map(|found| TenantId(found.pattern().as_u32()))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Migration {
    /// With the tables of these tenants in place of those that every tenant has.
    pub(super) fn of_tenants(&self, tenants: &[Tenant]) -> Migration {
        let tables = self.tables.iter().flat_map(|lens| {
            let each = lens.is_of_any_tenant();
            let own = tenants.iter().filter(move |_| each);
            let own = own.map(|tenant| lens.of_tenant(tenant));
            own.chain((!each).then(|| lens.clone()))
        });
        Migration {
            tables: tables.collect(),
            ..self.clone()
        }
    }
}

impl RuleSet {
    /// Whether tables are those of tenants.
    #[must_use]
    pub fn has_tenants(&self) -> bool {
        self.tenants.is_some()
    }

    /// How the tenants are listed.
    #[must_use]
    pub fn tenants_listed_by(&self) -> Option<&ListedBy> {
        self.declared.iter().find_map(|m| m.tenants.as_ref())
    }

    /// The tenants that are known; `None` where there are none to know, or nobody has said who they are.
    #[must_use]
    pub fn tenants(&self) -> Option<&[Tenant]> {
        self.tenants.as_ref()?.list()
    }

    /// The migrations as the rule files declare them, with one lens for the tables that each tenant has.
    #[must_use]
    pub fn declared(&self) -> &[Migration] {
        &self.declared
    }

    /// The path of a session of one tenant, or of the first of all; without tenants that of any.
    #[must_use]
    pub fn path_of(&self, schema: Option<&str>) -> SearchPath {
        let Some(tenants) = &self.tenants else {
            return SearchPath::AsDeclared;
        };
        let first = || (!tenants.list.is_empty()).then_some(TenantId(0));
        let tenant = schema.map_or_else(first, |schema| tenants.of_schema(schema));
        let Some(tenant) = tenant else {
            return SearchPath::AsDeclared;
        };
        let lenses = || {
            self.declared
                .iter()
                .flat_map(|m| &m.tables)
                .filter(|l| l.is_of_any_tenant())
        };
        let shared = |table: &TableName| lenses().any(|lens| lens.unified == *table);
        let names = self.path_names.iter().enumerate();
        let found = names.filter(|(_, table)| !shared(table));
        let finds = found.map(|(at, _)| at).collect();
        SearchPath::Tenant { tenant, finds }
    }

    /// The same rules, with these tenants.
    #[must_use]
    pub fn with_tenants(&self, tenants: Vec<Tenant>) -> RuleSet {
        RuleSet {
            namesakes: self.namesakes.clone(),
            ..RuleSet::of(self.declared.to_vec(), Some(tenants))
        }
    }

    /// Why a tenant's schema cannot be one: its name would have to be quoted in other ways in texts within texts.
    pub fn may_be_tenant(tenant: &Tenant) -> Result<(), NoTenant> {
        let wrong = |reason| {
            Err(NoTenant {
                schema: tenant.schema.clone(),
                reason,
            })
        };
        let odd = |c: char| c.is_control() || "{}\"'\\,$".contains(c);
        if tenant.schema.is_empty() || tenant.schema.len() > 63 || tenant.schema.contains(odd) {
            return wrong(
                "its name is no name of a schema, or has quotation marks, braces, commas or the like",
            );
        }
        if tenant.schema.starts_with("pg_") || tenant.schema == "crossfade" {
            return wrong("the schema is not a tenant's");
        }
        if tenant.value.contains(['\\', '\0']) {
            return wrong("what tells its rows apart has a backslash");
        }
        Ok(())
    }

    /// What a text is read as, by the rules for the tenants that it may mean.
    pub(crate) fn by_tenants(
        &self,
        tenants: &Tenants,
        (text, path): (&str, SearchPath),
        read: impl Fn(&RuleSet, SearchPath) -> Arc<Reading>,
    ) -> Arc<Reading> {
        let mut named = tenants.named_in(text);
        if named.len() > NAMED_MAX {
            return refused(refuse::many_tenants(NAMED_MAX));
        }
        if let SearchPath::Tenant { tenant, .. } = path
            && let Err(at) = named.binary_search(&tenant)
        {
            named.insert(at, tenant);
        }
        let set = tenants.sets.get(&named).unwrap_or_else(|| {
            let set = Arc::new(self.for_tenants(tenants, &named));
            tenants.sets.insert(named, Arc::clone(&set));
            set
        });
        read(&set, self.path_for(tenants, path, &set))
    }

    /// The rules for some of the tenants. The declared tables stay among them: they tell which names may be a tenant's.
    fn for_tenants(&self, tenants: &Tenants, named: &[TenantId]) -> RuleSet {
        let own: Vec<Tenant> = named
            .iter()
            .filter_map(|id| tenants.get(*id))
            .cloned()
            .collect();
        let migrations = self.declared.iter().map(|declared| {
            let mut migration = declared.of_tenants(&own);
            let any = declared
                .tables
                .iter()
                .filter(|lens| lens.is_of_any_tenant());
            migration.tables.extend(any.cloned());
            migration
        });
        self.part(migrations.collect())
    }

    /// What a path of all the rules is to those for some tenants.
    fn path_for(&self, tenants: &Tenants, path: SearchPath, set: &RuleSet) -> SearchPath {
        let (tenant, finds) = match path {
            SearchPath::Unknown => return path,
            SearchPath::AsDeclared => (None, Names::ALL),
            SearchPath::Finds(finds) => (None, finds),
            SearchPath::Tenant { tenant, finds } => (tenants.get(tenant), finds),
        };
        let means = |table: &TableName| {
            let of_tenant = tenant.is_some_and(|tenant| tenant.schema == table.schema);
            let any = |known: &&TableName| known.schema == ANY_TENANT && known.name == table.name;
            let known = self.path_names.iter();
            let place = match of_tenant {
                true => known.clone().position(|known| any(&known)),
                false => known.clone().position(|known| known == table),
            };
            let place = match (place, tenant) {
                // What means the tenant's means nobody else's.
                (Some(_), Some(_)) if table.schema == ANY_TENANT => None,
                (place, _) => place,
            };
            place.is_some_and(|at| finds.has(at))
        };
        if set.path_names.len() > Names::MAX {
            return SearchPath::Unknown;
        }
        let names = (0..).zip(&set.path_names);
        let found = names.filter(|(_, table)| means(table));
        SearchPath::Finds(found.map(|(at, _)| at).collect())
    }
}

fn refused(refusal: Refusal) -> Arc<Reading> {
    let effects = SessionEffects::default();
    Arc::new(Reading::new(Verdict::Refused(refusal), effects))
}
