-- What clients describe in test_psql.py and its kin: the same objects here and in Postgres. Conditions and
-- views are written as Postgres writes them, since ours are shown as they were written.
create role reader;
create role writer createdb login password 'writer' connection limit 3 in role reader;
create schema shop;
create table people (
    id int primary key,
    name text not null default 'nobody',
    mail varchar(40) constraint one_mail unique,
    born date,
    at timestamptz default now(),
    seen timestamp,
    tags text[],
    balance numeric(10, 2),
    share float8,
    ratio real,
    small smallint constraint counted check (small > 0),
    flag bool not null default false,
    doc jsonb,
    raw bytea,
    key uuid,
    code char(3)
);
create table shop.orders (
    person int constraint buyer references people (id),
    day date,
    cents bigint,
    note text,
    primary key (person, day)
);
create table "Odd Name" ("Column A" int, "select" text);
create index people_name on people (name desc);
create unique index people_born on people (born, name);
create view rich as SELECT people.id,
    people.name
   FROM people
  WHERE people.balance > 1000::numeric;
create view shop.spent as SELECT orders.person,
    max(orders.cents) AS cents
   FROM shop.orders
  GROUP BY orders.person;
create materialized view counted as SELECT count(*) AS n
   FROM people;
comment on schema shop is 'what is sold';
comment on table people is 'who buys';
comment on column people.mail is 'where to write';
comment on view rich is 'who buys most';
grant usage on schema shop to reader;
grant select on people, rich to reader;
grant select, insert, update on shop.orders to writer with grant option;
grant select on "Odd Name" to public;
alter default privileges in schema shop grant select on tables to reader;
insert into people (id, name, mail, born, tags, balance, share, doc, raw, key, code)
    values (1, 'Ada', 'ada@example.org', '1815-12-10', '{x,"y z"}', 1500.50, 0.25, '{"a": [1, null]}', '\xdeadbeef',
            '550e8400-e29b-41d4-a716-446655440000', 'AL'),
        (2, 'Grace', null, '1906-12-09', null, 10, null, null, null, null, null);
insert into shop.orders values (1, '2024-01-01', 100, null), (1, '2024-01-02', 250, 'late'), (2, '2024-01-01', 7, null);
