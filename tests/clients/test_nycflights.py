"""Real features at real times: what was known at the scheduled departure of each flight of a year.

Three views at once: the weather that had been reported, with a delay and a TTL; the last departure of the same
aircraft; departures from the airport in the hour before. DuckDB and polars say what is right, each where it can say
the same: rows of one key and time are not in the data.
"""

import pathlib

import duckdb
import polars
import pytest

DATA = pathlib.Path(__file__).parent / "data/nycflights"
FLIGHTS, WEATHER = DATA / "flights.parquet", DATA / "weather.parquet"

DEPARTURES = "SELECT *, scheduled + dep_delay * interval '1 minute' AS departed FROM flights WHERE dep_delay IS NOT NULL"

VIEWS = f"""
CREATE TABLE flights AS SELECT * FROM read_parquet('{FLIGHTS}');
CREATE TABLE weather AS SELECT * FROM read_parquet('{WEATHER}');
CREATE VIEW departures AS {DEPARTURES};
CREATE FEATURE VIEW reported KEY (origin) TIMESTAMP observed DELAY INTERVAL '30 minutes' TTL INTERVAL '3 hours' AS
  SELECT origin, observed, temp, visib, wind_gust FROM weather;
CREATE FEATURE VIEW aircraft KEY (tailnum) TIMESTAMP departed TTL INTERVAL '1 day' AS
  SELECT tailnum, departed, dep_delay AS last_delay, dest AS went_to FROM departures;
CREATE FEATURE VIEW airport KEY (origin) TIMESTAMP departed AS
  SELECT origin, departed, count(*) OVER hour AS departures, avg(dep_delay::float8) OVER hour AS mean_delay,
         max(dep_delay) OVER hour AS worst_delay, count(DISTINCT carrier) OVER hour AS carriers
  FROM departures WINDOW hour AS (PARTITION BY origin ORDER BY departed RANGE INTERVAL '1 hour' PRECEDING);
CREATE FEATURE SERVICE departure AS reported, aircraft, airport;
CREATE TRAINING SET known AS SELECT * FROM training_set(
  'SELECT id, origin, tailnum, scheduled FROM flights', 'departure', label_time => 'scheduled');
"""

# A report of 10:00 is known from 10:30 on and counts until 13:00.
REPORTED = """
SELECT f.id, CASE WHEN w.observed >= f.scheduled - interval '3 hours' THEN w.{column} END AS expected
FROM flights f ASOF LEFT JOIN weather w ON f.origin = w.origin AND f.scheduled >= w.observed + interval '30 minutes'
"""
AIRCRAFT = """
SELECT f.id, CASE WHEN d.departed >= f.scheduled - interval '1 day' THEN d.{column} END AS expected
FROM flights f ASOF LEFT JOIN departures d ON f.tailnum = d.tailnum AND f.scheduled >= d.departed
"""
# A departure of the hour before a time was in the hour of that time or in the one before: hours are hashed.
AIRPORT = """
SELECT f.id, count(d.id), avg(d.dep_delay), max(d.dep_delay), count(DISTINCT d.carrier)
FROM flights f LEFT JOIN (
  SELECT *, date_trunc('hour', departed) AS hour FROM departures
  UNION ALL SELECT *, date_trunc('hour', departed) + interval '1 hour' FROM departures
) d ON d.origin = f.origin AND d.hour = date_trunc('hour', f.scheduled)
  AND d.departed > f.scheduled - interval '1 hour' AND d.departed <= f.scheduled
GROUP BY f.id
"""


@pytest.fixture(scope="module")
def duck():
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE flights AS FROM '{FLIGHTS}'")
    connection.execute(f"CREATE TABLE weather AS FROM '{WEATHER}'")
    connection.execute(f"CREATE VIEW departures AS {DEPARTURES}")
    return connection


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """The training set as a file, and the server that made it."""
    from conftest import Server

    folder = tmp_path_factory.mktemp("nycflights")
    server = Server(folder / "lake")
    connection = server.connect()
    for statement in VIEWS.strip().split(";\n"):
        connection.execute(statement)
    file = folder / "known.parquet"
    connection.execute(f"COPY known TO '{file}' (FORMAT parquet)")
    yield file, connection
    server.stop()


def the_same(duck, file, columns, expected):
    """Every flight is there once, with the values that are expected; floats up to their last digits."""
    duck.execute(f"CREATE OR REPLACE TEMP TABLE ours AS SELECT id, {columns} FROM '{file}'")
    duck.execute(f"CREATE OR REPLACE TEMP TABLE theirs AS {expected}")
    named = lambda table: [row[0] for row in duck.execute(f"DESCRIBE {table}").fetchall()]
    apart = lambda a, b: f"NOT (o.{a} IS NOT DISTINCT FROM t.\"{b}\" OR abs(o.{a} - t.\"{b}\") <= 1e-9 * abs(t.\"{b}\"))"
    text = lambda a, b: f"o.{a} IS DISTINCT FROM t.\"{b}\""
    kinds = dict(row[:2] for row in duck.execute("DESCRIBE ours").fetchall())
    pairs = list(zip(named("ours"), named("theirs"), strict=True))[1:]
    wrong = " OR ".join((text if kinds[a] == "VARCHAR" else apart)(a, b) for a, b in pairs)
    both = "ours o FULL JOIN theirs t ON o.id = t.id"
    different = f"SELECT * FROM {both} WHERE o.id IS NULL OR t.id IS NULL OR {wrong} ORDER BY coalesce(o.id, t.id) LIMIT 5"
    assert duck.execute(different).fetchall() == []
    assert duck.execute(f"SELECT count(*), count(DISTINCT o.id) FROM {both}").fetchone() == (336776, 336776)


def test_weather_as_reported(known, duck):
    for column in ["temp", "visib", "wind_gust"]:
        the_same(duck, known[0], column, REPORTED.format(column=column))


def test_last_departure_of_the_aircraft(known, duck):
    for theirs, ours in [("dep_delay", "last_delay"), ("dest", "went_to")]:
        the_same(duck, known[0], ours, AIRCRAFT.format(column=theirs))


def test_departures_in_the_hour_before(known, duck):
    the_same(duck, known[0], "departures, mean_delay, worst_delay, carriers", AIRPORT)


def test_polars_agrees(known, duck):
    """Its tolerance counts from the time that is joined, which is half an hour after the report."""
    labels = polars.read_parquet(FLIGHTS).sort("scheduled")
    reports = polars.read_parquet(WEATHER).with_columns(told=polars.col("observed").dt.offset_by("30m")).sort("told")
    departed = polars.col("scheduled") + polars.duration(minutes=polars.col("dep_delay"))
    departures = labels.drop_nulls(["dep_delay", "tailnum"]).with_columns(departed=departed).sort("departed")
    joined = labels.join_asof(reports, left_on="scheduled", right_on="told", by="origin", tolerance="150m")
    joined = joined.join_asof(
        departures.select("tailnum", "departed", last_delay="dep_delay"),
        left_on="scheduled", right_on="departed", by="tailnum", tolerance="24h",
    )
    found = joined.select("id", "temp", "wind_gust", "last_delay").to_arrow()
    duck.register("by_polars", found)
    the_same(duck, known[0], "temp, wind_gust, last_delay", "SELECT * FROM by_polars")


def test_the_set_is_made_again(known):
    """From its manifest, after more weather has been reported, and a flight struck out."""
    _, connection = known
    connection.execute("INSERT INTO weather SELECT origin, observed + interval '1 minute', 0, 0, 0, 0, 0 FROM weather")
    connection.execute("DELETE FROM flights WHERE id % 7 = 3")
    connection.execute("CREATE TRAINING SET again AS OF known")
    difference = "SELECT count(*) FROM (SELECT * FROM {} EXCEPT ALL SELECT * FROM {}) d"
    for pair in [("known", "again"), ("again", "known")]:
        assert connection.execute(difference.format(*pair)).fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM again").fetchone() == (336776,)
