// What both node-postgres scripts share.
import { createRequire } from "node:module";

const { Client, types } = createRequire(process.env.DRIVER_ROOT)("pg");
// As text: a Date would print in this machine's time zone.
types.setTypeParser(1184, (text) => text);

export async function connect(connectionString) {
  const db = new Client({ connectionString });
  await db.connect();
  return db;
}

export function show(what, result) {
  const fields = result.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format]);
  console.log(what, result.command, result.rowCount, JSON.stringify(fields));
  for (const row of result.rows) console.log("   ", JSON.stringify(row));
}

export async function fails(what, act) {
  try {
    await act();
    console.log(what, "did not fail");
  } catch (error) {
    console.log(what, error.code, error.position ?? "");
  }
}
