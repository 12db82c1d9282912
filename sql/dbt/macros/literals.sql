{# A value of YAML as SQL spells it: texts, numbers, booleans and lists of these. #}
{% macro sextant_literal(value) -%}
  {%- if value is boolean -%}
    {{ 'true' if value else 'false' }}
  {%- elif value is number -%}
    {{ value }}
  {%- elif value is string -%}
    '{{ value | replace("'", "''") }}'
  {%- else -%}
    ARRAY[{% for item in value %}{{ sextant.sextant_literal(item) }}{{ ', ' if not loop.last }}{% endfor %}]
  {%- endif -%}
{%- endmacro %}

{# `name = value, …` of a mapping. #}
{% macro sextant_pairs(values) -%}
  {% for name, value in values.items() %}"{{ name }}" = {{ sextant.sextant_literal(value) }}{{ ', ' if not loop.last }}{% endfor %}
{%- endmacro %}
