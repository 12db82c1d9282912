select campaign || ' ' || item_id as item, campaign, item_id, position, "timestamp" as shown_at,
       user_feature_0 || user_feature_1 || user_feature_2 || user_feature_3 as segment,
       user_feature_0, user_feature_1, user_feature_2, user_feature_3,
       policy, click = 1 as clicked
from {{ source('shop_log', 'impressions') }}
