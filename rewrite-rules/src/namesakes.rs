//! Functions of somebody's that bear the name of one of PostgreSQL's: `public.lower(text)` in a path that begins with
//! `public`, or one of other arguments than PostgreSQL's. A call by such a name alone may be theirs.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bind::functions::in_catalog;
use crate::text::tree::Tree;

/// Which names of functions in `pg_catalog` others bear as well, in the database that the rules hold in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namesakes {
    /// There is nobody to ask: a name is taken for PostgreSQL's.
    #[default]
    NotAsked,
    /// It could not be asked yet: any name may be somebody's.
    Unknown,
    Known(Arc<HashMap<String, Namesake>>),
}

/// What those of one name may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namesake {
    /// One of them may give something else each time it is called, or is no plain function.
    pub volatile: bool,
}

impl Namesakes {
    #[must_use]
    pub fn known(names: impl IntoIterator<Item = (String, Namesake)>) -> Namesakes {
        Namesakes::Known(Arc::new(names.into_iter().collect()))
    }

    /// Whether both say the same of every name.
    #[must_use]
    pub fn says_the_same(&self, other: &Namesakes) -> bool {
        let none = |all: &Namesakes| match all {
            Namesakes::NotAsked => true,
            Namesakes::Unknown => false,
            Namesakes::Known(names) => names.is_empty(),
        };
        self == other || none(self) && none(other)
    }

    /// Whether a name without a schema may be somebody's.
    pub(crate) fn bear(&self, name: &str) -> bool {
        self.may(name, |_| true)
    }

    fn may(&self, name: &str, may: impl Fn(&Namesake) -> bool) -> bool {
        match self {
            Namesakes::NotAsked => false,
            Namesakes::Unknown => true,
            Namesakes::Known(names) => names.get(name).is_some_and(may),
        }
    }

    /// The name of a function that can only be PostgreSQL's.
    pub(crate) fn in_catalog<'t>(&self, names: &'t [Tree]) -> Option<&'t str> {
        in_catalog(names).filter(|name| names.len() > 1 || !self.bear(name))
    }

    /// The same of one that may as well be somebody's who says that it gives the same within a statement.
    pub(crate) fn in_catalog_or_stable<'t>(&self, names: &'t [Tree]) -> Option<&'t str> {
        let volatile = |name: &str| self.may(name, |namesake| namesake.volatile);
        in_catalog(names).filter(|name| names.len() > 1 || !volatile(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    /// Whether the function that a text calls can only be PostgreSQL's, or is as stable.
    fn is(namesakes: &Namesakes, call: &str) -> [bool; 2] {
        let (tree, _) = parse(&format!("SELECT {call}")).expect("it is SQL");
        let mut found = [false; 2];
        tree.each(&mut |node| {
            if node.is("FuncCall") {
                let names = node.list("funcname");
                found = [
                    namesakes.in_catalog(names).is_some(),
                    namesakes.in_catalog_or_stable(names).is_some(),
                ];
            }
        });
        found
    }

    #[test]
    fn a_name_alone_may_be_somebodys_and_one_with_its_schema_never_is() {
        let known = Namesakes::known([
            ("lower".to_owned(), Namesake { volatile: true }),
            ("max".to_owned(), Namesake { volatile: false }),
        ]);
        assert_eq!(is(&known, "lower(a)"), [false, false]);
        assert_eq!(is(&known, "max(a)"), [false, true]);
        assert_eq!(is(&known, "upper(a)"), [true, true]);
        assert_eq!(is(&known, "pg_catalog.lower(a)"), [true, true]);
        assert_eq!(is(&known, "public.upper(a)"), [false, false]);
        assert_eq!(is(&Namesakes::Unknown, "upper(a)"), [false, false]);
        assert_eq!(is(&Namesakes::Unknown, "pg_catalog.upper(a)"), [true, true]);
        assert_eq!(is(&Namesakes::NotAsked, "lower(a)"), [true, true]);
    }

    #[test]
    fn nobody_who_bears_a_name_is_the_same_as_nobody_who_was_asked() {
        let none = Namesakes::known([]);
        assert!(
            none.says_the_same(&Namesakes::NotAsked) && Namesakes::NotAsked.says_the_same(&none)
        );
        assert!(!none.says_the_same(&Namesakes::Unknown));
        let one = Namesakes::known([("lower".to_owned(), Namesake { volatile: true })]);
        assert!(!one.says_the_same(&none) && one.says_the_same(&one.clone()));
    }
}
