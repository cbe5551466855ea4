// postgres.js: prints what it was answered, on ordinary tables or as the old version of the application.
import { createRequire } from "node:module";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";

const postgres = createRequire(process.env.DRIVER_ROOT)("postgres");
const [part, url] = process.argv.slice(2);
const notices = [];
const sql = postgres(url, {
  max: 1,
  onnotice: (notice) => notices.push([notice.severity, notice.message]),
  // As text: a Date would print in this machine's time zone.
  types: { date: { to: 1184, from: [1114, 1184], serialize: String, parse: String } },
});

function show(what, rows) {
  const columns = (rows.columns ?? []).map((c) => [c.name, c.type]);
  console.log(what, rows.command, rows.count, JSON.stringify(columns), JSON.stringify(rows));
}

async function fails(what, query) {
  try {
    await query;
    console.log(what, "did not fail");
  } catch (error) {
    console.log(what, error.code, error.message, error.position ?? "");
  }
}

async function ordinary() {
  show("parameters", await sql`SELECT ${41}::int + 1 AS next, ${"ä"} AS text, ${null}::text AS nothing`);
  for (let n = 0; n < 3; n++) show("prepared", await sql`SELECT ${n}::int * 2 AS twice`);
  show("simple", (await sql.unsafe("SELECT 1 AS a; SELECT 2 AS b")).flat());
  await sql`CREATE TEMP TABLE things (id int PRIMARY KEY, name text)`;
  const rows = [1, 2, 3].map((id) => ({ id, name: `n${id}` }));
  show("insert", await sql`INSERT INTO things ${sql(rows)} RETURNING *`);
  show("update", await sql`UPDATE things SET ${sql({ name: "x" })} WHERE id IN ${sql([1, 2])}`);
  await fails("duplicate", sql`INSERT INTO things VALUES (1)`);
  await fails("syntax", sql`SELEC 1`);
  await fails("bind", sql`SELECT ${"x"}::text::int`);
  // Sent in one pipeline.
  const all = await Promise.all([1, 2, 3, 4, 5].map((n) => sql`SELECT ${n}::int AS n`));
  all.forEach((result) => show("pipelined", result));
  const mixed = await Promise.allSettled([sql`SELECT 1 AS a`, sql`SELECT 1/0`, sql`SELECT 2 AS b`]);
  console.log("mixed", mixed.map((r) => r.status + (r.reason?.code ?? "")).join());
  for await (const some of sql`SELECT n FROM generate_series(1, 10) n`.cursor(4)) show("cursor", some);
  await sql`SELECT n FROM generate_series(1, 3) n`.forEach((row) => console.log("each", row.n));
  const described = await sql`SELECT ${1}::int AS a, name FROM things`.describe();
  console.log("described", JSON.stringify(described.types), described.columns.map((c) => c.name).join());
  await sql.begin(async (tx) => {
    await tx`INSERT INTO things VALUES (10, 'ten')`;
    await fails("savepoint", tx.savepoint((sp) => sp`INSERT INTO things VALUES (10, 'twice')`));
    show("inside", await tx`SELECT count(*) FROM things`);
  });
  await fails("transaction", sql.begin(async (tx) => {
    await tx`DELETE FROM things`;
    await tx`SELECT 1/0`;
  }));
  const lines = Array.from({ length: 2000 }, (_, n) => `${n + 100}\tcopied\n`);
  await pipeline(Readable.from(lines), await sql`COPY things FROM STDIN`.writable());
  let out = "";
  for await (const chunk of await sql`COPY (SELECT * FROM things WHERE id < 102 ORDER BY id) TO STDOUT`.readable()) out += chunk;
  console.log("out", JSON.stringify(out));
  show("count", await sql`SELECT count(*) FROM things`);
  const slow = sql`SELECT pg_sleep(600)`.execute();
  setTimeout(() => slow.cancel(), 300);
  await fails("cancelled", slow);
  show("after it", await sql`SELECT 'here' AS a`);
  const heard = await new Promise(async (resolve) => {
    await sql.listen("news", resolve);
    await sql.notify("news", "hello");
  });
  console.log("heard", heard);
  await sql`DO $$ BEGIN RAISE NOTICE 'noticed'; END $$`;
  console.log("notices", JSON.stringify(notices));
}

const COLUMNS = sql.unsafe("clerk_user_id, email, full_name, role, margin_type, margin_value, is_active, metadata");
const id = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

async function managed() {
  const agent = (n, more) => ({ id: id(n), clerk_user_id: `new_${n}`, email: `new.${n}@example.com`, full_name: `New ${n}`, ...more });
  const insert = (n, more) => sql`INSERT INTO iso_agents ${sql(agent(n, more))} RETURNING ${COLUMNS}`;
  show("read", await sql`SELECT ${COLUMNS} FROM iso_agents ORDER BY email LIMIT 3`);
  for (const user of ["user_1", "user_97", "nobody", "user_101"])
    show("prepared", await sql`SELECT ${COLUMNS} FROM iso_agents WHERE clerk_user_id = ${user}`);
  show("role", await sql`SELECT count(*) FROM iso_agents WHERE role = ${"operator"}`);
  show("insert", await insert(1, { role: "operator", metadata: sql.json({ a: [1, null] }) }));
  show("several", await sql`INSERT INTO iso_agents ${sql([agent(2), agent(3)])} RETURNING ${COLUMNS}`);
  await fails("duplicate", insert(2));
  await fails("role", insert(4, { role: "no such role" }));
  show("update", await sql`UPDATE iso_agents SET ${sql({ margin_value: 3, is_active: false })} WHERE id IN ${sql([id(1), id(2)])}`);
  show("returning", await sql`UPDATE iso_agents SET role = ${"admin"} WHERE id = ${id(1)} RETURNING role, margin_value`);
  const both = await Promise.all([
    sql`UPDATE iso_agents SET full_name = 'Pipelined' WHERE id = ${id(3)}`,
    sql`SELECT full_name FROM iso_agents WHERE id = ${id(3)}`,
    sql`DELETE FROM iso_agents WHERE id = ${id(2)}`,
  ]);
  both.forEach((result) => show("pipelined", result));
  for await (const some of sql`SELECT clerk_user_id FROM iso_agents WHERE role = 'operator' ORDER BY email LIMIT 5`.cursor(2)) show("cursor", some);
  await fails("transaction", sql.begin(async (tx) => {
    await tx`DELETE FROM iso_agents WHERE id = ${id(1)}`;
    await tx`SELECT 1/0`;
  }));
  show("left", await sql`SELECT ${COLUMNS} FROM iso_agents WHERE clerk_user_id LIKE 'new%' ORDER BY email`);
  show("sum", await sql`SELECT count(*), sum(margin_value) FROM iso_agents`);
}

await { ordinary, managed }[part]();
await sql.end();
