-- Literals, casts and operators of the types.
select 1, 1.5, 'a', null, true;
select 2147483647, 2147483648, 9223372036854775807, 9223372036854775808;
select 1.5e3, .5, 5., 1e-2;
-- differs: the oracle is older than these literals, which are not read here
select 0x1F;
select 1 + 1, 7 / 2, -7 / 2, 7 % 3, -7 % 3, 2 ^ 3;
-- differs: a numeric result has one scale, which it shows
select 7.0 / 2;
select 2147483647 + 1;
select 9223372036854775807 + 1;
select 32767::smallint + 1::smallint;
select 2147483647 * 2::bigint;
select (-2147483648) - 1;
select abs(-5), abs(-5.5), sign(-3);
select 1 / 0;
select 1 % 0;
select 1.0 / 0;
select 1.0::float8 / 0;
select 2.5::int, 3.5::int, -2.5::int, 2.5::float8::int, 3.5::float8::int;
select 0.5::numeric::int, 1.5::numeric::bigint, -0.5::numeric::int;
select 1e10::int;
select 1e300::float8::bigint;
select 'NaN'::float8::int;
select 1e39::real;
select '1e39'::real;
select 1e400::float8;
select '1e400'::float8;
select 'abc'::int;
select '12'::int, ' 12 '::int, '-5'::smallint;
select '99999'::smallint;
select '1.5'::int;
select ''::int;
-- differs: numeric without a precision has nine digits behind the point
select '1.5'::numeric;
select '1.50'::numeric(10,2), 'NaN'::float8, 'Infinity'::float8, '-inf'::float8;
select 'x'::numeric;
select 12.345::numeric(5,2), 999.995::numeric(5,2);
select 1000::numeric(5,2);
select 'true'::bool, 't'::bool, 'yes'::bool, 'on'::bool, '1'::bool, 'f'::bool, 'no'::bool, 'off'::bool;
select 'maybe'::bool;
select 1::bool, 0::bool, true::int, false::int;
select true::text, 1::text, 1.50::text, 1.5::float8::text, 1e20::float8::text, 1e-7::float8::text;
select 0.1::float8 + 0.2::float8, 0.1 + 0.2, 0.1::real + 0.2::real;
select 1.0::float8, 100000::float8, 1e15::float8, 1e16::float8, 123456789.123::real;
select 'abcdef'::varchar(3)::text, 'ab'::varchar(3)::text, 'abcdef'::char(3)::text;
-- differs: a cast to varchar or char gives text
select 'abcdef'::varchar(3), 'a'::char;
select cast('abc' as text), text 'x', date '2024-01-01';
select 'a' || 'b', 'a' || 1, 1 || 'a', 'a' || null;
select 'A' < 'a', 'a' = 'a ', 'abc' like 'a%', 'ABC' ilike 'a_c', 'abc' not like 'b%';
select 'abc' ~ '^a', 'abc' ~* 'B', 'abc' !~ 'x', 'a.c' similar to 'a.c';
select null = null, null is null, null is not distinct from null, 1 is distinct from null;
select true and null, false and null, true or null, not null::bool;
select 1 between 0 and 2, 1 in (1, 2), 3 in (1, 2), null in (1), 1 in (null, 1), 2 in (null, 1);
-- differs: missing
select 1 between symmetric 2 and 0;
select coalesce(null, 1), nullif(1, 1), nullif(1, 2), greatest(1, null, 3), least(2, 1, null);
select case when true then 1 else 2 end, case 3 when 3 then 'x' end;
-- differs: a numeric result has one scale, which it shows
select case when true then 1 else 2.5 end;
select 'bad'::uuid;
select 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid, '{a0eebc999c0b4ef8bb6d6bb9bd380a11}'::uuid;
select '\xDEADbeef'::bytea, 'a\\b'::bytea, '\x'::bytea;
-- differs: another code of the same class
select '\xabc'::bytea;
select encode('\xdead'::bytea, 'hex'), encode('\xdead'::bytea, 'base64'), decode('dead', 'hex');
-- differs: missing
select length('\xdeadbe'::bytea);
select '\xde'::bytea || '\xad'::bytea, md5('a'), sha256('a'::bytea);
select '{1,2,NULL}'::int[], '{}'::int[], '{a,"b c",NULL,"NULL"}'::text[];
select '{{1,2},{3,4}}'::int[];
select array[1,2,3], array['a','b'], array[]::int[], array[1,null], array[[1,2],[3,4]];
select (array[1,2,3])[1], (array[1,2,3])[5], (array[1,2,3])[1:2];
select array_length(array[1,2,3], 1), cardinality(array[1,2]), array_append(array[1], 2), array_cat(array[1], array[2]);
select array[1,2] || 3, array[1] || array[2], 1 || array[2], array[1,2] @> array[1], array[1,2] && array[2,3];
select 1 = any(array[1,2]), 3 = any(array[1,2]), 1 = all(array[1,1]), 1 <> all(array[2,3]);
select array_to_string(array[1,null,3], ','), array_to_string(array[1,null,3], ',', '*'), string_to_array('a,b,c', ',');
select '{1,x}'::int[];
select '1,2'::int[];
select unnest(array[1,2,3]);
select generate_series(1, 3);
select generate_series(1::bigint, 3), 'x';
select * from generate_series(1::bigint, 5, 2);
select * from generate_series(1::bigint, 3) as g(n);
select * from unnest(array['a','b']) with ordinality;
select * from generate_series('2024-01-01'::timestamp, '2024-01-03'::timestamp, interval '1 day');
select * from generate_series('2024-01-01'::timestamp, '2024-01-03'::timestamp, '12 hours');
select '{"a": 1, "b": [1, 2]}'::json -> 'a', '{"a": "x"}'::json ->> 'a', '[1,2]'::json -> 1;
select '{"a": {"b": 2}}'::jsonb #> '{a,b}', '{"a": {"b": 2}}'::jsonb #>> '{a,b}';
select '{"b":1, "a":2}'::jsonb, '{"b":1, "a":2}'::json;
select '{bad}'::json;
select row(1, 'a');
select (1, 2) = (1, 2), (1, 2) < (1, 3);
select pg_typeof(1)::text, pg_typeof('a'::text)::text, pg_typeof(1.5)::text, pg_typeof(now())::text, pg_typeof(array[1])::text;
