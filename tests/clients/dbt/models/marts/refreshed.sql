{{ config(materialized='materialized_view', indexes=[{'columns': ['status']}]) }}
select status, count(*) as orders, max(amount) as highest
from {{ source('shop', 'raw_orders') }}
group by status
