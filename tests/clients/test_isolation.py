"""What transactions keep each other from, and what they do not."""

import psycopg
import pytest

SERIALIZABLE = "BEGIN ISOLATION LEVEL SERIALIZABLE"


@pytest.fixture
def pair(server):
    with server.connect() as one, server.connect() as other:
        one.execute("DROP TABLE IF EXISTS kept, beside CASCADE")
        one.execute("CREATE TABLE kept (id int, v int)")
        one.execute("CREATE TABLE beside (id int)")
        one.execute("INSERT INTO kept VALUES (1, 1), (2, 2)")
        yield one, other
        for connection in (one, other):
            connection.execute("ROLLBACK")
        one.execute("DROP TABLE IF EXISTS kept, beside CASCADE")


def test_serializable_blocks_do_not_skew(pair, postgres):
    """Each reads what the other writes: PostgreSQL 15 lets one commit too."""
    url = postgres.database("isolation")
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as other:
        one.execute("CREATE TABLE kept (id int, v int)")
        assert skew(one, other) == "40001"
    assert skew(*pair) == "40001"


def skew(one, other):
    for connection, row in ((one, "(3, 3)"), (other, "(4, 4)")):
        connection.execute(SERIALIZABLE)
        connection.execute("SELECT sum(v) FROM kept").fetchall()
        connection.execute(f"INSERT INTO kept VALUES {row}")
    one.execute("COMMIT")
    try:
        other.execute("COMMIT")
    except psycopg.Error as error:
        return error.sqlstate


def test_by_default_they_do(pair):
    one, other = pair
    for connection, row in ((one, "(3, 3)"), (other, "(4, 4)")):
        connection.execute("BEGIN")
        connection.execute("SELECT sum(v) FROM kept").fetchall()
        connection.execute(f"INSERT INTO kept VALUES {row}")
    one.execute("COMMIT")
    other.execute("COMMIT")
    assert one.execute("SELECT count(*) FROM kept").fetchone() == (4,)


def test_serializable_looks_at_what_was_read(pair):
    one, other = pair
    one.execute(SERIALIZABLE)
    one.execute("SELECT * FROM beside").fetchall()
    one.execute("INSERT INTO kept VALUES (5, 5)")
    other.execute("INSERT INTO kept VALUES (6, 6)")
    one.execute("COMMIT")
    assert one.execute("SELECT count(*) FROM kept").fetchone() == (4,)


def test_serializable_remembers_what_was_read_before_going_back(pair):
    one, other = pair
    one.execute(SERIALIZABLE)
    one.execute("SAVEPOINT s")
    one.execute("SELECT sum(v) FROM kept").fetchall()
    one.execute("ROLLBACK TO s")
    one.execute("INSERT INTO beside VALUES (1)")
    other.execute("INSERT INTO kept VALUES (3, 3)")
    with pytest.raises(psycopg.errors.SerializationFailure):
        one.execute("COMMIT")


def test_serializable_may_read_temporary_tables(pair):
    """Their ids are those of a lake of their own."""
    one, other = pair
    for n in range(5):
        one.execute(f"CREATE TEMP TABLE own_{n} AS SELECT {n} AS id")
    one.execute(SERIALIZABLE)
    one.execute("SET TRANSACTION READ WRITE")
    assert one.execute("SHOW transaction_isolation").fetchone() == ("serializable",)
    for n in range(5):
        one.execute(f"SELECT * FROM own_{n}").fetchall()
    one.execute("INSERT INTO beside VALUES (1)")
    other.execute("INSERT INTO kept VALUES (3, 3)")
    one.execute("COMMIT")


@pytest.mark.parametrize("mode, conflicts", [("SHARE", True), ("ROW EXCLUSIVE", False), ("", True)])
def test_lock_table(pair, mode, conflicts):
    one, other = pair
    one.execute("BEGIN")
    one.execute(f"LOCK TABLE kept IN {mode} MODE" if mode else "LOCK kept")
    one.execute("INSERT INTO beside VALUES (1)")
    other.execute("INSERT INTO kept VALUES (7, 7)")
    if conflicts:
        with pytest.raises(psycopg.errors.SerializationFailure):
            one.execute("COMMIT")
    else:
        one.execute("COMMIT")


@pytest.mark.parametrize("change", ["UPDATE kept SET v = 8 WHERE id = 1", "DELETE FROM kept WHERE id = 1"])
def test_upkeep_is_no_conflict(pair, change):
    """VACUUM writes the rows that are changed elsewhere to a file meanwhile, then that file anew."""
    one, other = pair
    for _ in range(2):
        one.execute("BEGIN")
        one.execute(change)
        other.execute("VACUUM kept")
        one.execute("COMMIT")
        one.execute("INSERT INTO kept VALUES (1, 1)")
    rows = one.execute("SELECT id, v FROM kept ORDER BY 1, 2").fetchall()
    updated = [(1, 1), (1, 8), (1, 8), (2, 2)]
    assert rows == (updated if change.startswith("UPDATE") else [(1, 1), (2, 2)])


def test_a_view_keeps_the_columns_it_reads(pair):
    one, other = pair
    one.execute("BEGIN")
    one.execute("CREATE VIEW on_kept AS SELECT v FROM kept")
    other.execute("ALTER TABLE kept DROP COLUMN v")
    with pytest.raises(psycopg.errors.SerializationFailure):
        one.execute("COMMIT")


SWAP = """BEGIN;
CREATE VIEW {0}__tmp AS SELECT 2 AS {0};
ALTER TABLE {0} RENAME TO {0}__backup;
ALTER TABLE {0}__tmp RENAME TO {0};
DROP VIEW IF EXISTS {0}__backup CASCADE"""


@pytest.fixture
def two_under_one(pair):
    """A view of two views."""
    one, other = pair
    gone = "DROP VIEW IF EXISTS both_sides, left_side, right_side CASCADE"
    one.execute(gone)
    one.execute("CREATE VIEW left_side AS SELECT 1 AS left_side")
    one.execute("CREATE VIEW right_side AS SELECT 1 AS right_side")
    one.execute("CREATE VIEW both_sides AS SELECT * FROM left_side, right_side")
    yield one, other
    for connection in pair:
        connection.execute("ROLLBACK")
    one.execute(gone)


def test_views_that_feed_one_view_are_replaced_at_once(two_under_one):
    """As dbt does with two threads: what depends on both is dropped by each."""
    one, other = two_under_one
    one.execute(SWAP.format("left_side"))
    other.execute(SWAP.format("right_side"))
    one.execute("COMMIT")
    other.execute("COMMIT")
    assert one.execute("SELECT * FROM left_side, right_side").fetchall() == [(2, 2)]
    names = "SELECT relname FROM pg_class WHERE relname ~ '_side' ORDER BY 1"
    assert one.execute(names).fetchall() == [("left_side",), ("right_side",)]


def test_a_view_follows_two_renames_at_once(two_under_one):
    one, other = two_under_one
    for connection, side in ((one, "left_side"), (other, "right_side")):
        connection.execute("BEGIN")
        connection.execute(f"ALTER VIEW {side} RENAME TO {side}_now")
    one.execute("COMMIT")
    other.execute("COMMIT")
    assert one.execute("SELECT * FROM both_sides").fetchall() == [(1, 1)]
    text = one.execute("SELECT pg_get_viewdef('both_sides'::regclass)").fetchone()[0]
    assert "left_side_now" in text and "right_side_now" in text
    one.execute("DROP VIEW left_side_now, right_side_now CASCADE")


@pytest.fixture
def versioned(pair):
    """A feature view whose older version alone reads `kept`."""
    one, other = pair
    one.execute("CREATE TABLE heard (id int, at timestamp)")
    one.execute("INSERT INTO heard VALUES (1, '2024-01-01')")
    for extra in ("", ", (SELECT count(*) FROM kept) AS n", ", 5 AS n"):
        one.execute(f"CREATE OR REPLACE FEATURE VIEW f KEY (id) TIMESTAMP at AS SELECT id, at{extra} FROM heard")
    one.execute("CREATE FEATURE SERVICE older AS f@2")
    yield one, other
    for connection in pair:
        connection.execute("ROLLBACK")
    one.execute("DROP FEATURE SERVICE IF EXISTS older")
    one.execute("DROP VIEW IF EXISTS f, g CASCADE")
    one.execute("DROP TABLE IF EXISTS heard, held CASCADE")


@pytest.mark.parametrize("change", ["RENAME TO g", "SET (feature_ttl = '3 days')"])
@pytest.mark.parametrize("view_is_first", [True, False])
def test_an_older_version_follows_while_its_view_changes(versioned, change, view_is_first):
    """Who comes second may have to begin again; no version keeps a name that is gone."""
    one, other = versioned
    for connection, statement in ((one, f"ALTER VIEW f {change}"), (other, "ALTER TABLE kept RENAME TO held")):
        connection.execute("BEGIN")
        connection.execute(statement)
    first, second = (one, other) if view_is_first else (other, one)
    first.execute("COMMIT")
    try:
        second.execute("COMMIT")
    except psycopg.errors.SerializationFailure:
        assert not view_is_first
        second.execute(f"ALTER VIEW f {change}")
    labels = "'SELECT 1 AS id, TIMESTAMP ''2024-01-02'' AS ts'"
    query = f"SELECT n FROM training_set({labels}, 'older', label_time => 'ts')"
    if "RENAME" in change:
        texts = one.execute("SELECT query FROM ml.feature_views WHERE view_name = 'g' AND version = 2").fetchall()
        assert [("held" in text, "kept" in text.replace("AS kept", "")) for (text,) in texts] == [(True, False)]
    else:
        assert one.execute(query).fetchall() == [(2,)]


def test_a_view_that_was_replaced_meanwhile_is_not_dropped_with_others(two_under_one):
    one, other = two_under_one
    other.execute(SWAP.format("right_side"))
    one.execute("CREATE OR REPLACE VIEW both_sides AS SELECT 3 AS left_side, 3 AS right_side")
    with pytest.raises(psycopg.errors.SerializationFailure):
        other.execute("COMMIT")
    assert one.execute("SELECT * FROM both_sides").fetchall() == [(3, 3)]


def test_a_view_made_meanwhile_keeps_what_it_reads(two_under_one):
    one, other = two_under_one
    other.execute(SWAP.format("right_side"))
    one.execute("CREATE VIEW third_side AS SELECT * FROM right_side")
    with pytest.raises(psycopg.errors.SerializationFailure):
        other.execute("COMMIT")
    assert one.execute("SELECT * FROM third_side").fetchall() == [(1,)]


@pytest.fixture
def shelf(pair):
    """A view of a table in another schema."""
    one, other = pair
    gone = "DROP SCHEMA IF EXISTS shelf, rack CASCADE"
    one.execute(gone)
    one.execute("CREATE SCHEMA shelf")
    one.execute("CREATE TABLE shelf.books AS SELECT 1 AS id")
    one.execute("CREATE VIEW readers AS SELECT id FROM shelf.books")
    yield one, other
    for connection in pair:
        connection.execute("ROLLBACK")
    one.execute("DROP VIEW IF EXISTS readers, late CASCADE")
    one.execute(gone)


def test_a_schema_and_a_table_in_it_are_renamed_at_once(shelf):
    one, other = shelf
    one.execute("BEGIN")
    one.execute("ALTER SCHEMA shelf RENAME TO rack")
    other.execute("ALTER TABLE shelf.books RENAME TO volumes")
    other.execute("CREATE TABLE shelf.maps AS SELECT 2 AS id")
    other.execute("CREATE VIEW late AS SELECT id FROM shelf.maps")
    one.execute("COMMIT")
    assert one.execute("SELECT id FROM readers UNION ALL SELECT id FROM late ORDER BY 1").fetchall() == [(1,), (2,)]


def test_a_schema_is_not_dropped_under_a_view_made_meanwhile(shelf):
    one, other = shelf
    one.execute("BEGIN")
    one.execute("DROP SCHEMA shelf CASCADE")
    other.execute("CREATE VIEW late AS SELECT id FROM shelf.books")
    with pytest.raises(psycopg.errors.SerializationFailure):
        one.execute("COMMIT")
    assert one.execute("SELECT id FROM late").fetchall() == [(1,)]
