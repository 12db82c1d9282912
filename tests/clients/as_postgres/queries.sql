-- The shapes of queries.
drop table if exists t, u;
create table t (id int, g text, x float8, n numeric(10,2), b bigint);
insert into t values (1, 'a', 1.5, 10.25, 100), (2, 'a', 2.5, 20, 200), (3, 'b', null, 30, 300), (4, null, 4, null, null);
create table u (id int, name text);
insert into u values (1, 'one'), (2, 'two'), (9, 'nine');
select * from t order by id;
select id, t.g, t.* from t order by id limit 1;
select g, count(*), sum(x), sum(n), min(b) from t group by g order by g;
-- differs: a numeric result has one scale, which it shows
select avg(n) from t;
select g, count(*) from t group by 1 having count(*) > 1 order by 1;
select g as k, sum(b) s from t group by k order by s desc nulls last;
select sum(b::bigint), sum(b::float8), max(b::float4), max(b::int) from t;
-- differs: the sum of reals is double precision
select sum(b::float4) from t;
select id, sum(b) over (order by id), row_number() over (partition by g order by id), lag(x) over (order by id) from t order by id;
select id, rank() over (order by g), dense_rank() over (order by g), first_value(id) over w from t window w as (order by id) order by id;
select * from t join u using (id) order by id;
select * from t full join u using (id) order by id;
select id from t full join u using (id) order by id;
select t.id, u.id from t full join u on t.id = u.id order by 1, 2;
select * from t natural join u order by id;
select t.id, name from t left join u on u.id = t.id order by 1;
select * from t, u where t.id = u.id order by t.id;
select * from t cross join u order by t.id, u.id limit 2;
select id from t where exists (select 1 from u where u.id = t.id) order by id;
select id, exists (select 1 from u where u.id = t.id) from t order by id;
select id from t where id in (select id from u) order by id;
select id from t where id not in (select id from u) order by id;
select id, (select name from u where u.id = t.id) from t order by id;
select (select id from t);
select (select id from t where false);
select t.id, l.name from t, lateral (select name from u where u.id = t.id) l order by 1;
select t.id, l.c from t left join lateral (select count(*) c from u where u.id <= t.id) l on true order by 1;
select id from t union select id from u order by id;
select id from t intersect select id from u order by id;
select id from t except select id from u order by id;
select id from t union all select id from u order by id;
-- differs: another code
select 1 union select 'a';
-- differs: a numeric result has one scale, which it shows
select 1 as a union select 2.5 order by a;
select 1.5::float8 as a union select 2.5 order by a;
-- differs: NULL is text before it meets the other side
select null union select 1 order by 1;
with c as (select id from t where id < 3) select * from c order by id;
with recursive r(n) as (select 1 union all select n + 1 from r where n < 5) select * from r;
-- differs: data is changed at the top of a statement only
with d as (delete from u where id = 10 returning *) select * from d;
with i as (select 7 as id, 'seven' as name) insert into u select * from i;
with w as (select 7 as id) delete from u using w where u.id = w.id;
with w as (select 1 as id) update u set name = 'uno' from w where u.id = w.id;
select * from u order by id;
select distinct g from t order by g;
select distinct on (g) g, id from t order by g, id desc;
select * from t order by g nulls first, id desc limit 2 offset 1;
select * from t order by id fetch first 2 rows only;
values (1, 'a'), (2, 'b');
select * from (values (1, 'a'), (2, 'b')) as v(i, s) order by i desc;
select * from (table u) order by 1;
select count(*) from t where x > 1 and g = 'a' or n is null;
select g, grouping(g), count(*) from t group by rollup(g) order by 1, 2;
select g, id, count(*) from t group by grouping sets ((g), (id), ()) order by 1, 2, 3;
select g, id, count(*) from t group by cube(g, id) order by 1, 2;
select id, case when x > 2 then 'hi' when x is null then 'none' else 'lo' end as c from t order by id;
select max(id) + 1 as next, count(*) filter (where g = 'a') as fa from t;
select id id2 from t where id = 1;
select "id" from t where id = 1;
select ID from T where Id = 1;
select id "ID" from t where id = 1;
-- differs: a table's row as a value
select t from t where id = 1;
select nope from t;
select t.nope from t;
select * from nope;
select id from t group by g;
select g, id from t group by g;
select count(*) from t where count(*) > 1;
select id from t, u;
select 1 from t having count(*) > 0;
select id, id from t order by id limit 1;
-- differs: the text is read as a number, and fails there
select * from t where g = 1;
select * from t where id = 'x';
select * from t where id = '1';
select * from t where id = 1.0;
select id + g from t;
select -g from t;
select * from t where g;
select * from t limit -1;
select * from t order by 99;
select * from t limit 'x';
selec 1;
select 1 1;
select (1;
select 'abc;
