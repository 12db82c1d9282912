-- char(n) and bpchar: blanks behind the text are shown, and count for nothing.
create table chars (id int, c char(5), d char, v varchar(5), b bpchar);
insert into chars values (1, 'ab', 'x', 'ab', 'ab'), (2, 'abcde', 'y', 'abcde', 'q'), (3, 'ab   ', 'z', 'ab   ', null), (4, null, null, null, 'ab');
select * from chars order by id;
select id, c || '|' as a, length(c), char_length(c), octet_length(c), c::text || '|' as t, v || '|' as v from chars order by id;
select id from chars where c = 'ab' order by id;
select id from chars where c = 'ab   ' order by id;
select id from chars where c = v order by id;
select id from chars where c = 'ab'::text order by id;
select id from chars where c in ('ab', 'x') order by id;
select id from chars where c like 'ab' order by id;
select id from chars where c like 'ab%' order by id;
select c, count(*) from chars group by c order by c;
select distinct c from chars order by c;
-- differs: what aggregates make of it is text
select min(c), max(c) from chars;
select min(c) = 'ab   '::char(5) as a from chars where id = 1;
select 'ab'::char(5) as a, 'abcdefg'::char(3) as b, 'ab'::char(5) || '|' as c, length('ab '::char(5)) as d, 'a'::char(3) = 'a  '::char(5) as e, 'abc'::char as f, 'a  '::bpchar = 'a' as g;
select pg_typeof('a'::char(3)), pg_typeof('a'::bpchar), pg_typeof(c) from chars limit 1;
select upper(c) || '|' as a, substr(c, 1, 3) || '|' as b, replace(c, ' ', '.') as d, concat(c, '|') as e, left(c, 4) || '|' as f, lpad(c, 6, '.') as g from chars where id = 1;
insert into chars (c) values ('abcdef');
insert into chars (c) values ('abcde  ');
update chars set c = 'zz' where id = 2;
select c from chars where id = 2;
select a.id, b.id from chars a join chars b on a.c = b.c where a.id < b.id order by 1, 2;
-- differs: what values that meet become is text
select coalesce(c, 'none') as a, case when id = 1 then c else 'x' end as b from chars order by id;
select column_name, data_type, character_maximum_length from information_schema.columns where table_name = 'chars' order by ordinal_position;
select attname, atttypid::regtype, atttypmod, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'chars'::regclass and attnum > 0 and attname <> 'b' order by attnum;
select to_json(c), json_build_object('c', c) from chars where id = 1;
create table chars2 as select c, d from chars;
select c || '|' as a from chars2 order by 1;
-- differs: what aggregates make of it is text
select array_agg(c order by id) from chars where id < 3;
select c from chars order by c desc nulls last;
