{#
  materialized: feature_service. The text is the list of features that a model uses, as after AS in
  CREATE FEATURE SERVICE.

    config(materialized='feature_service')
    {{ ref('user_stats') }}(score, orders), {{ ref('user_stats') }} AS seller KEY (seller_id)
#}
{% materialization feature_service, adapter='postgres' %}
  {{ run_hooks(pre_hooks) }}
  {% call statement('main') -%}
    CREATE OR REPLACE FEATURE SERVICE {{ this.include(database=false) }} AS {{ sql }}
  {%- endcall %}
  {{ run_hooks(post_hooks) }}
  {{ adapter.commit() }}
  {{ return({'relations': []}) }}
{% endmaterialization %}
