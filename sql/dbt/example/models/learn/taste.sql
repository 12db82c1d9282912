{{ config(
    materialized='model',
    options={'model_type': 'two_tower', 'user_key': 'segment', 'item_key': 'item', 'label': 'clicked',
             'time': 'shown_at', 'dim': 16, 'epochs': 6, 'early_stop': false,
             'user_features': ['user_feature_0', 'user_feature_1', 'user_feature_2', 'user_feature_3'],
             'item_features': ['campaign', 'item_feature_1', 'item_feature_2', 'item_feature_3']},
) }}
select * from {{ ref('examples') }}
