{{ config(materialized='incremental', unique_key='id', incremental_strategy='merge',
          merge_exclude_columns=['first_round']) }}
select id, status, {{ var('round', 1) }} as first_round, {{ var('round', 1) }} as last_round
from {{ ref('orders') }}
