-- The nightly run, as statements: refresh, retrain, measure, promote if better, look for drift.
--
--   psql -v night=2019-11-29 -f nightly.sql
--
-- `night` is the midnight at which it runs; the day before it is fresh, and no version has learned from it.
-- Goes on where the demo ends. Run again for a night, it trains the same once more, which is not better than itself.
\set ON_ERROR_STOP on
\set QUIET on
SET timezone = 'UTC';
SET client_min_messages = warning;

-- Refresh: the rows of the feature view are kept anew, and impressions that came since become examples,
-- each with what was known of its item at its time.
REFRESH FEATURE VIEW shop.item_clicks;
INSERT INTO shop.examples
SELECT i.campaign || ' ' || i.item_id, i.campaign, i.item_id, i.position, i.timestamp,
       i.user_feature_0 || i.user_feature_1 || i.user_feature_2 || i.user_feature_3,
       i.user_feature_0, i.user_feature_1, i.user_feature_2, i.user_feature_3,
       t.item_feature_0, t.item_feature_1, t.item_feature_2, t.item_feature_3,
       coalesce(f.impressions, 0), coalesce(f.clicks, 0), i.click = 1
FROM shop.impressions i
JOIN shop.items t ON t.campaign = i.campaign AND t.item_id = i.item_id
LEFT JOIN shop.item_clicks AS OF i.timestamp f ON f.campaign = i.campaign AND f.item_id = i.item_id
WHERE i.timestamp > (SELECT max(shown_at) FROM shop.examples);

CREATE OR REPLACE VIEW shop.fresh AS
SELECT * FROM shop.examples
WHERE shown_at >= timestamptz :'night' - INTERVAL '1 day' AND shown_at < timestamptz :'night';
CREATE OR REPLACE VIEW shop.learned AS
SELECT * FROM shop.examples WHERE shown_at < timestamptz :'night' - INTERVAL '1 day';
CREATE TABLE IF NOT EXISTS shop.nights
  (night date, version bigint, candidate float8, champion float8, promoted boolean, drifted text[]);

-- Retrain. The first version is the champion, a later one is the candidate.
CREATE OR REPLACE MODEL shop.nightly
  TRANSFORM ((clicks + 1.0) / (impressions + 200) AS rate,
             standard_scaler(ln(1 + impressions)) OVER () AS shown,
             position, campaign, item_feature_0, item_feature_1,
             user_feature_0, user_feature_1, user_feature_2, user_feature_3)
  OPTIONS (model_type = 'logistic', label = 'clicked', time = 'shown_at', test_fraction = 0, l2 = 0.01)
  WITH TAGS (night = :'night')
  AS SELECT * FROM shop.learned;

-- Measure both on the same rows, and promote the candidate if it is better. A day without rows decides nothing.
DELETE FROM shop.nights WHERE night = :'night';
INSERT INTO shop.nights (night, version, candidate, champion, promoted)
SELECT :'night', m.newest_version, new.value, old.value, coalesce(new.value < old.value, false)
FROM ml.models m,
     evaluate('shop.nightly@candidate', 'SELECT * FROM shop.fresh', metrics => ARRAY['log_loss'], bootstrap => 0) new,
     evaluate('shop.nightly@champion', 'SELECT * FROM shop.fresh', metrics => ARRAY['log_loss'], bootstrap => 0) old
WHERE m.schema_name = 'shop' AND m.model_name = 'nightly';
SELECT version, promoted FROM shop.nights WHERE night = :'night' \gset
\if :promoted
ALTER MODEL shop.nightly SET ALIAS champion = :version;
\endif

-- Drift: features of the fresh day, and what the champion says of it, against what it learned from.
WITH both_times AS (
  SELECT false AS fresh, position, campaign, impressions, predict_proba('shop.nightly', l.*) AS prediction
  FROM shop.learned l
  UNION ALL
  SELECT true, position, campaign, impressions, predict_proba('shop.nightly', f.*) FROM shop.fresh f
), compared AS (
  SELECT 'position' AS feature, psi(position, fresh) AS r FROM both_times
  UNION ALL SELECT 'campaign', psi(campaign, fresh) FROM both_times
  UNION ALL SELECT 'impressions', psi(impressions, fresh) FROM both_times
  UNION ALL SELECT 'prediction', psi(prediction, fresh) FROM both_times
)
UPDATE shop.nights
SET drifted = (SELECT array_agg(feature ORDER BY feature) FILTER (WHERE (r).drifted) FROM compared)
WHERE night = :'night';

SELECT night, version, round(candidate::numeric, 6) AS candidate, round(champion::numeric, 6) AS champion,
       promoted, drifted
FROM shop.nights WHERE night = :'night';
