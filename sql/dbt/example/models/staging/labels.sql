{# What is learned from: what the learned policy showed, with what its items are. #}
select i.item, i.campaign, i.item_id, i.position, i.shown_at, i.segment,
       i.user_feature_0, i.user_feature_1, i.user_feature_2, i.user_feature_3,
       t.item_feature_0, t.item_feature_1, t.item_feature_2, t.item_feature_3, i.clicked
from {{ ref('impressions') }} i
join {{ ref('items') }} t on t.item = i.item
where i.policy = 'bts'
