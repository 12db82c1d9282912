-- Percentiles, and the functions of text, arrays, numbers and bytes that people know from Postgres.
select percentile_disc(0.5) within group (order by x), percentile_cont(0.5) within group (order by x), mode() within group (order by x) from (values (1), (2), (2), (10)) t(x);
select percentile_disc(array[0.25, 0.75]) within group (order by x) as a, percentile_cont(array[0.25, 0.75]) within group (order by x) as b from (values (1::float8), (2), (3), (10)) t(x);
select percentile_disc(0.5) within group (order by s) as a, mode() within group (order by s) as b from (values ('a'), ('b'), ('b'), (null)) t(s);
select percentile_cont(0.5) within group (order by d) from (values (interval '1 day'), (interval '2 days')) t(d);
select k, percentile_cont(0.9) within group (order by x desc) as a, percentile_disc(0) within group (order by x) as b from (values (1, 1.5::float8), (1, 2.5), (2, 7)) t(k, x) group by k order by k;
select percentile_cont(1.5) within group (order by x) from (values (1::float8)) t(x);
select percentile_disc(0.5) within group (order by x) as a, mode() within group (order by x) as b from (values (1)) t(x) where false;
-- differs: missing
select rank(3) within group (order by x) as a, dense_rank(3) within group (order by x) as b, percent_rank(3) within group (order by x) as c, cume_dist(3) within group (order by x) as d from (values (1), (2), (2), (4)) t(x);
select format('%s %s', 'a', 1) as a, format('%I.%L', 'A b', 'c''d') as b, format('%2$s-%1$s', 'x', 'y') as c, format('%5s|%-5s|', 'ab', 'cd') as d, format('%%') as e, format('%*s|', 5, 'x') as f, format(null) as g;
select quote_nullable(null) as a, quote_nullable('a') as b, quote_nullable(1) as c, quote_literal(1.5) as d, quote_ident('select') as e, quote_ident('A') as f;
select initcap('hello WORLD foo-bar a1b') as a, translate('12345', '143', 'ax') as b, overlay('Txxxxas' placing 'hom' from 2 for 4) as c, overlay('abcdef' placing 'XY' from 3) as d, btrim('xyxtrimyyx', 'xyz') as e, btrim('  a ') as f;
select ascii('x') as a, ascii('é') as b, ascii('') as c, chr(8364) as d, to_hex(255) as e, to_hex(-1) as f, to_hex(255::bigint) as g, to_hex(-1::bigint) as h;
select chr(0);
select chr(-1);
select md5('abc') as a, sha256('abc'::bytea) as b, sha224('abc') as c, sha384('a') is not null as d, sha512('a') is not null as e, md5('abc'::bytea) as f;
select encode('abc'::bytea, 'hex') as a, encode('abc'::bytea, 'base64') as b, encode('\x00ff41'::bytea, 'escape') as c, decode('616263', 'hex') as d, decode('YWJj', 'base64') as e, decode('a\000b', 'escape') as f;
select encode('a', 'nope');
select encode('abc', 'hex') as a, encode('\x00', 'hex') as b, concat('a', 1.5::float8, true, date '2024-01-01', array[1, 2]) as c, format('%s|%s', true, 0.1::real) as d;
select get_byte('\x12'::bytea, 5);
select decode('6', 'hex');
select decode('zz', 'hex');
select split_part('a,b,c', ',', -1) as a, split_part('a,b,c', ',', -3) as b, split_part('a,b,c', ',', 5) as c, split_part('a,b,c', '', 1) as d, split_part('', ',', 1) as e, split_part('abc', ',', 1) as f;
select split_part('a,b', ',', 0);
select string_to_array('a,b,c', ',') as a, string_to_array('a,,c', ',', '') as b, string_to_array('abc', null) as c, string_to_array('', ',') as d, string_to_array('abc', '') as e, string_to_array(null, ',') as f, string_to_array('a,*,c', ',', '*') as g;
select x from string_to_table('a,b,c', ',') x;
select string_to_table('a|b|', '|') as x;
select array_to_string(array[1, null, 3], ',') as a, array_to_string(array[1, null, 3], ',', '*') as b, array_to_string(array['a', 'b'], '') as c, array_to_string(null::int[], ',') as d;
select array_append(array[1, 2], 3) as a, array_prepend(0, array[1, 2]) as b, array_cat(array[1], array[2, 3]) as c, array_append(null::int[], 1) as d, array[1] || 2 as e, 0 || array[1] as f, array[1] || array[2] as g;
select array_remove(array[1, 2, 1], 1) as a, array_replace(array[1, 2, 1], 1, 9) as b, array_position(array['a', 'b', 'a'], 'a', 2) as c, array_positions(array[1, 2, 1], 1) as d, array_position(array[1, 2], 5) as e;
select array_length(array[1, 2, 3], 1) as a, array_length('{}'::int[], 1) as b, array_length(array[1], 2) as c, cardinality(array[1, 2]) as d, cardinality('{}'::int[]) as e, array_upper(array[1, 2], 1) as f, array_lower(array[1, 2], 1) as g, array_dims(array[1, 2]) as h, array_ndims(array[1]) as i;
select array_fill(7, array[3]) as a, trim_array(array[1, 2, 3], 1) as b, array_to_json(array[1, 2]) as c;
select array[1, 2, 3] @> array[2] as a, array[1] <@ array[1, 2] as b, array[1, 2] && array[2, 3] as c, array[1, 2] = array[1, 2] as d, array[1, 2] < array[1, 3] as e, 2 = any(array[1, 2]) as f, 3 = all(array[3, 3]) as g;
select (array[1, 2, 3])[2] as a, (array[1, 2, 3])[5] as b, (array[1, 2, 3])[1:2] as c, (array[1, 2, 3])[2:] as d, (array[1, 2, 3])[:2] as e, (array[1, 2, 3])[0] as f;
-- differs: missing
select width_bucket(5, array[1, 4, 8]) as a, width_bucket(5.35, 0.024, 10.06, 5) as b, width_bucket(0, array[1, 4]) as c, width_bucket('c', array['a', 'b', 'd']) as d;
-- differs: missing
select width_bucket(5, array[1, null]);
-- differs: a numeric result has one scale, which it shows
select trim_scale(8.4100) as a, scale(8.4100) as b, min_scale(8.4100) as c, trim_scale(8) as d, scale(8) as e;
select gcd(1071, 462) as a, lcm(1071, 462) as b, gcd(0, 5) as c, lcm(0, 5) as d, gcd(-4, 6) as e, gcd(12::bigint, 18) as f, pg_typeof(gcd(1, 2)), pg_typeof(gcd(1::bigint, 2)), pg_typeof(gcd(1.5, 2));
select gcd(-2147483648, 0);
select factorial(5) as a, factorial(0) as b, factorial(20) as c, factorial(25) as d, pg_typeof(factorial(5));
select factorial(-1);
-- differs: missing
select setseed(0.5);
select random() between 0 and 1 as a, random() <> random() as b;
select sign(-8.4) as a, sign(5) as b, abs(-17.4) as c, abs(-5) as d, ceiling(42.2) as f, floor(-42.8) as g, mod(9, 4) as h, pi() as i, degrees(0.5) as j, cot(0.5) as k, atan2(1, 2) as l, sinh(1) as m;
-- differs: missing
select sind(30) as a, cosd(60) as b, tand(45) as c, cotd(45) as d, asind(0.5) as e, acosd(0.5) as f, atand(1) as g, atan2d(1, 1) as h;
select reverse('añb') as a, repeat('ab', 3) as b, repeat('a', -1) as c, left('abc', -1) as d, right('abc', -1) as e, right('abc', 2) as f, lpad('abc', 2) as g, lpad('hi', 5, 'xy') as h, rpad('hi', 5) as i, lpad('a', 0) as j, strpos('abc', 'c') as k, position('' in 'a') as l;
select starts_with('abc', 'ab') as a, 'abc' ^@ 'ab' as b, concat_ws(',', 'a', null, 2, true) as c, concat('a', null, 1.5) as d, length('añb') as e, octet_length('añb') as f, bit_length('añb') as g;
select to_char(125, '999') as a, to_char(-125.8, '999D99S') as b, to_char(1234567.891, '9,999,999.99') as c, to_char(12, '00000') as d, to_char(0.5, '90.99') as e, to_char(1e5, '9.99EEEE') as f, to_char(485, 'RN') as g, to_char(5, 'FM000') as h;
-- differs: missing
select to_number('12,454.8-', '99G999D9S') as a, to_number('1,234.5', '9,999.9') as b, to_number('-5', 'S9') as c;
select num_nulls(1, null, 2) as a, num_nonnulls(1, null) as b;
select parse_ident('a."B c".d') as a, pg_typeof(1) as b, pg_size_pretty(1024::bigint) as c;
select bit_count('\x1234'::bytea) as a, get_byte('\x1234'::bytea, 1) as b, set_byte('\x1234'::bytea, 0, 64) as c, '\x12'::bytea || '\x34'::bytea as e, length('\x1234'::bytea) as f, convert_from('abc'::bytea, 'utf8') as h, convert_to('abc', 'utf8') as i;
select string_agg(x, ',' order by x) as a, bool_and(x > 'a') as d, every(x > '') as e, bit_xor(length(x)) as f, json_agg(x order by x) as g from (values ('b'), ('a'), ('b')) t(x);
select stddev(x) as a, variance(x) as b, stddev_pop(x) as c, var_pop(x) as d, covar_pop(x, y) as g from (values (1::float8, 2::float8), (3, 4), (5, 9)) t(x, y);
