{{ config(
    indexes=[{'columns': ['customer_id'], 'unique': true}],
    pre_hook="insert into {{ target.schema }}.runs values ('before', 'totals')",
    post_hook=["insert into {{ target.schema }}.runs values ('after', 'totals')",
               {"sql": "vacuum {{ this }}", "transaction": false}]
) }}
select customer_id, count(*) as orders, sum(amount) as spent
from {{ ref('orders') }}
group by customer_id
