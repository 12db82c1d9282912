{{ config(materialized='view' if var('round', 1) % 2 else 'table') }}
select id, {{ var('round', 1) }} as round from {{ ref('orders') }}
