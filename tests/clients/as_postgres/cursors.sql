-- Cursors: DECLARE, FETCH, MOVE, CLOSE, what ends them, and pg_cursors.
declare c cursor for select 1;
fetch c;
move c;
close c;
close all;

begin;
declare c cursor for select x, x * 1.5 as y, 'r' || x as z from (values (1), (2), (3), (4), (5)) t(x) order by x;
fetch c;
fetch next from c;
move c;
fetch forward 5 in c;
fetch c;
fetch 0 from c;
close c;
fetch c;
rollback;

begin;
declare c scroll cursor for select x from (values (1), (2), (3), (4), (5), (6), (7)) t(x) order by x;
fetch prior from c;
fetch last from c;
fetch prior from c;
fetch backward 2 from c;
fetch first from c;
fetch absolute 4 from c;
fetch absolute -2 from c;
fetch relative -3 from c;
fetch relative 0 from c;
fetch 0 from c;
fetch absolute 0 from c;
fetch all from c;
fetch backward all from c;
move 3 from c;
move backward 1 in c;
fetch -1 from c;
move all from c;
fetch prior from c;
fetch absolute 100 from c;
fetch absolute -100 from c;
fetch forward all from c;
commit;
fetch c;

begin;
declare c no scroll cursor for select x from (values (1), (2), (3)) t(x) order by x;
fetch 2 from c;
fetch prior from c;
rollback;

begin;
declare c cursor for select 1;
declare c cursor for select 2;
rollback;

begin;
declare c cursor with hold for select x from (values (1), (2), (3)) t(x) order by x;
declare d cursor for select 1;
fetch c;
commit;
fetch c;
fetch d;
-- differs: a cursor scrolls back only if it is declared with SCROLL
select name, is_holdable, is_scrollable, is_binary from pg_cursors where name <> '' order by name;
-- differs: a statement's text is without its semicolon
select name, statement from pg_cursors where name <> '';
close c;
select count(*) from pg_catalog.pg_cursors where name = 'c';

begin;
declare c cursor with hold for select 1;
rollback;
fetch c;

declare c cursor with hold for select 1 as one;
fetch all from c;
close all;

begin;
declare before cursor for select 1 as a;
savepoint s;
declare after cursor for select 2 as a;
rollback to s;
fetch before;
savepoint s2;
fetch after;
rollback to s2;
select name from pg_cursors where name <> '' order by name;
commit;

begin; declare c cursor for select 7 as seven; fetch c; commit;
declare c cursor for select 8 as eight; fetch c; close c;
declare c cursor for select 9 as nine; fetch c;
begin;
declare c cursor for select 1/x from (values (1), (0)) t(x);
-- differs: rows are computed in batches, so the error of a later row comes earlier
fetch c;
-- differs: see above
fetch c;
fetch c;
rollback;
begin;
declare e cursor for select 1 where false;
fetch e;
fetch all from e;
move e;
fetch nowhere;
rollback;
begin;
declare "Mixed Name" cursor for select 1;
fetch "Mixed Name";
fetch mixed;
rollback;
create table cursor_rows (id int);
insert into cursor_rows values (1), (2), (3);
begin;
declare c cursor for select id from cursor_rows order by id;
fetch c;
delete from cursor_rows;
insert into cursor_rows values (10);
fetch all from c;
rollback;
prepare p as select 1;
begin;
declare c cursor for execute p;
rollback;
explain declare c cursor for selec 1;
discard all;
