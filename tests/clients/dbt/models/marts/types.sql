select
    o.id,
    o.amount * 2 as doubled,
    avg(o.amount) over (partition by o.customer_id) as average,
    o.ordered_at::date as day,
    date_trunc('month', o.ordered_at) as month,
    o.ordered_at - interval '1 hour' as before,
    'it''s ' || o.status as label,
    upper(left(c.name, 1)) as initials,
    c.active,
    c.score::double precision as score,
    row_number() over (order by o.id) as place,
    o.id::bigint as big,
    o.id::smallint as small,
    array[o.id, o.customer_id] as pair,
    case when o.amount > 10 then 'much' end as size
from {{ ref('orders') }} o
join {{ ref('customers') }} c on c.id = o.customer_id
