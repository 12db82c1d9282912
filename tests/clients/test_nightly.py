"""`sql/pipelines/nightly.sh`: nights on which the new version is better, and nights on which it is not.

What a night decides is computed again here: log loss by numpy from the probabilities of both versions
on the day that neither has learned from."""

import os
import subprocess

import numpy
import pytest

import pipelines

NIGHTS = ["2019-11-26", "2019-11-27", "2019-11-28"]


def nightly(server, *nights):
    environment = {
        **os.environ,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "ann",
        "PGDATABASE": "sextant",
    }
    return subprocess.run(
        [pipelines.FOLDER / "nightly.sh", *nights], env=environment, capture_output=True, text=True
    )


def log_loss(connection, version, night):
    rows = connection.execute(
        f"""select clicked, predict_proba('shop.nightly@{version}', e.*) from shop.examples e
            where shown_at >= timestamptz '{night}' - interval '1 day'
              and shown_at < timestamptz '{night}'"""
    ).fetchall()
    clicked, p = (numpy.array(column) for column in zip(*rows))
    return -numpy.log(numpy.where(clicked, p, 1 - p)).mean()


def test_nights_promote_what_is_better_and_nothing_else(server):
    with server.connect() as connection:
        pipelines.run_demo(connection)
        done = nightly(server, *NIGHTS)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        nights = connection.execute(
            "select night::text, version, candidate, champion, promoted, drifted from shop.nights order by 1"
        ).fetchall()
        champion, decisions = 1, []
        for (night, version, candidate, champions, promoted, drifted), expected in zip(
            nights, NIGHTS, strict=True
        ):
            assert night == expected
            new, old = (log_loss(connection, v, night) for v in (version, champion))
            assert candidate == pytest.approx(new) and champions == pytest.approx(old)
            assert promoted == (new < old)
            champion = version if promoted else champion
            decisions.append(promoted)
            assert "impressions" in drifted and "position" not in drifted
        # The first version has nobody to beat; the second is worse, the third better.
        assert decisions == [False, False, True]
        learned = connection.execute(
            """select version, training_rows, tags from ml.model_versions
               where model_name = 'nightly' order by 1"""
        ).fetchall()
        # DuckDB 1.5.5 over the file: impressions of policy bts before each night's fresh day.
        assert [rows for _, rows, _ in learned] == [4_953, 8_489, 12_456]
        assert learned[2][2] == '{"night":"2019-11-28"}'
        aliases = "select version from ml.model_aliases where model_name = 'nightly' and alias = 'champion'"
        assert connection.execute(aliases).fetchone() == (3,)

        # Later rows come in, and become examples with what was known at their time.
        connection.execute(
            """insert into shop.impressions
               select policy, campaign, timestamp + interval '7 days', item_id, position, click,
                      propensity_score, user_feature_0, user_feature_1, user_feature_2,
                      user_feature_3, affinity_clicked_item, affinity_nonzero_items
               from shop.impressions where timestamp >= '2019-11-30'"""
        )
        # The same night once more: the same bytes, which are not better than themselves.
        done = nightly(server, NIGHTS[-1])
        assert done.returncode == 0, done.stderr
        again = connection.execute("select version, candidate = champion, promoted from shop.nights where night = %s", (NIGHTS[-1],))
        assert again.fetchone() == (4, True, False)
        # DuckDB: 3,932 impressions of bts on 30 November.
        later = "select count(*), min(impressions) > 0 from shop.examples where shown_at >= '2019-12-01'"
        assert connection.execute(later).fetchone()[0] == 3_932
        # A night without rows decides nothing.
        done = nightly(server, "2020-01-01")
        assert done.returncode == 0, done.stderr
        empty = "select candidate, champion, promoted from shop.nights where night = '2020-01-01'"
        assert connection.execute(empty).fetchone() == (None, None, False)


def test_a_failing_night_stops_the_nights(server):
    done = nightly(server, *NIGHTS)
    assert done.returncode != 0 and 'relation "shop.item_clicks" does not exist' in done.stderr
    assert done.stderr.count("ERROR") == 1
