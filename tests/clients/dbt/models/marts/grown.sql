{{ config(materialized='incremental', unique_key='id', on_schema_change='append_new_columns') }}
select id, amount {% if var('round', 1) > 1 %}, status, amount * 2 as doubled {% endif %}
from {{ ref('orders') }}
{% if is_incremental() %} where id > 3 {% endif %}
