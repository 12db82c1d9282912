select id, x, 3 * x + 1 as y, timestamp '2026-01-01' + id * interval '1 hour' as at
from (select i as id, i::float8 as x from generate_series(1, 200) s(i)) p
