{{ config(materialized='incremental', unique_key=['customer_id', 'id'],
          incremental_strategy='delete+insert') }}
select customer_id, id, status, {{ var('round', 1) }} as round from {{ ref('orders') }}
{% if is_incremental() %} where id >= 2 {% endif %}
