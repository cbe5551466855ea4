//! Queries: groups by a key, times as a session shows them, and plain ones.

use super::{Grammar, Text, ordered};

/// What joins houses as `h` with what refers to them.
const JOINS: [&str; 5] = [
    "houses AS h LEFT JOIN tenants AS t ON t.a = h.id",
    "houses h JOIN tenants t ON h.id IN (t.a, t.b, t.c, t.d)",
    "tenants t RIGHT JOIN houses h ON h.id = t.e",
    "houses AS h CROSS JOIN LATERAL (SELECT * FROM tenants AS i WHERE i.c = h.id OR i.f = h.id) AS t",
    "houses AS h FULL JOIN tenants AS t ON t.g = h.id",
];

const CONDITIONS: [&str; 6] = [
    "",
    " WHERE h.id < 60",
    " WHERE h.price > 1000 OR t.id IS NULL",
    " WHERE h.zip > '00020'",
    " WHERE EXISTS (SELECT FROM tenants AS x WHERE x.a = h.id OR x.b = h.id)",
    " WHERE h.id IN (11, 12, 21, 31) AND h.name <> 'house 12'",
];

impl Grammar<'_> {
    pub(super) fn read(&mut self) -> Text {
        match self.choices.below(10) {
            0 => self.plain_read(),
            1..=6 => self.grouped(),
            7 => self.compared(),
            _ => self.as_text(),
        }
    }

    fn plain_read(&mut self) -> Text {
        self.saw("SELECT");
        let one = self.constant(super::Kind::Integer, "11");
        let sql = self.choices.pick(&[
            "SELECT * FROM houses ORDER BY id",
            "SELECT * FROM tenants ORDER BY id",
            "SELECT * FROM staff ORDER BY id",
            "SELECT h.*, t.note FROM houses h JOIN tenants t ON t.a = h.id WHERE h.id >= {one} ORDER BY t.id",
            "SELECT id, name, price FROM houses WHERE id = {one}",
            "SELECT id, size + 1, price * 2, zip || '!' FROM houses WHERE id < 40 ORDER BY id",
            "SELECT s.called, s.yearly, h.name FROM staff s LEFT JOIN houses h ON h.id = s.house ORDER BY s.id",
            "SELECT to_jsonb(s) FROM staff AS s ORDER BY id",
            "SELECT k.id, h.name FROM keys k LEFT JOIN houses h ON h.id = k.a ORDER BY k.id",
            "SELECT t.id FROM tenants AS t WHERE t.h IN (SELECT id FROM tenants WHERE note = 'root') ORDER BY 1",
        ]);
        ordered(sql.replace("{one}", &one))
    }

    fn grouped(&mut self) -> Text {
        let from = self.choices.pick(&JOINS);
        let condition = self.choices.pick(&CONDITIONS);
        let item = self.choices.pick(&[
            "h.name",
            "h.name, h.price",
            "h.sold, h.due",
            "h.*",
            "upper(h.name) AS u, h.zip || '-' AS z",
            "CASE WHEN h.size > 3 THEN h.lag END AS l",
            "to_jsonb(h.*) AS j",
            "h.born",
        ]);
        let count = self.choices.pick(&[
            "count(*) AS n",
            "count(t.id) AS n",
            "max(t.note) AS n",
            "bool_or(t.id > 20) AS n",
        ]);
        let full = format!("SELECT {item}, {count} FROM {from}{condition} GROUP BY h.id");
        match self.choices.below(14) {
            0 | 1 => {
                self.saw("GROUP BY a key");
                ordered(format!("{full} ORDER BY h.id"))
            }
            2 => {
                self.saw("GROUP BY a key with HAVING");
                let having = self.choices.pick(&[
                    "count(*) > 1",
                    "h.name <> 'house 11'",
                    "h.price IS NOT NULL AND count(t.id) > 0",
                ]);
                ordered(format!("{full} HAVING {having} ORDER BY h.name, h.id"))
            }
            3 => {
                self.saw("GROUP BY a key of a join");
                ordered(format!(
                    "SELECT {item}, t.note, {count} FROM {from}{condition} GROUP BY t.id, h.id ORDER BY t.id, h.id"
                ))
            }
            4 => {
                self.saw("GROUP BY a key with DISTINCT ON");
                ordered(format!(
                    "SELECT DISTINCT ON (h.size) h.size, h.name, {count} FROM {from}{condition} GROUP BY h.id ORDER BY h.size, h.id"
                ))
            }
            5 => {
                self.saw("GROUP BY a key with a window");
                ordered(format!(
                    "SELECT h.name, {count}, rank() OVER (ORDER BY h.price NULLS FIRST, h.id) AS r FROM {from}{condition} GROUP BY h.id ORDER BY h.id"
                ))
            }
            6 => {
                self.saw("GROUP BY a key in a subquery");
                let inner =
                    format!("SELECT h.id, h.name, {count} FROM {from}{condition} GROUP BY h.id");
                let around = self.choices.pick(&[
                    "SELECT q.name, q.n FROM ({inner}) AS q WHERE q.id < 50 ORDER BY q.id",
                    "WITH q AS ({inner}) SELECT * FROM q ORDER BY 1",
                    "SELECT s.called FROM staff s WHERE s.house IN (SELECT q.id FROM ({inner}) q) ORDER BY s.id",
                    "SELECT s.id, (SELECT max(q.name) FROM ({inner}) q WHERE q.id = s.house) FROM staff s ORDER BY s.id",
                ]);
                ordered(around.replace("{inner}", &inner))
            }
            7 => {
                self.saw("GROUP BY a key in a subquery");
                ordered(
                    "SELECT s.id, s.called, (SELECT count(*) FROM tenants t WHERE t.a = s.house) AS n FROM staff AS s GROUP BY s.id ORDER BY s.id"
                        .to_owned(),
                )
            }
            8 => {
                self.saw("GROUP BY a key of a join");
                let sql = self.choices.pick(&[
                    "SELECT s.called, h.name, count(k.id) FROM staff s JOIN houses h ON h.id = s.house LEFT JOIN keys k ON k.a = h.id GROUP BY s.id, h.id ORDER BY s.id",
                    "SELECT s.called, s.yearly, k.note FROM staff s, keys k WHERE k.id < 3 GROUP BY k.id, s.id ORDER BY s.id, k.id",
                    "SELECT id, name, note, count(*) FROM houses JOIN keys USING (id) GROUP BY id ORDER BY id",
                    "SELECT t.note, u.note AS above, count(*) FROM tenants t JOIN tenants u ON t.h = u.id GROUP BY t.id, u.id ORDER BY t.id",
                    "SELECT x.c1, x.c2, count(*) FROM houses AS x (c1, c2) JOIN tenants t ON t.a = x.c1 GROUP BY x.c1 ORDER BY x.c1",
                ]);
                ordered(sql.to_owned())
            }
            9 => {
                self.saw("GROUP BY what is no key");
                let group = self.choices.pick(&[
                    "h.name",
                    "t.id",
                    "t.a",
                    "h.id + 0",
                    "ROLLUP (h.id)",
                    "GROUPING SETS ((h.id), ())",
                ]);
                ordered(format!(
                    "SELECT h.price, {count} FROM {from}{condition} GROUP BY {group} ORDER BY 1, 2"
                ))
            }
            10 => {
                self.saw("GROUP BY a key");
                let order = self.choices.pick(&[
                    "h.price, h.id",
                    "count(*), h.id",
                    "length(h.name), h.id",
                    "h.due DESC NULLS LAST, h.id",
                ]);
                let limit = self.choices.pick(&["", " LIMIT 3", " OFFSET 1 LIMIT 2"]);
                ordered(format!("{full} ORDER BY {order}{limit}"))
            }
            11 => {
                self.saw("GROUP BY a key");
                let distinct =
                    format!("SELECT DISTINCT h.size, {count} FROM {from}{condition} GROUP BY h.id");
                Text::from(distinct)
            }
            12 => {
                self.saw("GROUP BY a key");
                let from = from.replace(
                    "houses",
                    self.choices
                        .pick(&["public.houses", "\"houses\"", "ONLY houses"]),
                );
                ordered(format!(
                    "SELECT h.name, h.lag, {count} FROM {from}{condition} GROUP BY \"h\".\"id\" ORDER BY h.id"
                ))
            }
            _ => {
                self.saw("GROUP BY a key");
                ordered(format!(
                    "SELECT name, price, (SELECT count(*) FROM tenants WHERE a = houses.id OR b = houses.id) AS n FROM houses GROUP BY {} ORDER BY id",
                    self.choices
                        .pick(&["id", "houses.id", "public.houses.id", "1, id, 2"])
                ))
            }
        }
    }

    fn compared(&mut self) -> Text {
        self.saw("times compared");
        let condition = self.choices.pick(&[
            "sold = '2024-01-06 12:00'",
            "sold > '2024-01-06 12:00+05'::timestamptz",
            "due >= '2024-07-01 02:30'",
            "due < timestamp '2024-07-01 05:00'",
            "due > sold",
            "born BETWEEN '1990-01-05' AND '01/02/2003'",
            "born < due - interval '30 years'",
            "sold IN ('2024-01-03 12:00', '2024-01-12 12:00')",
            "lag = '2 days 02:00' OR lag > 'P20D'",
            "date_trunc('day', due) = date '2024-07-01'",
            "extract(hour FROM due) > 3 AND extract(hour FROM sold) = 12",
            "sold::date = '2024-01-12' OR due::date = '2024-07-01'",
        ]);
        if self.parametrised && self.choices.chance(50) {
            let time = self.constant(super::Kind::Due, "'2024-07-01 03:30'");
            let column = self.choices.pick(&["sold", "due", "born"]);
            return ordered(format!(
                "SELECT id, {column} FROM houses WHERE {column} <= {time} ORDER BY id"
            ));
        }
        ordered(format!(
            "SELECT id, sold, due, born FROM houses WHERE {condition} ORDER BY id"
        ))
    }

    fn as_text(&mut self) -> Text {
        self.saw("times as text");
        let items = self.choices.pick(&[
            "sold::text, due::text",
            "born::text, lag::text",
            "to_jsonb(h) ->> 'due' AS due, to_jsonb(h) ->> 'born' AS born",
            "h::text",
            "sold || ' ' || born AS both",
            "concat(due, '|', lag) AS both",
            "sold::timestamptz, due::timestamp, due::date",
            "row_to_json(h) AS j",
            "price::float8 / 3 AS third",
            "due AT TIME ZONE 'Asia/Tokyo' AS there, sold AT TIME ZONE 'UTC' AS then",
        ]);
        ordered(format!(
            "SELECT id, {items} FROM houses AS h WHERE id < 30 ORDER BY id"
        ))
    }
}
