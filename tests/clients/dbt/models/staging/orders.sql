select id, customer_id, amount, ordered_at, status, note
from {{ source('shop', 'raw_orders') }}
