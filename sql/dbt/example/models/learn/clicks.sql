{{ config(
    materialized='model',
    transform="(coalesce(clicks, 0) + 1.0) / (coalesce(impressions, 0) + 200) AS rate,
               standard_scaler(ln(1 + coalesce(impressions, 0))) OVER () AS shown,
               position, campaign, item_feature_0, item_feature_1,
               user_feature_0, user_feature_1, user_feature_2, user_feature_3",
    options={'model_type': 'logistic', 'label': 'clicked', 'time': 'shown_at',
             'test_fraction': 0.2, 'l2': 0.01},
) }}
select * from {{ ref('examples') }}
