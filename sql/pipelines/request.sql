-- One request: the nearest items of a user, their features now, the click model's order of them.
-- $1 to $4 are the user's features. One statement without a semicolon, to be prepared.
WITH near AS (
  SELECT v.item, v.campaign, v.item_id, v.item_feature_0, v.item_feature_1,
         v.embedding <#> embed_user($1 || $2 || $3 || $4, model => 'shop.taste', user_feature_0 => $1,
                                    user_feature_1 => $2, user_feature_2 => $3, user_feature_3 => $4) AS d
  FROM shop.item_vectors v WHERE v.campaign = 'women' ORDER BY d LIMIT 20)
SELECT n.item, round(rank('shop.clicks', n.*, position => 1, impressions => f.impressions, clicks => f.clicks,
                    user_feature_0 => $1, user_feature_1 => $2, user_feature_2 => $3,
                    user_feature_3 => $4)::numeric, 5) AS score,
       f.impressions, f.clicks
FROM near n, get_features('shop.ranker', campaign => n.campaign, item_id => n.item_id) f
ORDER BY score DESC, n.item LIMIT 5
