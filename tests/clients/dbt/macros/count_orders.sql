{% macro count_orders() %}
  {% set found = run_query("select count(*) from " ~ ref('orders')) %}
  {{ log("orders: " ~ found.columns[0].values()[0], info=true) }}
{% endmacro %}
