//! Writes of houses and of staff, COPY, and commands.

use super::values::Kind;
use super::{Grammar, Text};

impl Grammar<'_> {
    /// Some of the columns of houses.
    fn some_columns(&mut self) -> Vec<(&'static str, Kind)> {
        let mut left = Kind::OF_HOUSES.to_vec();
        let count = 1 + self.choices.below(3);
        (0..count)
            .map(|_| {
                let at = self.choices.below(left.len());
                left.remove(at)
            })
            .collect()
    }

    fn sets(&mut self, columns: &[(&'static str, Kind)]) -> String {
        let sets: Vec<String> = columns
            .iter()
            .map(|(name, kind)| format!("{name} = {}", self.value(*kind)))
            .collect();
        sets.join(", ")
    }

    pub(super) fn house(&mut self) -> Text {
        let columns = self.some_columns();
        let names: Vec<&str> = columns.iter().map(|column| column.0).collect();
        let names = names.join(", ");
        let one = self.choices.pick(&[2, 4, 5, 21, 61]);
        let returning = self.returning("houses");
        let new = self.new_id();
        let name = match self.choices.chance(8) {
            true => self.value(Kind::Name),
            false => format!("'new {new}'"),
        };
        let sql = match self.choices.below(9) {
            0 | 1 => {
                let values: Vec<String> =
                    columns.iter().map(|column| self.value(column.1)).collect();
                let new = self.constant(Kind::Integer, &new.to_string());
                format!(
                    "INSERT INTO houses (id, name, {names}) VALUES ({new}, {name}, {}){returning}",
                    values.join(", ")
                )
            }
            2 => {
                let rows: Vec<String> = (0..2)
                    .map(|row| {
                        let values: Vec<String> =
                            columns.iter().map(|column| self.value(column.1)).collect();
                        format!(
                            "({}, 'row {new} {row}', {})",
                            new + row * 300,
                            values.join(", ")
                        )
                    })
                    .collect();
                format!(
                    "INSERT INTO houses (id, name, {names}) VALUES {}{returning}",
                    rows.join(", ")
                )
            }
            3 => {
                let values: Vec<String> = columns
                    .iter()
                    .map(|column| match self.choices.chance(40) {
                        true => format!("h.{}", column.0),
                        false => self.fitting(column.1),
                    })
                    .collect();
                format!(
                    "INSERT INTO houses (id, name, {names}) SELECT h.id + 3000, 'c ' || h.id, {} FROM houses AS h WHERE h.id IN (2, 5) ORDER BY h.id{returning}",
                    values.join(", ")
                )
            }
            4 => {
                let target = self.choices.pick(&[
                    "(id)",
                    "(name)",
                    "ON CONSTRAINT houses_name_key",
                    "ON CONSTRAINT houses_pkey",
                ]);
                let sets = self.sets(&columns);
                let filter = self.choices.pick(&[
                    "",
                    " WHERE houses.size < 5",
                    " WHERE excluded.id = houses.id",
                ]);
                let given = if target.contains("name") {
                    new
                } else {
                    i64::from(one)
                };
                format!(
                    "INSERT INTO houses (id, name) VALUES ({given}, 'house {one}') ON CONFLICT {target} DO UPDATE SET {sets}{filter}{returning}"
                )
            }
            5 => {
                let values: Vec<String> =
                    columns.iter().map(|column| self.value(column.1)).collect();
                format!(
                    "UPDATE houses SET ({names}, name) = ROW({}, name) WHERE id = {one}{returning}",
                    values.join(", ")
                )
            }
            6 => {
                let set = self.choices.pick(&[
                    "sold = sold + interval '1 hour', due = sold",
                    "born = born + 1, due = born",
                    "sold = due, born = due::date",
                    "lag = sold - born, size = size + 1",
                    "price = price * 1000",
                    "size = size * 10000",
                    "name = name || ' and more'",
                    "zip = zip || '1'",
                    "born = sold",
                ]);
                self.saw("times converted");
                format!("UPDATE houses SET {set} WHERE id IN ({one}, 6){returning}")
            }
            7 => {
                let sets = self.sets(&columns);
                format!(
                    "UPDATE houses AS x SET {sets} FROM tenants AS t WHERE t.a = x.id AND t.id = 11{}",
                    self.choices
                        .pick(&["", " RETURNING x.id, t.note, x.sold::text"])
                )
            }
            _ => {
                let sets = self.sets(&columns);
                format!("UPDATE houses SET {sets} WHERE id = {one}{returning}")
            }
        };
        self.within(sql)
    }

    pub(super) fn staff(&mut self) -> Text {
        let new = self.new_id();
        let returning = self.returning("staff");
        let first = self.value(Kind::First);
        let pay = self.value(Kind::Pay);
        let last = self.fitting(Kind::Free);
        let sql = match self.choices.below(22) {
            0 => format!(
                "INSERT INTO staff (first, last, pay) VALUES ({first}, {last}, {pay}){returning}"
            ),
            1 => {
                self.saw("identity: DEFAULT");
                format!(
                    "INSERT INTO staff VALUES (DEFAULT, DEFAULT, {first}, {last}, {pay}){returning}"
                )
            }
            2 => {
                self.saw("DEFAULT for a computed column");
                format!(
                    "INSERT INTO staff VALUES (DEFAULT, {new}, {first}, {last}, {pay}, DEFAULT, DEFAULT, 5){returning}"
                )
            }
            3 => {
                self.saw("identity: a value");
                format!("INSERT INTO staff (id, first) VALUES ({new}, {first}){returning}")
            }
            4 | 5 => {
                self.saw("OVERRIDING SYSTEM VALUE");
                format!(
                    "INSERT INTO staff (id, nr, first, pay) OVERRIDING SYSTEM VALUE VALUES ({new}, {new}, {first}, {pay}){returning}"
                )
            }
            6 => {
                self.saw("OVERRIDING USER VALUE");
                format!(
                    "INSERT INTO staff (id, nr, first) OVERRIDING USER VALUE VALUES ({new}, 5, {first}){returning}"
                )
            }
            7 => {
                let how = self.choices.pick(&["SYSTEM", "USER"]);
                self.saw(if how == "USER" {
                    "OVERRIDING USER VALUE"
                } else {
                    "OVERRIDING SYSTEM VALUE"
                });
                format!(
                    "INSERT INTO staff (id, first) OVERRIDING {how} VALUE SELECT t.id + 4000, left(t.note, 10) FROM tenants AS t WHERE t.id < 13 ORDER BY t.id{returning}"
                )
            }
            8 => {
                self.saw("identity: a value");
                format!(
                    "INSERT INTO staff (nr, first, house) VALUES ({new}, {first}, 4){returning}"
                )
            }
            9 => {
                self.saw("a value for a computed column");
                let (column, value) =
                    self.choices
                        .pick(&[("called", "'x'"), ("yearly", "1"), ("called", "NULL")]);
                format!("INSERT INTO staff (first, {column}) VALUES ({first}, {value}){returning}")
            }
            10 => {
                self.saw("identity: DEFAULT");
                format!(
                    "INSERT INTO staff (id, nr, first) VALUES (DEFAULT, DEFAULT, {first}), (DEFAULT, {new}, 'two'){returning}"
                )
            }
            11 => {
                self.saw("identity: a value");
                format!("UPDATE staff SET id = {new} WHERE id = 2{returning}")
            }
            12 => {
                self.saw("identity: DEFAULT");
                let column = self.choices.pick(&["nr", "nr", "nr", "id"]);
                format!("UPDATE staff SET {column} = DEFAULT WHERE id = 3{returning}")
            }
            13 => {
                self.saw("a value for a computed column");
                format!("UPDATE staff SET called = 'x', pay = {pay} WHERE id = 1{returning}")
            }
            14 => {
                self.saw("DEFAULT for a computed column");
                format!(
                    "UPDATE staff SET yearly = DEFAULT, pay = {pay} WHERE id IN (1, 2){returning}"
                )
            }
            15 | 16 => {
                self.saw("what a computed column is made of");
                format!(
                    "UPDATE staff SET first = {first}, last = {last}, pay = {pay} WHERE nr = 102{returning}"
                )
            }
            17 => {
                self.saw("what a computed column is made of");
                format!(
                    "UPDATE staff SET pay = pay * 2, last = called WHERE yearly > 300{returning}"
                )
            }
            18 => {
                self.saw("what a computed column is made of");
                let set = self.choices.pick(&[
                    "last = 'c'",
                    "pay = 2",
                    "last = staff.called || excluded.first",
                ]);
                let by = self
                    .choices
                    .pick(&["(id)", "(nr)", "ON CONSTRAINT staff_nr_key"]);
                format!(
                    "INSERT INTO staff (id, nr, first) OVERRIDING SYSTEM VALUE VALUES (1, 101, {first}) ON CONFLICT {by} DO UPDATE SET {set}{returning}"
                )
            }
            19 => format!(
                "DELETE FROM staff WHERE called = 'First 2 Last' OR yearly < 200{returning}"
            ),
            20 => {
                let house = self.choices.pick(&["11", "777", "NULL", "5"]);
                if house == "777" {
                    self.saw("a row that refers to nothing");
                }
                format!("UPDATE staff SET house = {house} WHERE id IN (1, 4){returning}")
            }
            _ => format!(
                "UPDATE staff SET nr = {} WHERE id = 5{returning}",
                self.choices.pick(&["101", "4000000000", "900", "nr + 50"])
            ),
        };
        self.within(sql)
    }

    pub(super) fn copy_in(&mut self) -> Text {
        if self.parametrised {
            return self.staff();
        }
        let new = self.new_id();
        let first = self
            .choices
            .pick(&["copied", "copied", "far too long", "é"]);
        if first.contains("long") {
            self.saw("no room: varchar in text");
        }
        let with = "COPY FROM with columns";
        let (sql, rows, construct) = match self.choices.below(8) {
            0 => (
                "COPY staff FROM STDIN",
                format!("{new}\t{new}\t{first}\tlast\t1.5\t5\n"),
                "COPY FROM without columns",
            ),
            1 => (
                "COPY staff (first, pay) FROM STDIN",
                format!("{first}\t2.005\nsecond\t\\N\n"),
                with,
            ),
            2 => (
                "COPY staff (id, first) FROM STDIN (FORMAT csv)",
                format!("{new},{first}\n{},second\n", new + 300),
                with,
            ),
            3 => (
                "COPY staff (first, called) FROM STDIN",
                format!("{first}\tx\n"),
                with,
            ),
            4 => (
                "COPY tenants FROM STDIN",
                format!(
                    "{new}\tnote\t5\t\\N\t1\t\\N\t\\N\t{}\t\\N\t\\N\n",
                    self.choices.pick(&["5", "777"])
                ),
                "COPY FROM without columns",
            ),
            5 => (
                "COPY tenants (note, a) FROM STDIN",
                format!("{first}\t5\nnote\t777\n"),
                with,
            ),
            6 => (
                "COPY houses FROM STDIN",
                format!(
                    "{new}\t{first}\t123\t9.999\t3\t2024-07-01 12:00:00\t01/02/2003 04:05\t01/02/2003\t1 day\n"
                ),
                "COPY FROM without columns",
            ),
            _ => (
                "COPY houses (id, name, due, born) FROM STDIN (FORMAT csv)",
                format!(
                    "{new},{first},2024-07-01 12:00:00.6+02,{}\n",
                    self.choices
                        .pick(&["2024-02-29", "2024-02-30", "05/06/2007"])
                ),
                with,
            ),
        };
        self.saw(construct);
        Text {
            sql: sql.to_owned(),
            ordered: false,
            data: Some(rows),
        }
    }

    pub(super) fn copy_out(&mut self) -> Text {
        if self.parametrised {
            return self.read();
        }
        let (sql, construct) = self.choices.pick(&[
            ("COPY houses TO STDOUT", "COPY TO without columns"),
            (
                "COPY staff TO STDOUT (FORMAT csv, HEADER)",
                "COPY TO without columns",
            ),
            ("COPY tenants TO STDOUT", "COPY TO without columns"),
            (
                "COPY staff (id, first, pay) TO STDOUT",
                "COPY TO with columns",
            ),
            ("COPY staff (called) TO STDOUT", "COPY TO with columns"),
            (
                "COPY houses (sold, due, born, lag) TO STDOUT",
                "COPY TO with columns",
            ),
            (
                "COPY (SELECT id, sold, due, born, lag, price FROM houses ORDER BY id) TO STDOUT",
                "COPY of a query TO",
            ),
        ]);
        self.saw(construct);
        Text::from(sql.to_owned())
    }

    pub(super) fn merge(&mut self) -> Text {
        if self.choices.server < 17 {
            return self.refer();
        }
        self.saw("MERGE");
        let price = self.value(Kind::Price);
        let action = match self.choices.below(4) {
            0 => "DELETE".to_owned(),
            1 => format!("UPDATE SET price = {price}, name = 'm ' || v.n"),
            2 => "DO NOTHING".to_owned(),
            _ => "UPDATE SET sold = h.sold + interval '1 hour', born = h.due".to_owned(),
        };
        let new = self.new_id();
        let to = self.choices.pick(&["5", "11", "21", "41", "61"]);
        Text::from(format!(
            "MERGE INTO houses AS h USING (VALUES ({to}, 'x'), ({new}, 'new {new}')) AS v (i, n) ON v.i = h.id \
             WHEN MATCHED THEN {action} WHEN NOT MATCHED THEN INSERT (id, name, price) VALUES (v.i, v.n, 7){}",
            self.choices
                .pick(&["", " RETURNING h.id, v.n", " RETURNING merge_action(), h.*"])
        ))
    }

    pub(super) fn command(&mut self) -> Text {
        let sql = match self.choices.below(7) {
            0 => {
                self.saw("TRUNCATE");
                self.choices.pick(&[
                    "TRUNCATE staff",
                    "TRUNCATE staff, tenants, keys",
                    "TRUNCATE houses",
                    "TRUNCATE ONLY staff",
                ])
            }
            1 => {
                self.saw("LOCK TABLE");
                if self.parametrised {
                    "SELECT count(*) FROM staff"
                } else {
                    "BEGIN; LOCK TABLE houses IN ROW EXCLUSIVE MODE; COMMIT"
                }
            }
            2 | 3 => {
                self.saw("FOR UPDATE");
                self.choices.pick(&[
                    "SELECT id, name FROM houses WHERE id IN (2, 11) FOR UPDATE",
                    "SELECT * FROM staff WHERE nr = 101 FOR NO KEY UPDATE",
                    "SELECT id, note FROM tenants WHERE a = 11 FOR SHARE",
                    "SELECT h.id, t.id FROM houses AS h JOIN tenants AS t ON t.a = h.id WHERE h.id = 12 FOR UPDATE OF t",
                    "SELECT id FROM houses WHERE id = 5 FOR KEY SHARE NOWAIT",
                ])
            }
            4 => {
                self.saw("write of a neighbour");
                self.choices.pick(&[
                    "INSERT INTO keys (id, a) SELECT 50, h.id FROM houses AS h WHERE h.id = 7",
                    "UPDATE keys SET e = 777 WHERE id = 3",
                    "UPDATE keys SET note = h.name FROM houses AS h WHERE h.id = keys.a",
                    "DELETE FROM keys USING tenants AS t WHERE t.id = keys.t",
                    "UPDATE keys SET t = (SELECT max(t.id) FROM tenants AS t) WHERE id = 4 RETURNING t",
                    "INSERT INTO keys (id, t) VALUES (51, 777)",
                ])
            }
            _ => {
                self.saw("no key to a DELETE");
                self.choices.pick(&[
                    "DELETE FROM staff",
                    "UPDATE staff SET pay = pay + 1",
                    "UPDATE houses SET lag = lag + interval '1 hour'",
                    "UPDATE tenants SET note = 'all'",
                ])
            }
        };
        Text::from(sql.to_owned())
    }
}
