-- Models over the shop's impressions: a click model and two towers, tested on days they have not seen,
-- asked by one statement; then the experiment, and drift.
-- Goes on where features ends.
--
-- `:request` is the text of request.sql.

-- step: what is learned from: impressions with the features that were known then
DROP MODEL IF EXISTS shop.clicks;
DROP MODEL IF EXISTS shop.taste;
DROP TABLE IF EXISTS shop.examples;
CREATE TABLE shop.examples AS
SELECT i.campaign || ' ' || i.item_id AS item, i.campaign, i.item_id, i.position, i.timestamp AS shown_at,
       i.user_feature_0 || i.user_feature_1 || i.user_feature_2 || i.user_feature_3 AS segment,
       i.user_feature_0, i.user_feature_1, i.user_feature_2, i.user_feature_3,
       t.item_feature_0, t.item_feature_1, t.item_feature_2, t.item_feature_3,
       coalesce(f.impressions, 0) AS impressions, coalesce(f.clicks, 0) AS clicks,
       i.click = 1 AS clicked
FROM shop.impressions i
JOIN shop.items t ON t.campaign = i.campaign AND t.item_id = i.item_id
LEFT JOIN shop.item_clicks AS OF i.timestamp f ON f.campaign = i.campaign AND f.item_id = i.item_id;
SELECT count(*) AS examples, count(DISTINCT segment) AS segments, count(DISTINCT item) AS items,
       sum(clicked::int) AS clicks FROM shop.examples;

-- step: their quality before anything is learned
SELECT coalesce(column_name, rule) AS checked, null_count, distinct_count, violations
FROM data_quality('shop.examples', columns => ARRAY['item', 'segment', 'impressions'],
                  rules => ARRAY['clicks <= impressions', 'position BETWEEN 1 AND 3']);

-- step: a click model, its preprocessing kept inside it, tested on the last fifth of the week
CREATE MODEL shop.clicks
  TRANSFORM ((clicks + 1.0) / (impressions + 200) AS rate,
             standard_scaler(ln(1 + impressions)) OVER () AS shown,
             position, campaign, item_feature_0, item_feature_1,
             user_feature_0, user_feature_1, user_feature_2, user_feature_3)
  OPTIONS (model_type = 'logistic', label = 'clicked', time = 'shown_at', test_fraction = 0.2, l2 = 0.01)
  AS SELECT * FROM shop.examples;
SELECT metric, round(value::numeric, 4) AS value FROM ml.model_metrics
WHERE schema_name = 'shop' AND model_name = 'clicks' ORDER BY 1;

-- step: another version, of trees, which is a candidate until somebody promotes it
CREATE OR REPLACE MODEL shop.clicks
  TRANSFORM ((clicks + 1.0) / (impressions + 200) AS rate, impressions, position, campaign,
             item_feature_0, item_feature_1,
             user_feature_0, user_feature_1, user_feature_2, user_feature_3)
  OPTIONS (model_type = 'gbdt', label = 'clicked', time = 'shown_at', test_fraction = 0.2,
           num_iterations = 40, learning_rate = 0.05, num_leaves = 7)
  WITH TAGS (tried = 'trees')
  AS SELECT * FROM shop.examples;
SELECT version, aliases, kind, training_rows, test_rows FROM ml.model_versions
WHERE schema_name = 'shop' AND model_name = 'clicks' ORDER BY version;

-- step: both on the same rows: intervals overlap, nothing is decided; a wrong choice is undone by ROLLBACK
SELECT 'champion' AS version, metric, value::numeric(8, 4), ci_low::numeric(8, 4), ci_high::numeric(8, 4)
FROM evaluate('shop.clicks@champion',
              'SELECT * FROM shop.examples WHERE shown_at >= ''2019-11-29 12:00+00''',
              metrics => ARRAY['auc', 'log_loss'])
UNION ALL
SELECT 'candidate', metric, value::numeric(8, 4), ci_low::numeric(8, 4), ci_high::numeric(8, 4)
FROM evaluate('shop.clicks@candidate',
              'SELECT * FROM shop.examples WHERE shown_at >= ''2019-11-29 12:00+00''',
              metrics => ARRAY['auc', 'log_loss'])
ORDER BY metric, version;
ALTER MODEL shop.clicks SET ALIAS champion = 2;
ALTER MODEL shop.clicks ROLLBACK;
SELECT event, version, alias, version_before FROM ml.model_events WHERE schema_name = 'shop' AND model_name = 'clicks';

-- step: two towers: segments of users and items as vectors; what was shown and not clicked counts too
CREATE MODEL shop.taste
  OPTIONS (model_type = 'two_tower', user_key = 'segment', item_key = 'item', label = 'clicked',
           time = 'shown_at', dim = 16, epochs = 6, early_stop = false,
           user_features = ARRAY['user_feature_0', 'user_feature_1', 'user_feature_2', 'user_feature_3'],
           item_features = ARRAY['campaign', 'item_feature_1', 'item_feature_2', 'item_feature_3'])
  AS SELECT * FROM shop.examples;
SELECT model_name, kind, newest_version, champion FROM ml.models WHERE schema_name = 'shop';

-- step: vectors of all items, and an index over them
DROP TABLE IF EXISTS shop.item_vectors;
CREATE TABLE shop.item_vectors AS
SELECT t.campaign || ' ' || t.item_id AS item, t.campaign, t.item_id, t.item_feature_0, t.item_feature_1,
       embed_item(t.campaign || ' ' || t.item_id, model => 'shop.taste', campaign => t.campaign,
                  item_feature_1 => t.item_feature_1, item_feature_2 => t.item_feature_2,
                  item_feature_3 => t.item_feature_3) AS embedding
FROM shop.items t;
CREATE INDEX item_vectors_near ON shop.item_vectors USING ivf (embedding vector_ip_ops);
SELECT count(*) AS items, count(embedding) AS with_vector, max(vector_dims(embedding)) AS dimensions
FROM shop.item_vectors;

-- step: one request: the nearest items not seen, their features now, the click model's order, the shop's rules
SET sextant.now = '2019-11-30 12:00:00+00';
PREPARE recommend (text, text, text, text, text[]) AS :request;
EXECUTE recommend ('81ce123cbb5bd8ce818f60fb3586bba5', '03a5648a76832f83c859d46bc06cb64a',
                   '2d03db5543b14483e52d761760686b64', '2723d2eb8bba04e0362098011fa3997b',
                   ARRAY['women 10', 'women 25']);
DEALLOCATE recommend;
RESET sextant.now;

-- step: the experiment: are the arms as large as planned, one to one?
SELECT (r).counts AS impressions, round((r).p_value::numeric, 4) AS p_value, (r).flag AS mismatch
FROM (SELECT ab_srm(policy, ARRAY[1, 1]) AS r
      FROM shop.impressions VERSION AS OF 'before_cleaning') t;

-- step: did the learned policy click better than the random one? in all and by campaign, four questions corrected
SELECT coalesce(slice_value, '(in all)') AS campaign, n_control AS random, n_treatment AS learned,
       round(lift::numeric, 4) AS lift, round(p_value::numeric, 4) AS p_value,
       round(p_adjusted::numeric, 4) AS p_adjusted,
       CASE WHEN p_adjusted < 0.05 AND lift > 0 THEN 'ship' ELSE 'not shown to be better' END AS decision
FROM ab_report('SELECT policy, campaign, click FROM shop.impressions VERSION AS OF ''before_cleaning''',
               variant => 'policy', control => 'random', metrics => ARRAY['click'],
               slices => ARRAY['campaign'], correction => 'holm')
ORDER BY slice_value NULLS FIRST;

-- step: may it be shipped? tests that are valid however often one looks
SELECT metric, role, verdict, decision, reason
FROM ab_decision('SELECT * FROM shop.impressions VERSION AS OF ''before_cleaning''', variant => 'policy',
                 control => 'random', arms => 'random, bts',
                 metrics => 'PRIMARY click, GUARDRAIL click AS clicks MAX REGRESSION 50 PERCENT')
ORDER BY metric;

-- step: the next experiment: a tenth of the segments, half of them; whoever was in it stays
DROP EXPERIMENT IF EXISTS shop.ranking;
CREATE EXPERIMENT shop.ranking UNIT segment ARMS (bts 50, taste 50)
  METRICS (PRIMARY click, GUARDRAIL click AS clicks MAX REGRESSION 50 PERCENT);
ALTER EXPERIMENT shop.ranking RAMP TO 10 PERCENT;
DROP TABLE IF EXISTS shop.exposed;
CREATE TABLE shop.exposed AS
SELECT segment, ab_assign('shop.ranking', segment) AS arm FROM (SELECT DISTINCT segment FROM shop.examples) s;
ALTER EXPERIMENT shop.ranking RAMP TO 50 PERCENT;
SELECT count(*) AS segments, count(arm) AS before, count(ab_assign('shop.ranking', segment)) AS now,
       count(*) FILTER (WHERE arm <> ab_assign('shop.ranking', segment)) AS moved
FROM shop.exposed;
ALTER EXPERIMENT shop.ranking STOP REASON 'the demo ends';
SELECT e.event, e.ramp, e.reason FROM ml.experiment_events e
WHERE e.experiment_name = 'ranking' ORDER BY e.at DESC, e.ramp DESC, e.event DESC LIMIT 3;

-- step: drift between the first day and the last: features, and what the model says of them
SELECT feature, round(score::numeric, 4) AS psi, drifted, suspected_cause
FROM drift_report('SELECT * FROM shop.examples WHERE shown_at < ''2019-11-25''',
                  'SELECT * FROM shop.examples WHERE shown_at >= ''2019-11-30''',
                  features => ARRAY['user_feature_0', 'user_feature_1', 'user_feature_2', 'user_feature_3',
                                    'position', 'item_feature_0'])
ORDER BY feature;
SELECT 'prediction' AS what, round(score::numeric, 4) AS psi, round(ks_statistic::numeric, 4) AS ks, drifted
FROM prediction_drift('SELECT predict_proba(''shop.clicks'', *) AS p FROM shop.examples WHERE shown_at < ''2019-11-25''',
                      'SELECT predict_proba(''shop.clicks'', *) AS p FROM shop.examples WHERE shown_at >= ''2019-11-30''',
                      prediction => 'p');
