-- Features of the shop's items, as they were known at each impression: no value from the future.
-- Goes on where first_look ends.

-- step: click-through of every item by the hour, as a feature view
DROP FEATURE SERVICE IF EXISTS shop.ranker;
DROP FEATURE VIEW IF EXISTS shop.item_clicks;
CREATE FEATURE VIEW shop.item_clicks
  KEY (campaign, item_id) TIMESTAMP hour_end TTL INTERVAL '7 days' WITH (owner = 'ranking') AS
SELECT campaign, item_id, hour_end,
       sum(shown) OVER so_far AS impressions,
       sum(clicked) OVER so_far AS clicks
FROM (SELECT campaign, item_id, date_trunc('hour', timestamp) + INTERVAL '1 hour' AS hour_end,
             count(*) AS shown, sum(click) AS clicked
      FROM shop.impressions GROUP BY 1, 2, 3) AS hours
WINDOW so_far AS (PARTITION BY campaign, item_id ORDER BY hour_end);
CREATE FEATURE SERVICE shop.ranker AS shop.item_clicks;
SELECT view_name, version, key, timestamp_column, ttl, owner FROM ml.feature_views
WHERE schema_name = 'shop';

-- step: where the features come from
SELECT feature_name, source_name, source_column FROM ml.lineage
WHERE schema_name = 'shop' ORDER BY 1, 3;

-- step: a training set: every impression with what was known of its item then
CREATE TRAINING SET shop.training AS
SELECT * FROM training_set(
  'SELECT campaign, item_id, timestamp, position, click FROM shop.impressions', 'shop.ranker');
SELECT count(*) AS labels, count(impressions) AS with_features, sum(impressions) AS impressions,
       sum(clicks) AS clicks
FROM shop.training;

-- step: half the log comes back
INSERT INTO shop.impressions
SELECT * FROM shop.impressions VERSION AS OF 'before_cleaning' WHERE policy = 'random';
SELECT policy, count(*) AS impressions FROM shop.impressions GROUP BY policy ORDER BY policy;

-- step: made again from its manifest, the training set is what it was, not what it would be now
CREATE TRAINING SET shop.training_again AS OF shop.training;
DELETE FROM shop.impressions WHERE policy = 'random';
SELECT table_name, row_count, feature_views FROM ml.training_sets WHERE schema_name = 'shop' ORDER BY table_name;
SELECT count(*) AS rows_that_differ FROM (
  (SELECT * FROM shop.training EXCEPT ALL SELECT * FROM shop.training_again)
  UNION ALL
  (SELECT * FROM shop.training_again EXCEPT ALL SELECT * FROM shop.training)) d;

-- step: the same join spelled out, for one day
SELECT count(*) AS labels, count(f.impressions) AS with_features, sum(f.clicks) AS clicks
FROM (SELECT * FROM shop.impressions WHERE CAST(timestamp AS date) = '2019-11-26') AS i
LEFT JOIN shop.item_clicks AS OF i.timestamp f
       ON f.campaign = i.campaign AND f.item_id = i.item_id;

-- step: the rows of the feature view are kept, for readers that need not run its query
REFRESH FEATURE VIEW shop.item_clicks;
SELECT view_name, refreshed_rows, refresh_lag FROM ml.feature_views
WHERE schema_name = 'shop' AND view_name = 'item_clicks';

-- step: the features of an item as they were at noon, as a model asks for them
SET sextant.now = '2019-11-26 12:00:00+00';
SELECT item_id, impressions, clicks, item_clicks_status
FROM get_features('shop.ranker', campaign => 'all', item_id => ARRAY[17, 4, 1000]);
RESET sextant.now;
