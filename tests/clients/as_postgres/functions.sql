-- Functions people call in their sleep.
select length('añb'), char_length('añb'), octet_length('añb'), bit_length('a'), upper('a'), lower('A'), initcap('hello world');
-- differs: the oracle's locale is C, ours knows letters beyond ASCII
select upper('aé'), lower('AÉ');
select substring('hello' from 2 for 3), substring('hello', 2), substr('hello', 2, 2), left('hello', 2), right('hello', 2), left('hello', -2);
select trim('  x '), ltrim('  x'), rtrim('x  '), btrim('xxaxx', 'x'), trim(both 'x' from 'xax'), lpad('5', 3, '0'), rpad('a', 3, '-');
select position('l' in 'hello'), strpos('hello', 'l'), replace('aXbX', 'X', '-'), translate('abc', 'ab', 'xy'), reverse('abc'), repeat('ab', 2);
select split_part('a,b,c', ',', 2), split_part('a,b,c', ',', -1), concat('a', null, 1), concat_ws(',', 'a', null, 'b'), chr(65), ascii('A');
select regexp_replace('abcabc', 'b', 'X'), regexp_replace('abcabc', 'b', 'X', 'g'), regexp_match('abc', '(b)(c)'), regexp_count('abcabc', 'b');
select starts_with('abc', 'ab'), overlay('abcdef' placing 'XX' from 2 for 3), to_hex(255), quote_literal('it''s'), quote_ident('a b');
select format('%s-%I-%L', 'a', 'b c', 'd''e'), format('%s', null);
select round(2.5), round(-2.5), round(2.567, 2), round(2.5::float8), round(3.5::float8), trunc(2.9), ceil(2.1), floor(-2.1);
-- differs: a numeric result has one scale, which it shows
select trunc(-2.567, 2);
select sqrt(4), power(2, 10), exp(0), ln(1), log(100), mod(7, 3), mod(-7, 3), pi();
-- differs: bigint and double precision here
select log(2, 8), gcd(12, 18), lcm(4, 6);
select div(7, 2);
select sqrt(-1);
select ln(0);
select sin(0), cos(0), atan2(1, 1), degrees(pi()), radians(180);
-- differs: the last digit of the cube root; factorials are bigint
select cbrt(27), factorial(5);
select width_bucket(5.35, 0.024, 10.06, 5), width_bucket(11::float8, 0, 10, 5);
-- differs: missing
select to_number('1,234.5', '9,999.9');
select to_char(1234.5, '9,999.99'), to_char(5, '000');
select count(*), count(x), sum(x), min(x), max(x) from (values (1), (2), (null)) t(x);
-- differs: the average of integers is double precision
select avg(x) from (values (1), (2), (null)) t(x);
select sum(x) from (values (1.5), (2.5)) t(x);
-- differs: a numeric result has one scale, which it shows
select avg(x) from (values (1.5), (2.5)) t(x);
select sum(x) from (values (9223372036854775807), (2)) t(x);
select sum(x), avg(x) from (values (1::float8), (2.5)) t(x);
select sum(x), max(x), count(*) from (values (1)) t(x) where false;
select stddev_pop(x), variance(x), stddev(x), stddev_samp(x), var_pop(x), var_samp(x) from (values (1::float8), (2), (3)) t(x);
-- differs: the last digit, by another order of sums
select stddev(x), variance(x), var_pop(x) from (values (1::float8), (2), (4)) t(x);
-- differs: of integers they are double precision
select stddev(x), variance(x) from (values (1), (2), (4)) t(x);
select corr(x, y), covar_pop(x, y), regr_slope(y, x), regr_count(y, x), regr_avgx(y, x) from (values (1::float8, 2::float8), (2, 4.5), (3, 6)) t(x, y);
-- differs: the last digit, by another order of sums
select covar_samp(x, y), regr_intercept(y, x), regr_r2(y, x) from (values (1::float8, 2::float8), (2, 4.5), (3, 6)) t(x, y);
select bool_and(x), bool_or(x), every(x) from (values (true), (false)) t(x);
select string_agg(x, ','), string_agg(x, ',' order by x desc), array_agg(x order by x) from (values ('b'), ('a')) t(x);
select count(distinct x), sum(distinct x), count(*) filter (where x > 1) from (values (1), (1), (2)) t(x);
select percentile_cont(0.5) within group (order by x) from (values (1::float8), (2), (2), (10)) t(x);
select percentile_disc(0.5) within group (order by x), mode() within group (order by x) from (values (1::float8), (2), (2), (10)) t(x);
select json_build_object('a', 1, 'b', 'x'), json_agg(x), jsonb_agg(x) from (values (1), (2)) t(x);
select to_json(1), to_jsonb('a'::text), row_to_json(t) from (values (1, 'b')) t(a, b);
select jsonb_array_length('[1,2,3]'), json_typeof('{"a":1}'), jsonb_build_array(1, 'a', null);
select bit_and(x), bit_or(x) from (values (6), (3)) t(x);
-- differs: the oracle is older than this function
select any_value(x) from (values (1)) t(x);
select 5 & 3, 5 | 3, 5 # 3, ~5, 1 << 4, 256 >> 2;
select gen_random_uuid() is not null, random() between 0 and 1;
select current_schema()::text, current_user::text, session_user::text;
select current_schema(), current_user;
select version() like 'PostgreSQL%', pg_backend_pid() > 0;
select nullif('', ''), coalesce('', 'x');
select num_nulls(1, null), num_nonnulls(1, null);
select array_agg(x) from (values (1), (null), (2)) t(x);
select array_position(array[1,2,3], 2), array_replace(array[1,2], 1, 9), array_upper(array[1,2], 1), array_ndims(array[1]);
select unknown_function(1);
-- differs: a number is taken for its text
select length(1);
select upper(1);
-- differs: another code of the same kind
select sum('a');
select array_remove(array[1,2,1], 1), array_replace(array[1,2,1], 1, 5);
-- differs: NULL is not found in arrays
select array_remove(array[1,null], null);
