//! The foreign keys between two legacy tables, once unified leads and no index of their own watches over them.
//!
//! ```text
//! keys                        a row for each reference that is still to be looked at in its transaction; the
//!                             trigger that does so is as deferred as the foreign key, and takes the row away
//! key_N()                     that trigger's function: whether the row that refers has one to refer to
//! refers(olds, images …)      the rows of images, which the statement has written
//! said(image)                 what a row refers to, as long as there is nothing to refer to
//! left_N(image, mirror)       of a table that is referred to: who refers to a row that is to go
//! gone_N(images …)            these, to be looked at when it has gone
//! came_N(image)               who waits for a row that has come
//! settle_N, carry_N(images …) what an action does to those that referred to rows which have gone or moved, once
//!                             unified leads and before (`owner`)
//! ```
//!
//! It is how PostgreSQL's own foreign keys go. What is referred to is locked FOR KEY SHARE when it is looked at,
//! by every look-up the newest rows are found, and whoever removes it looks for those that refer to it when it
//! has its lock: so of two that meet one waits, and finds what the other did. At REPEATABLE READ the latter cannot
//! find them; while legacy follows, its own foreign key does, and after that it is refused.
//!
//! A row may come before what it refers to. Some lenses cannot put it before that (a membership of nobody): it
//! waits in `keys`, and is put when the other comes.

mod acts;
mod owner;

use super::Functions;
use crate::lens::Written;
use crate::lens::guarded::Guarded;
use crate::lens::{
    Action, Callers, ForeignKey, Function, LegacyColumn, Lens, Referrer, quote_ident, quote_literal,
};

impl Functions<'_> {
    /// The foreign keys that lenses see to, with their numbers.
    fn held(&self) -> impl Iterator<Item = (usize, &ForeignKey, &Lens)> {
        let keys = (1..).zip(&self.written.foreign_keys);
        keys.filter_map(|(number, key)| Some((number, key, key.holder.as_deref()?)))
    }

    pub(super) fn holds_keys(&self) -> bool {
        self.held().next().is_some()
    }

    pub(super) fn reference_functions(&self) -> Vec<Function> {
        let mut all = Vec::new();
        if self.holds_keys() {
            all.extend(self.held().map(|(number, key, _)| self.looks(number, key)));
            all.extend([self.refers(), self.said()]);
        }
        for referrer in &self.written.referrers {
            all.extend([
                self.left(referrer),
                self.came(referrer),
                self.gone(referrer),
            ]);
            all.extend(self.action_functions(referrer));
        }
        all
    }

    /// One with its owner's rights: as PostgreSQL's own foreign keys, it sees rows that the client may not.
    fn guarded(&self, name: String, head: &str, declare: &str, body: &str) -> Function {
        let function = self.function(name, head, declare, body);
        let ddl = function.ddl.replacen(
            "LANGUAGE plpgsql VOLATILE AS",
            "LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS",
            1,
        );
        Function { ddl, ..function }
    }

    /// The table of what is to be looked at, created unless it is there. No transaction leaves a row in it.
    fn keys_ddl(&self) -> String {
        format!(
            "{image}CREATE TABLE IF NOT EXISTS {keys} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
             number integer NOT NULL, key jsonb NOT NULL, image {row} NOT NULL, waits boolean NOT NULL, \
             gone boolean NOT NULL, recorded boolean NOT NULL);\n\
             CREATE INDEX IF NOT EXISTS {index} ON {keys} (key);\n",
            image = self.image_ddl(),
            keys = keys(self.lens),
            index = keys(self.lens)
                .replacen("crossfade.", "", 1)
                .replacen("keys_", "by_key_", 1),
            row = self.row,
        )
    }

    /// The trigger of a foreign key, and its function.
    fn looks(&self, number: usize, key: &ForeignKey) -> Function {
        let name = self.lens.reference_name(number);
        let holder = key.holder.as_deref().unwrap_or(self.lens);
        let columns = columns_of(self.lens, key);
        let same: Vec<String> = columns
            .iter()
            .map(|c| quote_ident(&c.name))
            .map(|c| format!("cf_now.{c} IS NOT DISTINCT FROM cf_image.{c}"))
            .collect();
        let body = format!(
            "  DELETE FROM {keys} AS cf_k WHERE cf_k.id = NEW.id RETURNING cf_k.waits INTO cf_waits;\n\
             \x20 IF NOT FOUND THEN RETURN NULL; END IF;\n\
             \x20 IF NOT cf_waits THEN\n    {read} INTO cf_now;\n\
             \x20   IF NOT FOUND THEN RETURN NULL; END IF;\n  END IF;\n\
             \x20 {lock};\n\
             \x20 IF FOUND THEN\n\
             \x20   IF NOT cf_waits AND {same} THEN RETURN NULL; END IF;\n\
             \x20   IF NOT NEW.gone AND NOT NEW.recorded THEN\n\
             \x20     RAISE EXCEPTION USING ERRCODE = '40001',\n\
             \x20       MESSAGE = 'could not serialize access due to concurrent update',\n\
             \x20       HINT = 'What this row refers to came meanwhile; run the transaction again.';\n    END IF;\n\
             \x20 END IF;\n\
             \x20 IF NEW.recorded THEN\n    PERFORM {record};\n    RETURN NULL;\n  END IF;\n\
             \x20 IF NEW.gone THEN\n{referred}  END IF;\n{absent}",
            keys = keys(self.lens),
            read = self.lens.read_of(self.written, "cf_image"),
            lock = lock_parent(self.lens, key, holder, "cf_image"),
            same = same.join(" AND "),
            record = self.lens.call_guarded(
                Guarded::Record,
                &format!(
                    "cf_image, {}, '23503'",
                    quote_literal(&format!("violates foreign key constraint \"{}\"", key.name))
                )
            ),
            referred = still_referred(self.lens, key, holder, key.on_delete, "cf_image"),
            absent = self.absent(key, holder),
        );
        let function = self.guarded(
            name.clone(),
            "() RETURNS trigger",
            &format!(
                "  cf_image {row} := NEW.image;\n  cf_now {row};\n  cf_waits boolean;\n",
                row = self.row
            ),
            &body,
        );
        let trigger = name.replacen("crossfade.", "", 1);
        let ddl = format!(
            "{}{};\nDROP TRIGGER IF EXISTS {trigger} ON {keys};\n\
             CREATE CONSTRAINT TRIGGER {trigger} AFTER INSERT ON {keys} {deferral} FOR EACH ROW\n\
             \x20 WHEN (NEW.number = {number}) EXECUTE FUNCTION {name}()",
            self.keys_ddl(),
            function.ddl,
            keys = keys(self.lens),
            deferral = key.deferral.sql(),
        );
        Function {
            name,
            ddl,
            callers: Callers::Nobody,
        }
    }

    /// There is nothing that the row refers to, in PostgreSQL's words.
    fn absent(&self, key: &ForeignKey, holder: &Lens) -> String {
        let columns = columns_of(self.lens, key);
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        raise(
            self.lens,
            key,
            "23503",
            &format!(
                "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
                self.lens.legacy.name, key.name
            ),
            &format!(
                "{} || {} || {}",
                quote_literal(&format!("Key ({})=(", names.join(", "))),
                values(&columns, "cf_image"),
                quote_literal(&format!(
                    ") is not present in table \"{}\".",
                    holder.legacy.name
                ))
            ),
        )
    }

    /// Of rows that were written the references that are new to them, or that they had without there being
    /// anything. Without old images all are new. Of a row under another key what it refers to is locked: whoever
    /// removes that finds the row under the old one, and nothing by it once this has ended.
    fn refers(&self) -> Function {
        let mut each = String::new();
        for (number, key, holder) in self.held() {
            let columns = columns_of(self.lens, key);
            let of = |image: &str| {
                let all = columns
                    .iter()
                    .map(|c| format!("{image}.{}", quote_ident(&c.name)));
                all.collect::<Vec<_>>()
            };
            let given: Vec<String> = of("cf_new")
                .iter()
                .map(|c| format!("{c} IS NOT NULL"))
                .collect();
            each += &format!(
                "    DELETE FROM {keys} AS cf_k WHERE cf_k.key = cf_key AND cf_k.number = {number} RETURNING cf_k.waits INTO cf_waited;\n\
                 \x20   cf_had := FOUND;\n\
                 \x20   IF (cf_had OR cf_olds IS NULL OR ROW({old})::text IS DISTINCT FROM ROW({new})::text) AND {given} THEN\n\
                 \x20     INSERT INTO {keys} (number, key, image, waits, gone, recorded)\n\
                 \x20       VALUES ({number}, {new_key}, cf_new, cf_waits OR cf_had AND cf_waited, false, cf_record);\n\
                 \x20   ELSIF cf_key <> {new_key} AND {given} THEN\n      {lock};\n\
                 \x20   END IF;\n",
                keys = keys(self.lens),
                old = of("cf_old").join(", "),
                new = of("cf_new").join(", "),
                given = given.join(" AND "),
                new_key = self.lens.key_json("cf_new"),
                lock = lock_parent(self.lens, key, holder, "cf_new"),
            );
        }
        let body = format!(
            "  FOR cf_i IN 1 .. coalesce(cardinality(cf_news), 0) LOOP\n\
             \x20   cf_new := cf_news[cf_i];\n    cf_old := cf_olds[cf_i];\n\
             \x20   cf_key := CASE WHEN cf_olds IS NULL THEN {new} ELSE {old} END;\n{each}  END LOOP;\n  RETURN true;\n",
            new = self.lens.key_json("cf_new"),
            old = self.lens.key_json("cf_old"),
        );
        self.guarded(
            self.lens.named("refers"),
            &format!(
                "(cf_olds {row}[], cf_news {row}[], cf_waits boolean, cf_record boolean) RETURNS boolean",
                row = self.row
            ),
            &format!(
                "  cf_old {row};\n  cf_new {row};\n  cf_key jsonb;\n  cf_had boolean;\n  cf_waited boolean;\n",
                row = self.row
            ),
            &body,
        )
    }

    /// The image, with what it was written to refer to: `read` may not tell that as long as it is not there.
    fn said(&self) -> Function {
        let mut arms = String::new();
        for (number, key, _) in self.held() {
            let sets: String = columns_of(self.lens, key)
                .iter()
                .map(|c| quote_ident(&c.name))
                .map(|c| format!(" cf_image.{c} := (cf_key.image).{c};"))
                .collect();
            arms += &format!("    IF cf_key.number = {number} THEN{sets} END IF;\n");
        }
        let body = format!(
            "  FOR cf_key IN SELECT * FROM {} AS cf_k WHERE cf_k.key = {} LOOP\n{arms}  END LOOP;\n  RETURN cf_image;\n",
            keys(self.lens),
            self.lens.key_json("cf_image"),
        );
        self.guarded(
            self.lens.named("said"),
            &format!("(cf_image {row}) RETURNS {row}", row = self.row),
            "  cf_key record;\n",
            &body,
        )
    }

    /// Who refers to a row of this table, which is about to go or to get another key.
    fn left(&self, referrer: &Referrer) -> Function {
        let (child, written) = child_of(referrer);
        let places = referrer.key.places(self.lens).unwrap_or_default();
        let keys = self.lens.legacy_key();
        let conditions: Vec<String> = referrer
            .key
            .columns
            .iter()
            .zip(places)
            .map(|(&column, at)| {
                format!(
                    "({})::{} = (cf_image).{}",
                    written.query.columns[column], child.columns[column].sql_type, keys[at]
                )
            })
            .collect();
        let said = format!(
            "at REPEATABLE READ nothing can tell whether foreign key \"{}\" of {} holds",
            referrer.key.name, child.legacy.name
        );
        let body = format!(
            "  IF cf_mirror THEN\n    IF to_regclass({legacy}) IS NOT NULL THEN {lock}; END IF;\n\
             \x20 ELSIF current_setting('transaction_isolation') = 'repeatable read' THEN\n\
             \x20   RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = {said},\n      HINT = {hint};\n  END IF;\n\
             \x20 FOR cf_child IN {read} LOOP\n    cf_left := cf_left || cf_child;\n  END LOOP;\n  RETURN cf_left;\n",
            legacy = quote_literal(&child.legacy.sql()),
            lock = self.lock_children(referrer),
            said = quote_literal(&said),
            hint = quote_literal(
                "No constraint of unified stands for it in [table.constraints]. Use READ COMMITTED or SERIALIZABLE."
            ),
            read = child.read_written(written, &conditions),
        );
        self.guarded(
            self.lens.named(&format!("left_{}", self.number(referrer))),
            &format!(
                "(cf_image {row}, cf_mirror boolean) RETURNS {of}[]",
                row = self.row,
                of = child.image_type()
            ),
            &format!(
                "  cf_child {of};\n  cf_left {of}[] := '{{}}';\n",
                of = child.image_type()
            ),
            &body,
        )
        .after(&image_ddl_of(child, written))
    }

    /// Locks the legacy rows that refer to `cf_image`, as legacy's own foreign key is about to: whoever writes one of
    /// them is waited for, and what unified has of it is read behind that.
    fn lock_children(&self, referrer: &Referrer) -> String {
        let (child, key) = (&referrer.child, &referrer.key);
        let strength = match (key.on_delete, key.on_update) {
            (Action::Cascade, _) => "UPDATE",
            (Action::SetNull | Action::SetDefault, _)
            | (_, Action::Cascade | Action::SetNull | Action::SetDefault) => "NO KEY UPDATE",
            (Action::Nothing | Action::Restrict, Action::Nothing | Action::Restrict) => "KEY SHARE",
        };
        let keys = self.lens.legacy_key();
        let places = key.places(self.lens).unwrap_or_default();
        let refers: Vec<String> = columns_of(child, key)
            .iter()
            .zip(places)
            .map(|(column, at)| {
                format!(
                    "cf_t.{} = (cf_image).{}",
                    quote_ident(&column.name),
                    keys[at]
                )
            })
            .collect();
        let order = child.keys_of("cf_t");
        format!(
            "PERFORM 1 FROM {} AS cf_t WHERE {} ORDER BY {} FOR {strength}",
            child.legacy,
            refers.join(" AND "),
            order.join(", ")
        )
    }

    /// Those of `left`, when the row has gone: to be looked at when the foreign key says, but for those that have gone
    /// with it. One that its lens cannot show without it waits for another of its key.
    fn gone(&self, referrer: &Referrer) -> Function {
        let (child, written) = child_of(referrer);
        let mut body = String::new();
        if child.legacy == self.lens.legacy {
            let same = child.same_key("cf_d", "(cf_child)");
            body += &format!(
                "    CONTINUE WHEN EXISTS (SELECT FROM unnest(cf_with) AS cf_d WHERE {});\n",
                same
            );
        }
        for (action, what) in [
            (referrer.key.on_delete, "NOT cf_moved"),
            (referrer.key.on_update, "cf_moved"),
        ] {
            if action == Action::Restrict {
                let refuse = still_referred(child, &referrer.key, self.lens, action, "cf_child");
                body += &format!("    IF {what} THEN\n{refuse}    END IF;\n");
            }
        }
        let body = format!(
            "  FOREACH cf_child IN ARRAY coalesce(cf_children, '{{}}') LOOP\n{body}\
             \x20   DELETE FROM {keys} AS cf_k WHERE cf_k.key = {key} AND cf_k.number = {number};\n\
             \x20   INSERT INTO {keys} (number, key, image, waits, gone, recorded)\n\
             \x20     VALUES ({number}, {key}, cf_child, NOT EXISTS (SELECT 1 FROM ({read}) AS cf_r), true, false);\n\
             \x20 END LOOP;\n  RETURN true;\n",
            keys = keys(child),
            number = referrer.number,
            key = child.key_json("cf_child"),
            read = child.read_of(written, "cf_child"),
        );
        self.guarded(
            self.lens.named(&format!("gone_{}", self.number(referrer))),
            &format!(
                "(cf_children {}[], cf_with {}[], cf_moved boolean) RETURNS boolean",
                child.image_type(),
                self.row
            ),
            &format!("  cf_child {};\n", child.image_type()),
            &body,
        )
    }

    /// Who waits for a row of this table, and whom it came too late for: they are to be put now.
    fn came(&self, referrer: &Referrer) -> Function {
        let (child, written) = child_of(referrer);
        let places = referrer.key.places(self.lens).unwrap_or_default();
        let own = self.lens.legacy_key();
        let columns: Vec<String> = columns_of(child, &referrer.key)
            .iter()
            .map(|column| quote_ident(&column.name))
            .collect();
        let refers: Vec<String> = columns
            .iter()
            .zip(places)
            .map(|(column, at)| format!("(cf_k.image).{column} = (cf_image).{}", own[at]))
            .collect();
        let same: Vec<String> = columns
            .iter()
            .map(|c| format!("cf_now.{c} IS NOT DISTINCT FROM cf_child.{c}"))
            .collect();
        let sets: String = columns
            .iter()
            .map(|c| format!(" cf_now.{c} := cf_child.{c};"))
            .collect();
        let body = format!(
            "  FOR cf_child IN SELECT (cf_k.image).* FROM {keys} AS cf_k WHERE cf_k.number = {number} AND {refers} LOOP\n\
             \x20   {read} INTO cf_now;\n\
             \x20   IF FOUND THEN\n      CONTINUE WHEN {same};\n     {sets}\n    ELSE\n      cf_now := cf_child;\n    END IF;\n\
             \x20   UPDATE {keys} AS cf_k SET waits = false WHERE cf_k.number = {number} AND cf_k.key = {key};\n\
             \x20   cf_came := cf_came || cf_now;\n  END LOOP;\n  RETURN cf_came;\n",
            keys = keys(child),
            number = referrer.number,
            refers = refers.join(" AND "),
            read = child.read_of(written, "cf_child"),
            same = same.join(" AND "),
            key = child.key_json("cf_child"),
        );
        self.guarded(
            self.lens.named(&format!("came_{}", self.number(referrer))),
            &format!("(cf_image {}) RETURNS {}[]", self.row, child.image_type()),
            &format!(
                "  cf_child {row};\n  cf_now {row};\n  cf_came {row}[] := '{{}}';\n",
                row = child.image_type()
            ),
            &body,
        )
    }

    fn number(&self, referrer: &Referrer) -> usize {
        let mut all = self.written.referrers.iter();
        1 + all
            .position(|other| std::ptr::eq(other, referrer))
            .unwrap_or_default()
    }
}

/// The table of what is to be looked at.
fn keys(lens: &Lens) -> String {
    lens.named("keys")
}

fn child_of(referrer: &Referrer) -> (&Lens, &Written) {
    let written = referrer.child.steps();
    (
        &referrer.child,
        written.expect("only a written lens has foreign keys"),
    )
}

fn image_ddl_of(child: &Lens, written: &Written) -> String {
    let f = Functions {
        lens: child,
        written,
        row: child.image_type(),
    };
    f.keys_ddl()
}

fn columns_of<'l>(lens: &'l Lens, key: &ForeignKey) -> Vec<&'l LegacyColumn> {
    key.columns.iter().map(|&at| &lens.columns[at]).collect()
}

/// As PostgreSQL tells a key's values.
fn values(columns: &[&LegacyColumn], image: &str) -> String {
    let all: Vec<String> = columns
        .iter()
        .map(|c| format!("({image}).{}::text", quote_ident(&c.name)))
        .collect();
    format!("concat_ws(', ', {})", all.join(", "))
}

/// Finds and locks what an image refers to, as PostgreSQL's own foreign keys do.
fn lock_parent(lens: &Lens, key: &ForeignKey, holder: &Lens, image: &str) -> String {
    let Some(written) = holder.steps() else {
        return "PERFORM 1".to_owned();
    };
    let places = key.places(holder).unwrap_or_default();
    let mut conditions: Vec<String> = columns_of(lens, key)
        .iter()
        .zip(places)
        .map(|(column, at)| {
            format!(
                "{} = ({image}).{}",
                written.query.key[at],
                quote_ident(&column.name)
            )
        })
        .collect();
    conditions.extend(written.query.condition.iter().map(|c| format!("({c})")));
    let ours = |table| written.tables.contains(table) || written.crosswalk.contains(table);
    let inner: Vec<String> = written
        .query
        .parts
        .iter()
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

/// Something refers to what has gone. RESTRICT says so in its own words since PostgreSQL 18.
fn still_referred(
    child: &Lens,
    key: &ForeignKey,
    parent: &Lens,
    action: Action,
    image: &str,
) -> String {
    let columns = columns_of(child, key);
    let places = key.places(parent).unwrap_or_default();
    let keys: Vec<&LegacyColumn> = parent.key_columns().collect();
    let names: Vec<&str> = places.iter().map(|&at| keys[at].name.as_str()).collect();
    let detail = |said: &str| {
        format!(
            "{} || {} || {}",
            quote_literal(&format!("Key ({})=(", names.join(", "))),
            values(&columns, image),
            quote_literal(&format!(
                ") is {said} from table \"{}\".",
                child.legacy.name
            ))
        )
    };
    let said = |what: &str| {
        format!(
            "update or delete on table \"{}\" violates {what}foreign key constraint \"{}\" on table \"{}\"",
            parent.legacy.name, key.name, child.legacy.name
        )
    };
    let plain = raise(child, key, "23503", &said(""), &detail("still referenced"));
    if action != Action::Restrict {
        return plain;
    }
    let own = raise(
        child,
        key,
        "23001",
        &said("RESTRICT setting of "),
        &detail("referenced"),
    );
    format!("IF current_setting('server_version_num')::int >= 180000 THEN\n{own}  END IF;\n{plain}")
}

fn raise(child: &Lens, key: &ForeignKey, sqlstate: &str, message: &str, detail: &str) -> String {
    format!(
        "    RAISE EXCEPTION USING ERRCODE = '{sqlstate}', MESSAGE = {},\n      DETAIL = {detail},\n\
         \x20     CONSTRAINT = {}, TABLE = {}, SCHEMA = {};\n",
        quote_literal(message),
        quote_literal(&key.name),
        quote_literal(&child.legacy.name),
        quote_literal(&child.legacy.schema),
    )
}

impl Function {
    /// With DDL that goes before it.
    fn after(self, ddl: &str) -> Function {
        Function {
            ddl: format!("{ddl}{}", self.ddl),
            ..self
        }
    }
}
