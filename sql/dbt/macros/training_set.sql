{#
  materialized: training_set. A table with a manifest, from which the same rows can be made again. Each
  run makes it anew beside the old one, which is there until the new one takes its place.

    config(materialized='training_set')
    select * from training_set('{{ ref("labels") }}', '{{ this.schema }}.ranker', label_time => 'ts')

  It reads what is committed, so hooks that change tables run after it, or outside of its transaction.
#}
{% materialization training_set, adapter='postgres' %}
  {%- set target = this.incorporate(type='table') -%}
  {%- set made = make_intermediate_relation(target) -%}
  {%- set there = load_cached_relation(this) -%}
  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}
  {% call statement('main') -%}
    CREATE TRAINING SET {{ made.include(database=false) }} AS {{ sql }}
  {%- endcall %}
  {% if there is not none %}{% do adapter.drop_relation(there) %}{% endif %}
  {% do adapter.rename_relation(made, target) %}
  {% do persist_docs(target, model) %}
  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {{ adapter.commit() }}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
  {{ return({'relations': [target]}) }}
{% endmaterialization %}
