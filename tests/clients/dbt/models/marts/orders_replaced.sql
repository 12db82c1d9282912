{{ config(materialized='incremental', unique_key='id', incremental_strategy='delete+insert') }}
select id, status, amount, {{ var('round', 1) }} as round from {{ ref('orders') }}
{% if is_incremental() %} where id >= 3 {% endif %}
