//! The rows that a MERGE inserts.

use crate::legend::query;
use crate::lens::{LegacyColumn, Lens, quote_ident};
use crate::rewrite::does::one_table::OneTable;
use crate::rewrite::does::one_table::insert::PutValue;
use crate::rewrite::expression::{assigned, first_of_value, is_default, own_put};
use crate::rewrite::says::arms::Parts;
use crate::rewrite::says::given::{part, part_value};
use crate::rewrite::says::merge::RETURNING;
use crate::statement::Refusal;
use crate::text::clauses::merge::MergeAction;
use crate::text::splice::{Output, Source};
use crate::text::tokens::Tokens;

impl<'a> OneTable<'_, '_, 'a> {
    /// The rows of the source that were joined to none of the target, and the inserts of them.
    pub(super) fn not_by_target(
        &self,
        parts: &mut Parts<'_, 'a>,
        source: &Source<'_>,
    ) -> Result<(), Refusal> {
        self.which(parts, source);
        for number in 0..parts.merge.arms.len() {
            let arm = &parts.merge.arms[number];
            let MergeAction::Insert(values) = &arm.action else {
                continue;
            };
            let given = self.insert_values(arm, values.as_deref())?;
            let insert = self.insert_action(parts, source, (number, &given))?;
            let name = format!("{}{number}", query::INS);
            parts.composer.query(&name, insert);
            parts.written.push(parts.composer.name(&name));
        }
        Ok(())
    }

    fn insert_action(
        &self,
        parts: &Parts<'_, 'a>,
        source: &Source<'_>,
        (number, given): (usize, &[(&LegacyColumn, Tokens<'a>)]),
    ) -> Result<Output, Refusal> {
        let tree = parts.merge.arms[number].tree;
        for value in tree.list("values") {
            self.no_row(value)?;
        }
        let named = tree.list("target_list");
        let (columns, places) = (self.columns_named(named)?, self.places(named)?);
        let puts = self.puts(source, &columns, &places);
        let mut insert = Output::default();
        insert.own(&format!(
            "MERGE INTO {} AS {} USING (SELECT cf_p.cf_number",
            self.lens.unified,
            Lens::ROW
        ));
        let value_of = |column: &LegacyColumn| {
            let mut given = given.iter().zip(&places);
            given.find(|((known, _), place)| known.name == column.name && place.is_whole())
        };
        for column in self.lens.columns.iter() {
            insert.own(", ");
            let value = value_of(column).map(|((_, value), _)| *value);
            assigned(&mut insert, source, value, column);
            insert.own(&format!(" AS {}", quote_ident(&column.name)));
        }
        for (at, ((column, value), place)) in given.iter().zip(&places).enumerate() {
            if !place.is_whole() {
                if is_default(value) {
                    return Err(self.no_default(&named[at]));
                }
                insert.own(", ");
                part_value(&mut insert, source, (value, column, place));
                insert.own(&format!(" AS {}", part(at)));
            }
        }
        insert.own(&format!(
            " FROM {} AS cf_p JOIN {rows} AS cf_s ON cf_s.cf_number = cf_p.cf_number{} \
             WHERE cf_p.cf_do = {number}) AS {image} ON false WHEN NOT MATCHED THEN INSERT (",
            parts.composer.name(query::WHICH),
            parts.joined.items.from("cf_s"),
            rows = parts.composer.name(query::SRC),
            image = Lens::IMAGE,
        ));
        PutValue::list(&mut insert, &puts, |insert, put| {
            insert.append(put.target.clone());
        });
        insert.own(") OVERRIDING SYSTEM VALUE VALUES (");
        PutValue::list(&mut insert, &puts, |insert, put| {
            match put.column.and_then(value_of) {
                Some(((column, given), _)) => {
                    own_put(insert, &put.value, column, first_of_value(given));
                }
                None => _ = insert.own(&put.value),
            }
        });
        insert.own(&format!(
            ") RETURNING {RETURNING}, {}.cf_number, ROW({row}.*)::{} AS cf_row",
            Lens::IMAGE,
            self.lens.unified,
            row = Lens::ROW
        ));
        Ok(insert)
    }
}
