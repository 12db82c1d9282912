{#
  materialized: model. Each run trains another version; an alias moves when somebody moves it.

    config(materialized='model', options={'model_type': 'gbdt', 'label': 'clicked'},
           transform="ln(1 + amount) AS amount, country", tags_of_version={'run': 'nightly'})
    select …
#}
{% materialization model, adapter='postgres' %}
  {%- set options = config.require('options') -%}
  {%- set transform = config.get('transform') -%}
  {%- set tags = config.get('tags_of_version') -%}
  {{ run_hooks(pre_hooks) }}
  {% call statement('main') -%}
    CREATE OR REPLACE MODEL {{ this.include(database=false) }}
    {% if transform %}TRANSFORM ({{ transform }}){% endif %}
    OPTIONS ({{ sextant.sextant_pairs(options) }})
    {% if tags %}WITH TAGS ({{ sextant.sextant_pairs(tags) }}){% endif %}
    AS {{ sql }}
  {%- endcall %}
  {{ run_hooks(post_hooks) }}
  {{ adapter.commit() }}
  {{ return({'relations': []}) }}
{% endmaterialization %}
