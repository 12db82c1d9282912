-- Regular expressions: operators, functions with all their arguments, what is not there.
select 'abc' ~ 'b' as a, 'abc' ~ 'B' as b, 'abc' ~* 'B' as c, 'abc' !~ 'b' as d, 'abc' !~* 'X' as e, null ~ 'a' as f, 'a' ~ null as g;
select 'a
b' ~ 'a.b' as a, 'a
b' ~ '^b' as b, 'a
b' ~ '(?n)^b' as c, 'a
b' ~ '(?n)a.b' as d, 'a
b' ~ 'a[^x]b' as e, 'a
b' ~ '(?p)a[^x]b' as f, 'a
b' ~ '(?w)^b$' as g;
select 'foo bar' ~ '\mbar\M' as a, 'foobar' ~ '\mbar' as b, 'foo bar' ~ '[[:<:]]bar[[:>:]]' as c, 'foo' ~ '\yfoo\y' as d, 'foo' ~ '\Afoo\Z' as e;
select 'a1_ ' ~ '^\w+\s$' as a, 'a1' ~ '^\D\d$' as b, E'a\tb' ~ 'a\tb' as c, 'aAa' ~ '\x41' as d, 'aAa' ~ '\u0041' as e, 'a.b' ~ 'a\.b' as f, 'axb' ~ 'a\.b' as g;
select 'x]y' ~ '[]]' as a, 'x-y' ~ '[a-]' as b, 'x&y' ~ '[&&]' as c, '[' ~ '[[]' as d, 'a^' ~ '[a^]{2}' as e, 'b7' ~ '^[[:alpha:]][[:digit:]]$' as f, '\' ~ '[\\]' as g;
select 'a.b' ~ '***=a.b' as a, 'axb' ~ '***=a.b' as b, 'AB' ~ '(?i)ab' as c, 'ab' ~ '(?x) a b # comment' as d, 'ab' ~ 'a(?#comment)b' as e, 'aab' ~ '^(?:a){2}b$' as f;
select 'ab' ~ '(a';
select 'ab' ~ '[a';
select 'ab' ~ '*a';
select 'ab' ~ 'a{2,1}';
select 'ab' ~ 'a\';
-- differs: the engine's expressions have no back references
select 'aa' ~ '(a)\1';
-- differs: the engine's expressions have no lookaround
select 'ab' ~ 'a(?=b)';
select x ~ p as a, x ~* p as b, x !~ p as c from (values ('abc', '^a'), ('abc', 'C$'), (null, 'a'), ('a', null)) t(x, p) order by x, p;
select 1 ~ 'a';
select regexp_like('abc', 'B', 'i') as a, regexp_like('abc', 'B') as b, regexp_like(null, 'a') as c, regexp_like('abc', 'a b', 'x') as d, regexp_like('a.c', 'a.c', 'q') as e;
select regexp_like('abc', 'b', 'g');
select regexp_like('abc', 'b', 'y');
select regexp_match('foobarbequebaz', '(bar)(beque)') as a, regexp_match('foobarbequebaz', 'bar.*que') as b, regexp_match('abc', 'x') as c, regexp_match('aXb', 'x', 'i') as d, regexp_match('ab', '(a)(x)?') as e, regexp_match(null, 'a') as f;
select (regexp_match('foobarbequebaz', '(bar)(beque)'))[2] as a;
select regexp_match('abc', 'b', 'g');
select regexp_matches('foobarbequebazilbarfbonk', '(b[^b]+)(b[^b]+)', 'g') as m;
select regexp_matches('foobarbequebaz', '(bar)(beque)') as m;
select regexp_matches('abc', 'x') as m;
select m[1] as a from regexp_matches('a1b22', '[0-9]+', 'g') m;
select * from regexp_matches('a1b22', '([a-z])([0-9]+)', 'g') with ordinality as t(m, n);
select id, m from (values (1, 'a1b2'), (2, 'zz'), (3, null)) t(id, s), regexp_matches(s, '[0-9]', 'g') m order by id, m;
select regexp_replace('foobarbaz', 'b..', 'X') as a, regexp_replace('foobarbaz', 'b..', 'X', 'g') as b, regexp_replace('foobarbaz', 'b(..)', 'X\1Y', 'g') as c, regexp_replace('abc', 'B', 'x', 'i') as d, regexp_replace('abc', 'b', '[\&\\]') as e, regexp_replace(null, 'a', 'b') as f, regexp_replace('abc', 'x', 'y') as g;
select regexp_replace('A PostgreSQL function', 'a|e|i|o|u', 'X', 1, 0, 'i') as a, regexp_replace('A PostgreSQL function', 'a|e|i|o|u', 'X', 1, 3, 'i') as b, regexp_replace('A PostgreSQL function', 'a|e|i|o|u', 'X', 4) as c, regexp_replace('A PostgreSQL function', 'a|e|i|o|u', 'X', 5, 2) as d;
select regexp_replace('abc', '', '-', 'g') as a, regexp_replace('abc', 'x*', '-', 'g') as b, regexp_replace('axb', 'x*', '-', 'g') as c, regexp_replace('abc', '^', '>') as d, regexp_replace('äöü', 'ö', 'o') as e, regexp_replace('äöü', '', '.', 'g') as f;
select regexp_replace('abc', 'b', 'x', 0);
select regexp_replace('abc', 'b', 'x', 1, -1);
select regexp_replace('abc', 'b', 'x', 'y');
select regexp_split_to_array('the quick  fox', '\s+') as a, regexp_split_to_array('abc', '') as b, regexp_split_to_array('abc', 'x*') as c, regexp_split_to_array('aXbxc', 'x', 'i') as d, regexp_split_to_array('', 'x') as e, regexp_split_to_array(',a,', ',') as f, regexp_split_to_array(null, ',') as g;
select regexp_split_to_table('the quick  fox', '\s+') as w;
select w from regexp_split_to_table('hello world', '\s*') w;
select * from regexp_split_to_table('a,b', ',') with ordinality as t(w, n);
select regexp_split_to_array('abc', 'b', 'g');
select regexp_count('123123123123', '\d{3}') as a, regexp_count('123123123123', '123', 3) as b, regexp_count('ABCabc', 'a', 1, 'i') as c, regexp_count('', 'a') as d, regexp_count(null, 'a') as e, regexp_count('aaa', 'x*') as f, regexp_count('äbä', 'ä', 2) as g;
select regexp_count('abc', 'b', 0);
select regexp_instr('500 Oracle Parkway', '[^ ]+', 1, 3) as a, regexp_instr('abcabc', 'b') as b, regexp_instr('abcabc', 'b', 3) as c, regexp_instr('abcabc', 'b', 1, 2, 1) as d, regexp_instr('ABC', 'b', 1, 1, 0, 'i') as e, regexp_instr('1234567890', '(123)(4(56)(78))', 1, 1, 0, 'i', 4) as f, regexp_instr('abc', 'x') as g, regexp_instr('äöü', 'ü') as h;
select regexp_instr('abc', 'b', -1);
select regexp_instr('abc', 'b', 1, 0);
select regexp_instr('abc', 'b', 1, 1, 2);
select regexp_substr('number of your street, town', '[^,]+') as a, regexp_substr('abcabd', 'ab.', 1, 2) as b, regexp_substr('ABC', 'b.', 1, 1, 'i') as c, regexp_substr('1234567890', '(123)(4(56)(78))', 1, 1, 'i', 2) as d, regexp_substr('abc', 'x') as e, regexp_substr('abcabc', 'b', 10) as f;
select substring('foobar' from 'o.b') as a, substring('foobar' from 'o(.)b') as b, substring('foobar' from 'x') as c, substring('foobar', 'b..') as d, substring(null from 'a') as e, substring('foobar' from 2 for 3) as f;
select substring(s from p) as a from (values ('abc', 'b.'), ('xyz', '(y)')) t(s, p) order by 1;
select 'abc' similar to 'a%' as a, 'abc' similar to 'b%' as b, 'abc' similar to '_b_' as c, 'abc' not similar to 'a' as d;
select count(*) from (values ('ab'), ('cb'), ('xx')) t(s) where s ~ '^[ac]b$' and s !~ 'x';
