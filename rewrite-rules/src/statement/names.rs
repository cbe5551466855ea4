//! What names of managed tables mean to a session: which of them, and of which tenant.

/// What unqualified names of managed tables mean to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SearchPath {
    /// Each means the table that the rule files declare, and no temporary table bears such a name.
    AsDeclared,
    /// The server was asked: those whose bit is set, in the order of
    /// [`RuleSet::path_question`](crate::RuleSet::path_question), mean the declared table; the
    /// others mean another one, or none. Of a table that each tenant has: it means one of a schema that is no known
    /// tenant's.
    Finds(Names),
    /// The same where the path leads to a tenant: those of the tenants' tables whose bit is set are this one's.
    Tenant { tenant: TenantId, finds: Names },
    /// Each could mean any table, so it is refused.
    Unknown,
}

/// A tenant by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub(crate) u32);

/// A bit for each of the managed tables' names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Names([u64; Names::MAX / u64::BITS as usize]);

impl Names {
    /// A few hundred tables in one set of rules. It is copied with each look at what names mean.
    pub(crate) const MAX: usize = 512;
    /// None of them.
    pub const NONE: Names = Names([0; Names::MAX / u64::BITS as usize]);
    /// Each of them.
    pub(crate) const ALL: Names = Names([u64::MAX; Names::MAX / u64::BITS as usize]);

    pub(crate) fn has(self, at: usize) -> bool {
        let bits = self.0.get(at / u64::BITS as usize).copied().unwrap_or(0);
        bits >> (at % u64::BITS as usize) & 1 == 1
    }
}

/// Those of the first.
impl From<u64> for Names {
    fn from(bits: u64) -> Names {
        let mut names = Names::NONE;
        names.0[0] = bits;
        names
    }
}

/// The places of those that are set.
impl FromIterator<usize> for Names {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Names {
        let mut names = Names::NONE;
        for at in places {
            if let Some(bits) = names.0.get_mut(at / u64::BITS as usize) {
                *bits |= 1 << (at % u64::BITS as usize);
            }
        }
        names
    }
}
