"""The dbt project in `sql/dbt/example`, built twice, beside the pipeline that the demo runs: the same
examples, metrics, probabilities and tests from the same log.

Numbers that neither made: DuckDB 1.5.5 over the files (30,000 impressions and 157 clicks of policy
bts; clicks of both policies by campaign), and the tests by hand (pooled proportions, Holm)."""

import math
import shutil
from pathlib import Path

import psycopg
import pytest

import pipelines
import test_dbt

SQL = Path(__file__).parents[2] / "sql"
TABLES = ["examples", "scored", "recommended", "measured", "experiment", "drift", "item_vectors"]


class Dbt(test_dbt.Dbt):
    """The project and its package, where dbt may write into it."""

    def __init__(self, folder, port, monkeypatch):
        shutil.copytree(SQL / "dbt", folder / "dbt")
        monkeypatch.setattr(test_dbt, "PROJECT", SQL / "dbt" / "example")
        super().__init__(folder / "dbt" / "copy", port, "sextant")

    def build(self):
        status, nodes, output = self.run("build", data=str(pipelines.DATA))
        assert status == 0, output
        return nodes

    def tables(self):
        return {
            table: sorted(map(str, self.rows(f"select * from shop_dbt.{table}"))) for table in TABLES
        }


@pytest.fixture
def dbt(server, tmp_path, monkeypatch):
    return Dbt(tmp_path, server.port, monkeypatch)


def test_the_project_is_built_twice_and_agrees_with_the_pipeline(dbt, server):
    status, _, output = dbt.run("deps")
    assert status == 0, output
    nodes = dbt.build()
    assert len([node for node in nodes if node.startswith("test.")]) == 21
    first = dbt.tables()
    nodes = dbt.build()
    second = dbt.tables()
    for table in TABLES:
        assert first[table] and first[table] == second[table], table
    assert dbt.rows(
        "select model_name, version, aliases from ml.model_versions order by 1, 2"
    ) == [
        ("clicks", 1, "champion"),
        ("clicks", 2, "candidate"),
        ("taste", 1, "champion"),
        ("taste", 2, "candidate"),
    ]
    versions = "select count(distinct predict_proba('shop_dbt.clicks@{}', e.*)) from shop_dbt.examples e"
    differ = """select count(*) from shop_dbt.examples e where
        predict_proba('shop_dbt.clicks@1', e.*) <> predict_proba('shop_dbt.clicks@2', e.*)"""
    assert dbt.rows(differ) == [(0,)] and dbt.rows(versions.format(1))[0][0] > 1000
    # One manifest, of the table as it is called.
    manifests = dbt.rows("select table_name, row_count, feature_views from ml.training_sets")
    assert manifests == [("examples", 30_000, "shop_dbt.item_clicks@1")]
    assert dbt.rows("select count(*), sum(clicked::int) from shop_dbt.examples") == [(30_000, 157)]
    agrees_with_the_pipeline(dbt, server)


def agrees_with_the_pipeline(dbt, server):
    with server.connect() as connection:
        pipelines.run_demo(connection)
        columns = """item, position, shown_at, segment, item_feature_0, coalesce(impressions, 0),
                     coalesce(clicks, 0), clicked"""
        for one, other in [("shop", "shop_dbt"), ("shop_dbt", "shop")]:
            left = connection.execute(
                f"""select count(*) from (select {columns} from {one}.examples except all
                                          select {columns} from {other}.examples) d"""
            )
            assert left.fetchone() == (0,)
        metrics = {}
        for schema in ["shop", "shop_dbt"]:
            metrics[schema] = connection.execute(
                f"""select metric, value from ml.model_metrics where schema_name = '{schema}'
                    and model_name = 'clicks' and version = 1 order by 1"""
            ).fetchall()
        assert len(metrics["shop"]) > 3
        for (name, ours), (named, theirs) in zip(*metrics.values(), strict=True):
            assert name == named and ours == pytest.approx(theirs, rel=1e-9)
        worst = connection.execute(
            """select max(abs(d.probability - predict_proba('shop.clicks', e.*))), count(*)
               from shop_dbt.scored d join shop.examples e
                 on (e.item, e.shown_at, e.segment, e.position)
                  = (d.item, d.shown_at, d.segment, d.position)"""
        ).fetchone()
        assert worst[0] < 1e-9 and worst[1] >= 5_656
        # Trained alike, but of two models: as vectors they are not to be compared, as numbers they are.
        joined = "from shop.item_vectors a join shop_dbt.item_vectors b on a.item = b.item"
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            connection.execute(f"select max(a.embedding <-> b.embedding) {joined}")
        towers = connection.execute(f"select a.embedding::real[], b.embedding::real[] {joined}").fetchall()
        assert max(math.dist(*pair) for pair in towers) < 1e-5 and len(towers) == 160
        tests = connection.execute(
            "select campaign, lift, p_value, p_corrected from shop_dbt.experiment order by campaign"
        ).fetchall()
        expected = [
            ("(in all)", 27 / 130, 0.1101, 0.3304),
            ("all", 4 / 38, 0.6541, 1),
            ("men", 23 / 46, 0.0315, 0.1259),
            ("women", 0, 1, 1),
        ]
        for found, wanted in zip(tests, expected, strict=True):
            assert found[0] == wanted[0] and found[1:] == pytest.approx(wanted[1:], abs=5e-5)
        drift = connection.execute(
            """select feature, psi, drifted from shop_dbt.drift order by feature"""
        ).fetchall()
        psi = connection.execute(
            "select (psi(impressions, shown_at >= '2019-11-28')).value from shop.examples"
        ).fetchone()[0]
        assert drift[0] == ("impressions", pytest.approx(psi), True)
        assert [drifted for *_, drifted in drift] == [True, False, False]
