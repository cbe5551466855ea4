//! Keys that change and rows that go under what refers to them, and what refers.

use super::values::Kind;
use super::{Grammar, Text};

/// Foreign keys of tenants to houses: the column, and what they do when a key changes and when a row goes.
/// Houses of the tens of each are referred to by it alone.
const REFERENCES: [(&str, u32, &str, &str); 7] = [
    ("a", 10, "key change under CASCADE", "delete under CASCADE"),
    (
        "b",
        20,
        "key change under SET NULL",
        "delete under SET NULL",
    ),
    (
        "c",
        30,
        "key change under SET DEFAULT",
        "delete under SET DEFAULT",
    ),
    (
        "d",
        40,
        "key change under RESTRICT",
        "delete under RESTRICT",
    ),
    (
        "e",
        50,
        "key change under NO ACTION",
        "delete under NO ACTION",
    ),
    (
        "f",
        60,
        "key change under a deferred key",
        "delete under a deferred key",
    ),
    (
        "g",
        70,
        "key change under SET NULL, deferrable",
        "delete under CASCADE, deferrable",
    ),
];

impl Grammar<'_> {
    /// RETURNING of houses or tenants, or nothing.
    pub(super) fn returning(&mut self, table: &str) -> &'static str {
        match (self.choices.below(6), table) {
            (0..=2, _) => "",
            (3, _) => " RETURNING *",
            (4, "houses") => " RETURNING id, name, price",
            (4, "staff") => " RETURNING id, nr, called, yearly",
            (4, _) => " RETURNING id, note",
            (_, _) => " RETURNING id + 1 AS next",
        }
    }

    /// As it is, or inside of a WITH.
    pub(super) fn within(&mut self, sql: String) -> Text {
        if sql.contains(" RETURNING ") && self.choices.chance(12) {
            self.saw("write in WITH");
            return Text::from(format!("WITH w AS ({sql}) SELECT * FROM w"));
        }
        Text::from(sql)
    }

    /// Two houses, and what refers to them.
    fn referred(&mut self, changes: bool) -> (u32, u32) {
        match self.choices.below(9) {
            0 => {
                let (one, other) = self.choices.pick(&[(91, 92), (93, 94), (95, 96)]);
                self.saw(match changes {
                    true => "key change under a table that stays",
                    false => "delete under a table that stays",
                });
                (one, other)
            }
            1 => (2, 4),
            at => {
                let (_, tens, change, delete) = REFERENCES[at - 2];
                self.saw(if changes { change } else { delete });
                match self.choices.below(2) {
                    0 => (tens + 1, tens + 2),
                    _ => (tens + 2, tens + 1),
                }
            }
        }
    }

    pub(super) fn key_change(&mut self) -> Text {
        self.saw("key change");
        if self.choices.chance(18) {
            return self.tenant_key_change();
        }
        let (one, other) = self.referred(true);
        let new = match self.choices.below(20) {
            18 => "2".to_owned(),
            19 => {
                self.saw("no room: integer in bigint");
                "4000000000".to_owned()
            }
            _ => self.new_id().to_string(),
        };
        let returning = self.returning("houses");
        let new_key = self.constant(Kind::Integer, &new);
        let sql = match self.choices.below(10) {
            0..=2 => format!("UPDATE houses SET id = {new_key} WHERE id = {one}{returning}"),
            3 => {
                format!("UPDATE houses SET id = id + 1000 WHERE id IN ({one}, {other}){returning}")
            }
            4 => format!(
                "UPDATE houses AS h SET id = v.n FROM (VALUES ({one}, {new})) AS v (o, n) WHERE h.id = v.o RETURNING h.id, v.o"
            ),
            5 => {
                let price = self.value(Kind::Price);
                format!(
                    "UPDATE houses SET (id, price) = ({new_key}, {price}) WHERE name = 'house {one}'{returning}"
                )
            }
            6 => format!(
                "UPDATE houses SET id = CASE id WHEN {one} THEN {new} ELSE {new} + 500 END WHERE id IN ({one}, {other}){returning}"
            ),
            7 => format!("UPDATE houses SET id = id, name = name WHERE id = {one}{returning}"),
            8 => format!(
                "UPDATE houses SET id = (SELECT max(t.id) + 1000 FROM tenants AS t), size = 3 WHERE id = {one}{returning}"
            ),
            _ => format!(
                "UPDATE houses SET name = 'moved ' || id, id = -id WHERE id = {one}{returning}"
            ),
        };
        self.within(sql)
    }

    fn tenant_key_change(&mut self) -> Text {
        let new = self.new_id();
        let returning = self.returning("tenants");
        let sql = match self.choices.below(5) {
            0 => {
                self.saw("key change under its own table");
                let one = self.choices.pick(&[81, 82, 83, 84]);
                format!("UPDATE tenants SET id = {new} WHERE id = {one}{returning}")
            }
            1 => {
                self.saw("key change under its own table");
                format!("UPDATE tenants SET id = id + 1000 WHERE id IN (81, 82, 83){returning}")
            }
            2 => {
                self.saw("key change under a table that stays");
                format!("UPDATE tenants SET id = {new}, note = 'moved' WHERE id IN (91){returning}")
            }
            3 => format!("UPDATE tenants SET id = {new} WHERE a = 11 AND id = 12{returning}"),
            _ => {
                self.saw("identity: DEFAULT");
                format!("UPDATE tenants SET id = DEFAULT WHERE id = 13{returning}")
            }
        };
        self.within(sql)
    }

    pub(super) fn remove(&mut self) -> Text {
        self.saw("DELETE");
        if self.choices.chance(22) {
            return self.remove_tenant();
        }
        let (one, other) = self.referred(false);
        let returning = self.returning("houses");
        let sql = match self.choices.below(6) {
            0 | 1 => {
                let key = self.constant(Kind::Integer, &one.to_string());
                format!("DELETE FROM houses WHERE id = {key}{returning}")
            }
            2 => format!("DELETE FROM houses WHERE id IN ({one}, {other}){returning}"),
            3 => format!("DELETE FROM houses AS h WHERE h.name = 'house {one}'{returning}"),
            4 => format!(
                "DELETE FROM houses AS h USING (VALUES ({one}, 'x'), ({other}, 'y')) AS v (i, t) WHERE v.i = h.id RETURNING h.id, v.t"
            ),
            _ => format!(
                "DELETE FROM houses WHERE id = {one} AND EXISTS (SELECT FROM tenants AS t WHERE houses.id IN (t.a, t.b, t.c, t.d)){returning}"
            ),
        };
        self.within(sql)
    }

    fn remove_tenant(&mut self) -> Text {
        let returning = self.returning("tenants");
        let sql = match self.choices.below(5) {
            0 => {
                self.saw("delete under its own table");
                format!("DELETE FROM tenants WHERE id = 81{returning}")
            }
            1 => {
                self.saw("delete under its own table");
                format!("DELETE FROM tenants WHERE id IN (82, 84){returning}")
            }
            2 => {
                self.saw("delete under a table that stays");
                format!("DELETE FROM tenants WHERE id = 91{returning}")
            }
            3 => format!("DELETE FROM tenants WHERE d IN (41, 42){returning}"),
            _ => format!(
                "DELETE FROM tenants AS t USING houses AS x WHERE x.id IN (t.a, t.e) AND x.id < 60{}",
                self.choices.pick(&["", " RETURNING t.id, x.name"])
            ),
        };
        self.within(sql)
    }

    /// Tenants that refer to houses, and to each other.
    pub(super) fn refer(&mut self) -> Text {
        let (column, tens, ..) = self.choices.pick(&REFERENCES);
        let to = match self.choices.below(8) {
            6 => {
                self.saw("a row that refers to nothing");
                "777".to_owned()
            }
            7 => "NULL".to_owned(),
            at => {
                self.saw("a row that refers");
                let own = (tens + 1).to_string();
                ["5", "7", own.as_str(), "91", "200", "210"][at].to_owned()
            }
        };
        let to = match to.as_str() {
            "NULL" => to,
            known => self.constant(Kind::Integer, known),
        };
        let new = self.new_id();
        let returning = self.returning("tenants");
        let note = self
            .choices
            .pick(&["'note'", "NULL", "'x' || 1", "'longer than ten'"]);
        if note.contains("longer") {
            self.saw("no room: varchar in text");
        }
        let sql = match self.choices.below(10) {
            0 => format!("INSERT INTO tenants ({column}) VALUES ({to}){returning}"),
            1 => format!(
                "INSERT INTO tenants (id, note, {column}) VALUES ({new}, {note}, {to}){returning}"
            ),
            2 => {
                self.saw("identity: DEFAULT");
                format!(
                    "INSERT INTO tenants (id, {column}, h) VALUES (DEFAULT, {to}, 81), (DEFAULT, NULL, NULL){returning}"
                )
            }
            3 => format!(
                "INSERT INTO tenants (id, {column}) VALUES ({}, {to}) ON CONFLICT (id) DO UPDATE SET {column} = excluded.{column}{returning}",
                tens + 1
            ),
            4 => format!(
                "INSERT INTO tenants (id, {column}) VALUES ({}, {to}) ON CONFLICT DO NOTHING{returning}",
                tens + 2
            ),
            5 => {
                // The later row refers to the earlier one, and that to itself.
                format!(
                    "INSERT INTO tenants (id, h) VALUES ({new}, {new}), ({}, {new}){returning}",
                    new + 500
                )
            }
            6 => format!(
                "UPDATE tenants SET {column} = {to} WHERE id IN ({}, {}){returning}",
                tens + 1,
                tens + 3
            ),
            7 => format!(
                "UPDATE tenants SET note = {note}, {column} = {to} WHERE id = {}{returning}",
                tens + 2
            ),
            8 => {
                let h = self.choices.pick(&["83", "84", "888", "h", "NULL"]);
                format!("UPDATE tenants AS t SET h = {h} WHERE t.id IN (81, 83){returning}")
            }
            _ => format!(
                "INSERT INTO tenants (id, note, {column}) SELECT h.id + 2000, left(h.name, 10), h.id FROM houses AS h WHERE h.id < 4 ORDER BY h.id{returning}"
            ),
        };
        self.within(sql)
    }
}
