select campaign || ' ' || item_id as item, campaign, item_id,
       item_feature_0, item_feature_1, item_feature_2, item_feature_3
from {{ source('shop_log', 'items') }}
