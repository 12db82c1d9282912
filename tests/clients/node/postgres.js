// What an application does through `postgres`, told as JSON: the same is expected of every server.
"use strict";

const { Readable } = require("node:stream");
const { pipeline } = require("node:stream/promises");
const postgres = require("postgres");

const told = [];
const onnotice = ({ severity, code, message }) => {
  // That keys are not enforced is told by one server only.
  if (!message.includes("not enforced")) told.push({ severity, code, message });
};
const sql = postgres(process.argv[2], { max: 3, onnotice });

async function tell(query) {
  try {
    const result = await query;
    const columns = (result.columns || []).map((column) => [column.name, column.type]);
    told.push({ command: result.command, count: result.count, columns, rows: [...result] });
  } catch (error) {
    const { severity_local: severity, code, position } = error;
    told.push({ severity, code, message: error.message, position });
  }
}

async function main() {
  await tell(sql`create table people (id int primary key, name text not null, tags text[], doc jsonb, at timestamptz, born date,
    big bigint, n numeric(8, 2), raw bytea, flag boolean, numbers int[])`);
  const people = [1, 2, 3].map((id) => ({
    id, name: `name ${id}`, tags: ["a", "b c", 'd"e'], doc: { id, nested: [null, true] }, at: new Date(id * 1000), born: "2024-02-29",
    big: "9007199254740993", n: "12.30", raw: Buffer.from([0, 255]), flag: id % 2 === 0, numbers: [1, 2],
  }));
  await tell(sql`insert into people ${sql(people)}`);
  await tell(sql`insert into people ${sql({ id: 4, name: "four" }, "id", "name")} returning *`);
  await tell(sql`select * from people order by id`);
  await tell(sql`select id, ${sql("name")} from ${sql("people")} where id in ${sql([1, 3])} order by id`);
  await tell(sql`update people set ${sql({ name: "first", flag: true }, "name", "flag")} where id = ${1} returning id, name, flag`);
  await tell(sql`select id from people where tags && ${["b c"]} and doc @> ${sql.json({ id: 2 })} order by id`);
  await tell(sql`select id from people where id = any(${[1, 2]}) and ${true} order by id`);
  await tell(sql`select ${1}::int as i, ${"x"}::text as t, ${null}::text as nothing, ${new Date(0)}::timestamptz as at`);
  for (const wrong of ["select * from nowhere", "select nothing", "selec 1", "select 1/0", "insert into people values (9, null)"]) {
    await tell(sql.unsafe(wrong));
  }
  await tell(sql.unsafe("select 1 as a; select 2 as b").simple());
  await tell(sql`drop table if exists nowhere`);
  await tell(sql.begin(async (t) => {
    await t`insert into people (id, name) values (10, 'ten')`;
    await t.savepoint(async (s) => {
      await s`delete from people`;
      throw new Error("back");
    }).catch((error) => told.push(error.message));
    return t`select count(*)::int from people`;
  }));
  await sql.begin(async (t) => {
    await t`delete from people`;
    throw new Error("all back");
  }).catch((error) => told.push(error.message));
  await tell(sql`select count(*)::int from people`);
  await tell(sql.begin("read only", (t) => t`insert into people (id, name) values (11, 'x')`));
  const parts = [];
  await sql`select g from generate_series(1, 25) g`.cursor(10, (rows) => { parts.push(rows.length); });
  for await (const [row] of sql`select g from generate_series(1, 3) g`.cursor()) parts.push(row.g);
  await sql`select g from generate_series(1, 4) g`.forEach((row) => { parts.push(row.g); });
  told.push(parts);
  const statement = await sql`select * from people where id = ${1}`.describe();
  told.push([statement.types, statement.columns.map((column) => [column.name, column.type])]);
  told.push((await sql`select id, name from people order by id`.values()).map((row) => [...row]));
  told.push((await sql`select name from people where id = 2`.raw()).map((row) => row.map((cell) => cell.toString())));
  await tell(sql`create table numbers (a int, b text)`);
  const into = await sql`copy numbers from stdin`.writable();
  await pipeline(Readable.from(Array.from({ length: 500 }, (_, n) => `${n}\tn${n}\n`)), into);
  let bytes = 0;
  for await (const chunk of await sql`copy (select * from numbers order by a) to stdout`.readable()) bytes += chunk.length;
  told.push(bytes);
  told.push((await Promise.all(Array.from({ length: 50 }, (_, n) => sql`select ${n}::int as n`))).map(([row]) => row.n));
  const reserved = await sql.reserve();
  await reserved`set statement_timeout = 100`;
  await tell(reserved`select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where (a - b) % 2 > 1`);
  await reserved`reset statement_timeout`;
  reserved.release();
  const long = sql`select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where (a - b) % 2 > 1`.execute();
  setTimeout(() => long.cancel(), 300);
  await tell(long);
  await tell(sql`drop table people, numbers`);
  await sql.end();
  console.log(JSON.stringify(told));
}

main().catch((error) => { console.error(error); process.exit(1); });
