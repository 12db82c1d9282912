{{ config(
    materialized='model',
    options={'model_type': 'linear', 'label': 'y', 'l2': 0, 'test_fraction': 0.2},
    transform='x * 2 AS doubled',
    tags_of_version={'why': "it's a test"},
) }}
select x, y from {{ ref('points') }}
