{{ config(materialized='incremental', incremental_strategy='append') }}
select id, status, {{ var('round', 1) }} as round from {{ ref('orders') }}
{% if is_incremental() %} where id > (select max(id) - 1 from {{ this }}) {% endif %}
