//! The foreign keys that a lens declares: each needs something that stands for it.

use toml::Spanned;

use super::Reader;
use super::shape::Shape;
use crate::lens::{ForeignKey, Lens, TableName};
use crate::rule_file::TablePart;

impl Reader<'_> {
    pub(super) fn foreign_keys(&mut self, part: &TablePart, shape: &Shape) -> Vec<ForeignKey> {
        let mut keys: Vec<ForeignKey> = Vec::new();
        for (name, says) in &shape.references {
            if keys.iter().any(|known| known.name == *name.get_ref()) {
                let message = format!("the foreign key `{}` is declared twice", name.get_ref());
                self.error(&name.span(), &message);
            }
            let mut columns = Vec::new();
            for column in &says.columns {
                match shape.names().iter().position(|name| name == column) {
                    Some(place) => columns.push(place),
                    None => {
                        let message = format!("`{column}` is not among `columns`");
                        self.error(&name.span(), &message);
                    }
                }
            }
            let parent = match says.table.as_slice() {
                [schema, table] => (schema.clone(), table.clone()),
                [table] => {
                    // As the legacy table's own DDL would find it: beside it.
                    let legacy = part.legacy.as_ref().map(Spanned::get_ref);
                    let schema = legacy.and_then(|name| crate::rule_sql::table_name(name));
                    let schema = schema.map_or_else(|| "public".to_owned(), |table| table.schema);
                    (schema, table.clone())
                }
                other => {
                    let message = format!("found `{}`; expected schema.table", other.join("."));
                    self.error(&name.span(), &message);
                    continue;
                }
            };
            let mut pairs = part.constraints.0.iter();
            let unified = pairs.find(|(legacy, _)| legacy.get_ref() == name.get_ref());
            keys.push(ForeignKey {
                name: name.get_ref().clone(),
                columns,
                parent: TableName {
                    schema: parent.0,
                    name: parent.1,
                },
                referred: says.referred.clone(),
                on_delete: says.on_delete,
                on_update: says.on_update,
                deferral: says.deferral,
                unified: unified.map(|(_, unified)| unified.get_ref().clone()),
                holder: None,
            });
        }
        keys
    }

    /// Lenses can see to a foreign key between them; to any other one a constraint of unified must.
    pub(super) fn held_somehow(&mut self, part: &TablePart, lens: &Lens, all: &[&Lens]) {
        for key in lens
            .foreign_keys()
            .iter()
            .filter(|key| key.unified.is_none())
        {
            let mut parents = all.iter().filter(|other| other.legacy == key.parent);
            let parent = parents.find(|other| other.sees_to_references());
            let message = match parent {
                Some(parent) if key.places(parent).is_some() => continue,
                Some(parent) => format!(
                    "the foreign key `{}` does not refer to the key of {}; expected the unified constraint that stands \
                     for it in [table.constraints]",
                    key.name, parent.legacy
                ),
                None => format!(
                    "the foreign key `{}` refers to {}, which is no table with a `read` in this file; expected the \
                     unified constraint that stands for it in [table.constraints]",
                    key.name, key.parent
                ),
            };
            self.error(&part.columns.span(), &message);
        }
    }
}
