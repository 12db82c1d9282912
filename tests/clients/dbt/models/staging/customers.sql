select id, name, joined, active, score::numeric(6, 2) as score
from {{ source('shop', 'raw_customers') }}
