{{ config(materialized='incremental', unique_key='id', on_schema_change='sync_all_columns') }}
select id {% if var('round', 1) == 1 %}, amount {% else %}, status, ordered_at {% endif %}
from {{ ref('orders') }}
{% if is_incremental() %} where id > 3 {% endif %}
