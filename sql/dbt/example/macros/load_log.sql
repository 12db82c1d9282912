{# Loads the shop's log into schema shop_log. `data` is a folder that the server can read; it comes
   with the project, which dbt is run in. #}
{% macro load_log() %}
  {%- set data = var('data', env_var('PWD', '.') ~ '/../../pipelines/data') -%}
  CREATE SCHEMA IF NOT EXISTS shop_log;
  CREATE TABLE IF NOT EXISTS shop_log.impressions AS
    SELECT * FROM read_parquet({{ sextant.sextant_literal(data ~ '/obd_impressions.parquet') }});
  CREATE TABLE IF NOT EXISTS shop_log.items AS
    SELECT * FROM read_parquet({{ sextant.sextant_literal(data ~ '/obd_items.parquet') }});
{% endmacro %}
