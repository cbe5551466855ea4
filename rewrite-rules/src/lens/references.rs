//! Foreign keys of a legacy table, which hold on once unified leads.
//!
//! Where unified has one that stands for it (`[table.constraints]`), PostgreSQL sees to it, and there is nothing
//! to do but to call it by its legacy name. Between two tables of written lenses there need not be one: a
//! reference that legacy readers see may be no column at all. Then the lenses' own functions see to it, in what
//! is written under the legacy names (`written/functions/references`).

use super::{Action, Deferral, ForeignKey, Lens, Referrer};

impl Action {
    /// As `pg_constraint` has it.
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            Action::Nothing => "a",
            Action::Restrict => "r",
            Action::Cascade => "c",
            Action::SetNull => "n",
            Action::SetDefault => "d",
        }
    }
}

impl Deferral {
    /// `condeferrable` and `condeferred` of `pg_constraint`.
    #[must_use]
    pub fn digits(self) -> &'static str {
        match self {
            Deferral::Never => "00",
            Deferral::Immediate => "10",
            Deferral::Deferred => "11",
        }
    }

    /// As a constraint says it.
    #[must_use]
    pub fn sql(self) -> &'static str {
        match self {
            Deferral::Never => "NOT DEFERRABLE",
            Deferral::Immediate => "DEFERRABLE INITIALLY IMMEDIATE",
            Deferral::Deferred => "DEFERRABLE INITIALLY DEFERRED",
        }
    }
}

impl ForeignKey {
    /// For each of its columns, the place in the parent's key of what it refers to; `None`: it refers to
    /// something else than the key.
    pub(crate) fn places(&self, parent: &Lens) -> Option<Vec<usize>> {
        let keys: Vec<&str> = parent.key_columns().map(|c| c.name.as_str()).collect();
        if keys.len() != self.columns.len() {
            return None;
        }
        if self.referred.is_empty() {
            return Some((0..keys.len()).collect());
        }
        let place = |name: &String| keys.iter().position(|key| key == name);
        let places: Vec<usize> = self.referred.iter().map(place).collect::<Option<_>>()?;
        let all = (0..keys.len()).all(|at| places.contains(&at));
        all.then_some(places)
    }
}

impl Lens {
    /// The foreign keys that it declares.
    #[must_use]
    pub fn foreign_keys(&self) -> &[ForeignKey] {
        self.steps().map_or(&[], |steps| &steps.foreign_keys)
    }

    /// What a constraint of the legacy table is called where unified leads, as SQL; `None`: nothing stands for it.
    pub(crate) fn standing_for(&self, constraint: &str) -> Option<String> {
        let mut pairs = self.constraints.iter();
        if let Some((_, unified)) = pairs.find(|(legacy, _)| legacy == constraint) {
            // A constraint is found in the schema of its table.
            let schema = super::quote_ident(&self.unified.schema);
            return Some(format!("{schema}.{}", super::quote_ident(unified)));
        }
        let number = (1..).zip(self.foreign_keys());
        let mut held = number.filter(|(_, key)| key.holder.is_some());
        let (number, _) = held.find(|(_, key)| key.name == constraint)?;
        Some(self.reference_name(number))
    }

    /// The other tables that refer to it by foreign keys which lenses see to.
    pub(crate) fn referring_lenses(&self) -> impl Iterator<Item = &Lens> {
        let referrers = self.steps().into_iter().flat_map(|steps| &steps.referrers);
        let children = referrers.map(|referrer| &*referrer.child);
        children.filter(|child| child.legacy != self.legacy)
    }

    /// The names by which clients may set them deferred, as far as the table's own name is not in them.
    pub(crate) fn constraint_names(&self) -> impl Iterator<Item = &str> {
        let pairs = self.constraints.iter().map(|(legacy, _)| legacy.as_str());
        let keys = self.foreign_keys().iter().map(|key| key.name.as_str());
        let all = pairs.chain(keys);
        all.filter(|name| {
            !name
                .to_lowercase()
                .contains(&self.legacy.name.to_lowercase())
        })
    }

    /// The constraint trigger of a foreign key that lenses see to.
    pub(crate) fn reference_name(&self, number: usize) -> String {
        self.named(&format!("key_{number}"))
    }
}

/// Ties foreign keys to the lenses of the tables that they refer to, and those to them. All lenses that take
/// part have their final names when this is done.
pub(crate) fn link(tables: &mut [Lens]) {
    let bases: Vec<Lens> = tables.to_vec();
    let parent_of = |key: &ForeignKey| bases.iter().position(|lens| lens.legacy == key.parent);
    for at in 0..tables.len() {
        let keys = bases[at].foreign_keys().iter().enumerate();
        for (n, key) in keys.filter(|(_, key)| key.unified.is_none()) {
            let Some(parent) = parent_of(key) else {
                continue;
            };
            if let Some(written) = tables[at].steps_mut() {
                written.foreign_keys[n].holder = Some(Box::new(bases[parent].clone()));
            }
            if let Some(written) = tables[parent].steps_mut() {
                written.referrers.push(Referrer {
                    key: key.clone(),
                    number: n + 1,
                    child: Box::new(bases[at].clone()),
                });
            }
        }
    }
    let hashes: Vec<u32> = tables.iter().map(Lens::hash).collect();
    let name = |lens: &Lens| {
        let at = bases.iter().position(|base| base.legacy == lens.legacy);
        if let Some(at) = at {
            // Nobody has asked a clone of before for its names.
            let _was_unset = lens.composed.hash.set(hashes[at]);
        }
    };
    for written in tables.iter().filter_map(Lens::steps) {
        written
            .foreign_keys
            .iter()
            .filter_map(|key| key.holder.as_deref())
            .for_each(name);
        written
            .referrers
            .iter()
            .for_each(|referrer| name(&referrer.child));
    }
}
