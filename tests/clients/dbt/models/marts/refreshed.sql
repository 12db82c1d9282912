{{ config(materialized='materialized_view', indexes=[{'columns': ['status']}]) }}
select status, count(*) as orders, max(amount) as highest
from {{ ref('totals') }} t join {{ source('shop', 'raw_orders') }} o using (customer_id)
group by status
