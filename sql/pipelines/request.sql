-- One request: the nearest items of a user that the user has not seen, their features now, the click
-- model's order of them, and the shop's rules: what is still shown (fresh), two of a kind at most
-- (diverse). $1 to $4 are the user's features, $5 the items seen. One statement without a semicolon,
-- to be prepared.
WITH near AS (
  SELECT v.item, v.campaign, v.item_id, v.item_feature_0, v.item_feature_1,
         v.embedding <#> embed_user($1 || $2 || $3 || $4, model => 'shop.taste', user_feature_0 => $1,
                                    user_feature_1 => $2, user_feature_2 => $3, user_feature_3 => $4) AS d
  FROM shop.item_vectors v WHERE v.campaign = 'women' AND v.item <> ALL ($5) ORDER BY d LIMIT 20),
ranked AS (
  SELECT n.item, n.item_feature_1 AS kind, f.impressions, f.clicks,
         rank('shop.clicks', n.*, position => 1, impressions => f.impressions, clicks => f.clicks,
              user_feature_0 => $1, user_feature_1 => $2, user_feature_2 => $3, user_feature_3 => $4) AS score
  FROM near n, get_features('shop.ranker', campaign => n.campaign, item_id => n.item_id) f
  WHERE f.impressions > 0),
ruled AS (SELECT *, row_number() OVER (PARTITION BY kind ORDER BY score DESC, item) AS nth FROM ranked)
SELECT item, round(score::numeric, 5) AS score, impressions, clicks
FROM ruled WHERE nth <= 2 ORDER BY score DESC, item LIMIT 5
