// node-postgres as the old version of the application: prints what it was answered.
import { show, fails, connect } from "./driver.mjs";

const COLUMNS = "clerk_user_id, email, full_name, role, margin_type, margin_value, is_active, metadata";
const db = await connect(process.argv[2]);
const id = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const insert = (n, role) =>
  db.query(
    `INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role) VALUES ($1, $2, $3, $4, $5) RETURNING ${COLUMNS}`,
    [id(n), `new_${n}`, `new.${n}@example.com`, `New ${n}`, role],
  );

show("simple", await db.query(`SELECT ${COLUMNS} FROM iso_agents ORDER BY email LIMIT 3`));
show("star", await db.query("SELECT * FROM iso_agents WHERE clerk_user_id = 'user_97'"));
for (const user of ["user_1", "user_50", "nobody", "user_101"]) {
  show("named", await db.query({
    name: "agent by clerk",
    text: `SELECT ${COLUMNS} FROM iso_agents WHERE clerk_user_id = $1`,
    values: [user],
  }));
}
show("by role", await db.query("SELECT count(*) FROM iso_agents WHERE role = $1", ["operator"]));
show("by role", await db.query({ text: "SELECT count(*) FROM iso_agents WHERE role = $1 OR role = 'admin'", values: ["iso_agent"], rowMode: "array" }));
show("insert", await insert(1, "iso_agent"));
show("insert", await insert(2, "operator"));
await fails("duplicate", () => insert(2, "operator"));
await fails("role", () => insert(3, "no such role"));
await fails("column", () => db.query("SELECT nothing FROM iso_agents"));
await fails("key", () => db.query("SELECT 1 FROM iso_agents WHERE id = $1", ["no uuid"]));
show("update", await db.query("UPDATE iso_agents SET metadata = $1, margin_value = 3 WHERE id = $2 RETURNING metadata, margin_value", [{ a: [1, null] }, id(1)]));
show("no rows", await db.query("UPDATE iso_agents SET full_name = 'x' WHERE id = $1", [id(99)]));
show("simple update", await db.query("UPDATE iso_agents SET is_active = NOT is_active WHERE clerk_user_id LIKE 'new%'"));
const several = await db.query("UPDATE iso_agents SET full_name = 'Several' WHERE clerk_user_id = 'new_1'; SELECT full_name FROM iso_agents WHERE clerk_user_id = 'new_1'; DELETE FROM iso_agents WHERE clerk_user_id = 'new_2'");
several.forEach((result) => show("several", result));
await db.query("BEGIN");
show("inside", await insert(4, "admin"));
await fails("inside", () => insert(4, "admin"));
await fails("after it", () => db.query("SELECT 1 FROM iso_agents"));
await db.query("ROLLBACK");
show("rolled back", await db.query("SELECT count(*) FROM iso_agents WHERE clerk_user_id = $1", ["new_4"]));
show("delete", await db.query("DELETE FROM iso_agents WHERE id = $1 RETURNING email, role", [id(1)]));
show("left", await db.query("SELECT count(*), sum(margin_value) FROM iso_agents"));
await db.end();
