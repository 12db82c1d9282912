-- A first look at the lake: real impressions of a fashion shop, loaded, counted, changed, undone.
--
-- `:data` is the folder of obd_impressions.parquet and obd_items.parquet; see data/README.md.

-- step: what a Parquet file holds, before anything is loaded
SELECT policy, count(*) AS impressions, min(timestamp) AS first, max(timestamp) AS last
FROM read_parquet(':data/obd_impressions.parquet')
GROUP BY policy ORDER BY policy;

-- step: load both files into tables of a new schema
DROP SCHEMA IF EXISTS shop CASCADE;
DROP TAG IF EXISTS before_cleaning;
CREATE SCHEMA shop;
CREATE TABLE shop.impressions AS SELECT * FROM read_parquet(':data/obd_impressions.parquet');
CREATE TABLE shop.items AS SELECT * FROM read_parquet(':data/obd_items.parquet');
COMMENT ON TABLE shop.impressions IS 'Open Bandit Dataset, 24 to 30 November 2019';
SELECT table_name, count(*) AS columns FROM information_schema.columns
WHERE table_schema = 'shop' GROUP BY table_name ORDER BY table_name;

-- step: types, as Postgres names them
SELECT column_name, data_type FROM information_schema.columns
WHERE table_schema = 'shop' AND table_name = 'impressions' ORDER BY ordinal_position;

-- step: a view that joins impressions with their items
CREATE VIEW shop.shown AS
SELECT i.policy, i.campaign, i.timestamp AS shown_at, i.position, i.click, i.item_id,
       t.item_feature_1 AS item_group
FROM shop.impressions i JOIN shop.items t ON t.campaign = i.campaign AND t.item_id = i.item_id;
SELECT count(*) AS shown, count(DISTINCT item_group) AS item_groups FROM shop.shown;

-- step: click rate by policy and day, kept as a table
CREATE TABLE shop.click_rate AS
SELECT policy, CAST(shown_at AS date) AS day, count(*) AS impressions, sum(click) AS clicks,
       CAST(100.0 * avg(click) AS numeric(6, 3)) AS click_rate_percent
FROM shop.shown GROUP BY policy, CAST(shown_at AS date);
SELECT * FROM shop.click_rate ORDER BY policy, day;

-- step: the policies side by side
SELECT policy, sum(impressions) AS impressions, sum(clicks) AS clicks,
       round(100.0 * sum(clicks) / sum(impressions), 3) AS click_rate_percent
FROM shop.click_rate GROUP BY policy ORDER BY policy;

-- step: an UPDATE in a transaction, seen inside, then rolled back
BEGIN;
UPDATE shop.click_rate SET clicks = 0 WHERE policy = 'random';
SELECT policy, sum(clicks) AS clicks_inside FROM shop.click_rate GROUP BY policy ORDER BY policy;
ROLLBACK;
SELECT policy, sum(clicks) AS clicks_after FROM shop.click_rate GROUP BY policy ORDER BY policy;

-- step: keep this snapshot under a name, then delete half the rows
CREATE TAG before_cleaning;
DELETE FROM shop.impressions WHERE policy = 'random';
SELECT count(*) AS rows_left FROM shop.impressions;

-- step: every commit is a snapshot of the whole lake; the tag names one
SELECT s.snapshot_id, s.changes, t.name AS tag
FROM lake.snapshots s LEFT JOIN lake.tags t ON t.snapshot_id = s.snapshot_id
WHERE s.changes <> ''
ORDER BY s.snapshot_id DESC LIMIT 3;

-- step: the rows as they were
SELECT policy, count(*) AS impressions
FROM shop.impressions VERSION AS OF 'before_cleaning'
GROUP BY policy ORDER BY policy;
