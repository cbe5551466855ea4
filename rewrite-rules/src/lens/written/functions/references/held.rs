//! A foreign key that lenses see to, as the table that refers has it.

use crate::lens::guarded::Guarded;
use crate::lens::written::functions::Functions;
use crate::lens::{Action, ForeignKey, LegacyColumn, Lens, list, quote_ident, quote_literal};

pub(in super::super) struct Held<'a> {
    pub number: usize,
    pub key: &'a ForeignKey,
    /// The lens of the table that refers, and of the one that is referred to.
    pub child: &'a Lens,
    pub parent: &'a Lens,
}

/// What is raised of a foreign key; everything a literal or an expression.
pub(in super::super) struct Broken {
    pub sqlstate: &'static str,
    pub message: String,
    pub detail: String,
    pub constraint: String,
    pub table: String,
    pub schema: String,
}

/// What is raised of a row that is still referred to.
pub(in super::super) struct StillReferred {
    pub plain: Broken,
    /// What RESTRICT says since PostgreSQL 18.
    pub restricted: Option<Broken>,
}

impl Functions<'_> {
    pub(in super::super) fn held(&self) -> Vec<Held<'_>> {
        let keys = (1..).zip(&self.written.foreign_keys);
        let held = keys.filter_map(|(number, key)| {
            Some(Held {
                number,
                key,
                child: self.lens,
                parent: key.holder.as_deref()?,
            })
        });
        held.collect()
    }

    pub(in super::super) fn holds_keys(&self) -> bool {
        !self.held().is_empty()
    }

    /// The columns of the foreign keys.
    pub(in super::super) fn referring_names(&self) -> Vec<String> {
        self.columns_of_keys(quote_ident)
    }

    /// Their names as literals.
    pub(in super::super) fn referring_columns(&self) -> String {
        self.columns_of_keys(quote_literal).join(", ")
    }

    fn columns_of_keys(&self, name: impl Fn(&str) -> String) -> Vec<String> {
        let held = self.held();
        let columns = held.iter().flat_map(Held::columns);
        let mut names: Vec<String> = columns.map(|column| name(&column.name)).collect();
        names.dedup();
        names
    }
}

impl<'a> Held<'a> {
    pub fn columns(&self) -> Vec<&'a LegacyColumn> {
        let columns = self.key.columns.iter();
        columns.map(|&at| &self.child.columns[at]).collect()
    }

    /// The names of its columns.
    pub fn names(&self) -> Vec<String> {
        let columns = self.columns().into_iter();
        columns.map(|column| quote_ident(&column.name)).collect()
    }

    /// The names as literals.
    pub fn literals(&self) -> String {
        let columns = self.columns().into_iter();
        list(columns.map(|column| quote_literal(&column.name)))
    }

    fn each(&self, between: &str, of: impl Fn(&str) -> String) -> String {
        let all: Vec<String> = self.names().iter().map(|name| of(name)).collect();
        all.join(between)
    }

    pub fn values(&self, image: &str) -> String {
        self.each(", ", |name| format!("{image}.{name}"))
    }

    /// Whether an image refers to something.
    pub fn given(&self, image: &str) -> String {
        self.each(" AND ", |name| format!("{image}.{name} IS NOT NULL"))
    }

    /// Whether two images refer to the same.
    pub fn same(&self, one: &str, other: &str) -> String {
        self.each(" AND ", |name| {
            format!("{one}.{name} IS NOT DISTINCT FROM {other}.{name}")
        })
    }

    /// Each of its columns with that of the parent's key that it refers to.
    pub fn pairs(&self) -> impl Iterator<Item = (String, String)> + use<> {
        let own = self.parent.legacy_key();
        let places = self.key.places(self.parent).unwrap_or_default();
        let referred = places.into_iter().map(move |at| own[at].clone());
        self.names().into_iter().zip(referred)
    }

    /// Finds and locks what an image refers to, as PostgreSQL's own foreign keys do.
    pub fn lock_parent(&self, image: &str) -> String {
        let Some(written) = self.parent.steps() else {
            return "PERFORM 1".to_owned();
        };
        let places = self.key.places(self.parent).unwrap_or_default();
        let names = self.names().into_iter();
        let mut conditions: Vec<String> = names
            .zip(places)
            .map(|(name, at)| format!("{} = ({image}).{name}", written.query.key[at]))
            .collect();
        conditions.extend(written.query.condition.iter().map(|c| format!("({c})")));
        let ours = |table| written.tables.contains(table) || written.crosswalk.contains(table);
        let parts = written.query.parts.iter();
        let inner: Vec<String> = parts
            .filter(|part| ours(&part.table) && !part.nullable)
            .map(|part| quote_ident(&part.alias))
            .collect();
        let lock = match inner.is_empty() {
            true => String::new(),
            false => format!(" FOR KEY SHARE OF {}", inner.join(", ")),
        };
        format!(
            "PERFORM 1 FROM {} WHERE {}{lock}",
            written.query.from,
            conditions.join(" AND ")
        )
    }

    /// The call that records a row whose reference does not hold.
    pub fn record(&self, image: &str) -> String {
        let name = &self.key.name;
        let said = quote_literal(&format!("violates foreign key constraint \"{name}\""));
        let arguments = format!("{image}, {said}, '23503'");
        self.child.call_guarded(Guarded::Record, &arguments)
    }

    /// There is nothing that the row refers to.
    pub fn absent(&self, image: &str) -> Broken {
        let columns = self.columns();
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let (child, parent) = (&self.child.legacy.name, &self.parent.legacy.name);
        let name = &self.key.name;
        self.broken(
            "'23503'",
            &format!(
                "insert or update on table \"{child}\" violates foreign key constraint \"{name}\""
            ),
            (&names, image),
            &format!(") is not present in table \"{parent}\"."),
        )
    }

    /// Something refers to what has gone, of which this is the action.
    pub fn still_referred_by(&self, action: Action, image: &str) -> StillReferred {
        let keys: Vec<&LegacyColumn> = self.parent.key_columns().collect();
        let places = self.key.places(self.parent).unwrap_or_default();
        let names: Vec<&str> = places.iter().map(|&at| keys[at].name.as_str()).collect();
        let (child, parent) = (&self.child.legacy.name, &self.parent.legacy.name);
        let broken = |sqlstate, what: &str, said: &str| {
            let name = &self.key.name;
            self.broken(
                sqlstate,
                &format!(
                    "update or delete on table \"{parent}\" violates {what}foreign key constraint \"{name}\" on table \"{child}\""
                ),
                (&names, image),
                &format!(") is {said} from table \"{child}\"."),
            )
        };
        StillReferred {
            plain: broken("'23503'", "", "still referenced"),
            restricted: (action == Action::Restrict)
                .then(|| broken("'23001'", "RESTRICT setting of ", "referenced")),
        }
    }

    pub fn still_referred(&self, image: &str) -> StillReferred {
        self.still_referred_by(self.key.on_delete, image)
    }

    /// `names`: of the columns whose values those of the image are called.
    fn broken(
        &self,
        sqlstate: &'static str,
        message: &str,
        (names, image): (&[&str], &str),
        behind: &str,
    ) -> Broken {
        let values = self.each(", ", |name| format!("({image}).{name}::text"));
        Broken {
            sqlstate,
            message: quote_literal(message),
            detail: format!(
                "{} || concat_ws(', ', {values}) || {}",
                quote_literal(&format!("Key ({})=(", names.join(", "))),
                quote_literal(behind)
            ),
            constraint: quote_literal(&self.key.name),
            table: quote_literal(&self.child.legacy.name),
            schema: quote_literal(&self.child.legacy.schema),
        }
    }
}
