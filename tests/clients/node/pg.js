// What an application does through `pg`, told as JSON: the same is expected of every server.
"use strict";

const { once } = require("node:events");
const { Readable } = require("node:stream");
const { pipeline } = require("node:stream/promises");
const { Client, Pool } = require("pg");
const Cursor = require("pg-cursor");
const copy = require("pg-copy-streams");

const connectionString = process.argv[2];
const told = [];

const TYPES = `create table v (b bool, s smallint, i int, l bigint, r real, f float8, n numeric(12,4), t text, c char(4),
    v varchar(9), y bytea, d date, h time, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb,
    ia int[], ta text[], da date[], na numeric[])`;
const VALUES = [
  true, 1, 2, "9007199254740993", 0.5, -1.25, "12.3400", "é\n'\"\\", "ab", "vc", Buffer.from([0, 255, 1]), "2024-02-29",
  "10:11:12.5", "2024-01-02 03:04:05.678", "2024-01-02T03:04:05.678Z", "1 day 02:00:00", "550e8400-e29b-41d4-a716-446655440000",
  { a: [1, null] }, JSON.stringify([1, { b: null }]), [1, null, 3], ["a,b", null, "", 'q"\\'], ["2024-01-01"], ["1.50"],
];

function shown(result) {
  const one = ({ command, rowCount, rows, fields }) => ({
    command, rowCount, rows, fields: fields.map((field) => [field.name, field.dataTypeID, field.dataTypeSize, field.dataTypeModifier, field.format]),
  });
  return Array.isArray(result) ? result.map(one) : one(result);
}

async function main() {
  const client = new Client({ connectionString });
  // That keys are not enforced is told by one server only.
  client.on("notice", (notice) => notice.message.includes("not enforced") || told.push({ severity: notice.severity, code: notice.code, message: notice.message }));
  await client.connect();
  const tell = async (...query) => {
    try {
      told.push(shown(await client.query(...query)));
    } catch (error) {
      const { severity, code } = error;
      // Not every error of ours has a place yet.
      const position = ["42P01", "42703", "42601"].includes(code) ? error.position : undefined;
      told.push({ severity, code, message: error.message, position });
    }
  };
  await tell(TYPES);
  await tell(`insert into v values (${VALUES.map((_, index) => `$${index + 1}`).join(", ")})`, VALUES);
  await tell(`insert into v values (${VALUES.map((_, index) => `$${index + 1}`).join(", ")}) returning i, t`, VALUES.map(() => null));
  await tell("select * from v order by i");
  await tell("select * from v where i = $1", [2]);
  await tell({ text: "select i, t, f from v where t = $1", values: [VALUES[7]], rowMode: "array" });
  await tell({ text: "select i, b, l, f, y, t from v where i = $1", values: [2], binary: true });
  for (const number of [1, 2, 3]) {
    await tell({ name: "twice", text: "select $1::int * 2 as twice, $2::text as text", values: [number, `n${number}`] });
  }
  await tell({ name: "twice", text: "select 1", values: [] });
  await tell("select 1 as one; select 2 as two; create table w (a int primary key); insert into w values (1), (2), (3)");
  await tell("update w set a = a + 10 where a > $1", [1]);
  await tell("delete from w where a = any($1)", [[1, 12]]);
  await tell("select count(*), sum(a), array_agg(a) from w");
  await tell("select $1 as a, $2::jsonb as b, $3::timestamptz as c", ["x", { k: 1 }, new Date(0)]);
  for (const wrong of ["select * from nowhere", "select nothing", "selec 1", "select 1/0", "select 'x'::int", "select nofunction(1)",
    "insert into w values (null)", ""]) {
    await tell(wrong);
  }
  await tell("select $1::int", ["x"]);
  await tell("select 1", [1]);
  await tell("begin");
  await tell("begin");
  await tell("insert into w values (7)");
  await tell("savepoint s");
  await tell("select nothing");
  await tell("select 1");
  await tell("rollback to savepoint s");
  await tell("select count(*)::int from w");
  await tell("rollback");
  await tell("rollback");
  await tell("drop table if exists nowhere");
  await tell("set statement_timeout = 100");
  await tell("select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where (a - b) % 2 > 1");
  await tell("reset statement_timeout");
  await tell("select current_setting('server_version_num')::int / 10000 as version");

  const cursor = client.query(new Cursor("select g from generate_series(1, $1::int) g", [25]));
  const sizes = [];
  for (let rows = await cursor.read(10); rows.length > 0; rows = await cursor.read(10)) sizes.push([rows.length, rows[0].g]);
  told.push(sizes);
  await cursor.close();

  const lines = Array.from({ length: 1000 }, (_, index) => `${index + 100}\n`);
  const into = client.query(copy.from("copy w from stdin"));
  await pipeline(Readable.from(lines), into);
  told.push(into.rowCount);
  let bytes = 0;
  const out = client.query(copy.to("copy (select * from w order by a) to stdout with (format csv, header)"));
  out.on("data", (chunk) => { bytes += chunk.length; });
  await once(out, "end");
  told.push([bytes, out.rowCount]);

  // Queries that are queued at once, on one connection and on several.
  told.push((await Promise.all([1, 2, 3].map((n) => client.query("select $1::int as n", [n])))).map((r) => r.rows[0].n));
  const pool = new Pool({ connectionString, max: 4, application_name: "pool" });
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => pool.query("select $1::int + 1 as n", [n])));
  told.push(answers.map((answer) => answer.rows[0].n));
  told.push((await pool.query("show application_name")).rows);
  const slow = await pool.connect();
  const pid = (await slow.query("select pg_backend_pid() as pid")).rows[0].pid;
  const long = slow.query("select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where (a - b) % 2 > 1");
  long.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 200));
  told.push((await pool.query("select pg_cancel_backend($1) as done", [pid])).rows);
  await long.catch((error) => told.push([error.code, error.message]));
  told.push((await slow.query("select 1 as alive")).rows);
  slow.release();
  await pool.end();
  await client.query("drop table v, w");
  await client.end();
  const elsewhere = new URL(connectionString);
  elsewhere.pathname = "/nowhere";
  const refused = new Client({ connectionString: elsewhere.href });
  await refused.connect().catch((error) => told.push([error.severity, error.code, error.message]));
  console.log(JSON.stringify(told));
}

main().catch((error) => { console.error(error); process.exit(1); });
