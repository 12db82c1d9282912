{{ config(materialized='feature_view', key='id', timestamp='at', ttl='1 day', with={'owner': 'ann'}) }}
select id, at, x from {{ ref('points') }}
