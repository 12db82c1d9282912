{{ config(materialized='training_set') }}
-- depends_on: {{ ref('ranker') }}
select * from training_set('{{ ref("labels") }}', '{{ this.schema }}.ranker', label_time => 'shown_at')
