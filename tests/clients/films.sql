-- The pipelines of `sql/pipelines` over MovieLens latest-small: the same statements with other names. A user for a
-- segment, a film for an item, a rating for an impression, a like (4 stars and more) for a click.
-- `:data` is the folder of mlsmall_ratings.parquet and mlsmall_items.parquet.

-- step: load
CREATE SCHEMA films;
CREATE TABLE films.ratings AS SELECT * FROM read_parquet(':data/mlsmall_ratings.parquet');
CREATE TABLE films.items AS SELECT * FROM read_parquet(':data/mlsmall_items.parquet');

-- step: keep this snapshot under a name
CREATE TAG films_loaded;

-- step: likes of every film by the day, as a feature view
CREATE FEATURE VIEW films.film_likes
  KEY (item_id) TIMESTAMP day_end WITH (owner = 'ranking') AS
SELECT item_id, day_end,
       sum(rated) OVER so_far AS ratings,
       sum(liked) OVER so_far AS likes
FROM (SELECT item_id, date_trunc('day', ts) + INTERVAL '1 day' AS day_end,
             count(*) AS rated, sum((rating >= 4)::int) AS liked
      FROM films.ratings GROUP BY 1, 2) AS days
WINDOW so_far AS (PARTITION BY item_id ORDER BY day_end);
CREATE FEATURE SERVICE films.ranker AS films.film_likes;

-- step: a training set: every rating with what was known of its film then
CREATE TRAINING SET films.training AS
SELECT * FROM training_set('SELECT user_id, item_id, ts, rating FROM films.ratings', 'films.ranker');

-- step: half the ratings go
DELETE FROM films.ratings WHERE user_id % 2 = 0;

-- step: made again from its manifest, the training set is what it was
CREATE TRAINING SET films.training_again AS OF films.training;
INSERT INTO films.ratings SELECT * FROM films.ratings VERSION AS OF 'films_loaded' WHERE user_id % 2 = 0;

-- step: the rows of the feature view are kept
REFRESH FEATURE VIEW films.film_likes;

-- step: what is learned from; learned is all but the last fifth of each user's likes
CREATE TABLE films.examples AS
SELECT r.user_id, r.item_id, r.ts, t.genres, t.year / 5 AS years,
       coalesce(f.ratings, 0) AS ratings, coalesce(f.likes, 0) AS likes, r.rating >= 4 AS liked
FROM films.ratings r
JOIN films.items t ON t.item_id = r.item_id
LEFT JOIN films.film_likes AS OF r.ts f ON f.item_id = r.item_id;
CREATE TABLE films.likes AS
SELECT user_id, item_id, ts, genres, years,
       row_number() OVER (PARTITION BY user_id ORDER BY ts, item_id)
         <= ceil(0.8 * count(*) OVER (PARTITION BY user_id)) AS learned
FROM films.examples WHERE liked;

-- step: a model of likes, tested on the last fifth
CREATE MODEL films.liked
  TRANSFORM ((likes + 1.0) / (ratings + 2) AS rate,
             standard_scaler(ln(1 + ratings)) OVER () AS known, years)
  OPTIONS (model_type = 'logistic', label = 'liked', time = 'ts', test_fraction = 0.2, l2 = 0.01)
  AS SELECT ratings, likes, years, ts, liked FROM films.examples;

-- step: another version, of trees, which is a candidate until somebody promotes it
CREATE OR REPLACE MODEL films.liked
  TRANSFORM ((likes + 1.0) / (ratings + 2) AS rate, ratings, years)
  OPTIONS (model_type = 'gbdt', label = 'liked', time = 'ts', test_fraction = 0.2,
           num_iterations = 40, learning_rate = 0.05, num_leaves = 7)
  WITH TAGS (tried = 'trees')
  AS SELECT ratings, likes, years, ts, liked FROM films.examples;
ALTER MODEL films.liked SET ALIAS champion = 2;
ALTER MODEL films.liked ROLLBACK;

-- step: two towers: users and films as vectors
CREATE MODEL films.taste
  OPTIONS (model_type = 'two_tower', user_key = 'user_id', item_key = 'item_id', time = 'ts')
  AS SELECT user_id, item_id, ts FROM films.likes WHERE learned;

-- step: vectors of all films that were liked
CREATE TABLE films.item_vectors AS
SELECT item_id, year / 5 AS years, embed_item(item_id, model => 'films.taste') AS embedding
FROM films.items WHERE item_id IN (SELECT item_id FROM films.likes WHERE learned);

-- step: an index over them
CREATE INDEX item_vectors_near ON films.item_vectors USING ivf (embedding vector_ip_ops);

-- step: one request: the user's vector, the nearest films, their features now, the model's order
PREPARE recommend (bigint) AS
WITH near AS (
  SELECT v.item_id, v.years, v.embedding <#> embed_user($1, model => 'films.taste') AS d
  FROM films.item_vectors v ORDER BY d LIMIT 20)
SELECT n.item_id, rank('films.liked', n.*, ratings => f.ratings, likes => f.likes) AS score, f.ratings, f.likes
FROM near n, get_features('films.ranker', item_id => n.item_id) f
ORDER BY score DESC, n.item_id LIMIT 5;

-- step: drift of what is rated and of what the model says of it, from the first half of the time to the last years
CREATE TABLE films.drift AS
WITH scored AS (
  SELECT years, predict_proba('films.liked', e.*) AS prediction, ts >= '2010-01-01' AS later
  FROM films.examples e
)
SELECT 'years' AS feature, psi(years, later) AS r FROM scored
UNION ALL SELECT 'prediction', psi(prediction, later) FROM scored;
