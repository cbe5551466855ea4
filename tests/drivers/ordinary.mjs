// node-postgres on statements that name no managed table: prints what it was answered.
import { show, fails, connect } from "./driver.mjs";

const db = await connect(process.argv[2]);
const notices = [];
db.on("notice", (notice) => notices.push([notice.severity, notice.message]));

show("simple", await db.query("SELECT 1 AS one, 'ä' AS two, NULL AS three"));
show("parameters", await db.query("SELECT $1::int + 1 AS next, $2::text AS text", [41, "é"]));
for (let n = 0; n < 3; n++) {
  show("named", await db.query({ name: "next", text: "SELECT $1::int + 1 AS next", values: [n] }));
}
show("array rows", await db.query({ text: "SELECT 1, 2", rowMode: "array" }));
const several = await db.query("SELECT 1 AS a; SELECT 2 AS b; CREATE TEMP TABLE things (id int PRIMARY KEY, name text)");
several.forEach((result) => show("several", result));
show("insert", await db.query("INSERT INTO things SELECT n, 'name ' || n FROM generate_series(1, $1::int) n RETURNING id", [3]));
show("update", await db.query("UPDATE things SET name = $1 WHERE id = $2", ["x", 2]));
await fails("duplicate", () => db.query("INSERT INTO things VALUES ($1)", [1]));
await fails("syntax", () => db.query("SELEC 1"));
await fails("parse", () => db.query("SELECT $1::int FROM nowhere", [1]));
await fails("bind", () => db.query("SELECT $1::int", ["no number"]));
await db.query("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$");
await db.query("BEGIN");
await fails("in a transaction", () => db.query("SELECT 1/$1::int", [0]));
await fails("after it", () => db.query("SELECT 1"));
show("rollback", await db.query("ROLLBACK"));
// Sent at once: node-postgres queues, the answers must come in order.
const all = await Promise.all([1, 2, 3, 4, 5].map((n) => db.query("SELECT $1::int AS n, repeat('x', $1) AS x", [n])));
all.forEach((result) => show("queued", result));
const wide = await db.query("SELECT repeat('0123456789', $1) AS wide", [200000]);
console.log("wide", wide.rows[0].wide.length);
console.log("notices", JSON.stringify(notices));
await db.end();
