{#
  materialized: feature_view.

    config(materialized='feature_view', key=['user_id'], timestamp='ts', created='loaded_at',
           ttl='1 day', delay='5 minutes', with={'owner': 'ranking'})
    select …
#}
{% materialization feature_view, adapter='postgres' %}
  {%- set key = config.get('key', []) -%}
  {%- set created = config.get('created') -%}
  {%- set ttl = config.get('ttl') -%}
  {%- set delay = config.get('delay') -%}
  {%- set with = config.get('with') -%}
  {{ run_hooks(pre_hooks) }}
  {% call statement('main') -%}
    CREATE OR REPLACE FEATURE VIEW {{ this.include(database=false) }}
    {% if key %}KEY ({{ ([key] if key is string else key) | join(', ') }}){% endif %}
    TIMESTAMP {{ config.require('timestamp') }}
    {% if created %}CREATED {{ created }}{% endif %}
    {% if ttl %}TTL INTERVAL {{ sextant.sextant_literal(ttl) }}{% endif %}
    {% if delay %}DELAY INTERVAL {{ sextant.sextant_literal(delay) }}{% endif %}
    {% if config.get('online') %}ONLINE{% endif %}
    {% if with %}WITH ({{ sextant.sextant_pairs(with) }}){% endif %}
    AS {{ sql }}
  {%- endcall %}
  {{ run_hooks(post_hooks) }}
  {{ adapter.commit() }}
  {%- set relation = this.incorporate(type='view') -%}
  {% do persist_docs(relation, model) %}
  {{ return({'relations': [relation]}) }}
{% endmaterialization %}
