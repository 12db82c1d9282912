"""The package in `sql/dbt` in a project (`dbt_models/`): a feature view, a model that trains on each
run, a table that is scored by it."""

import shutil
from pathlib import Path

import pytest

import test_dbt

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "sql" / "dbt"


class Dbt(test_dbt.Dbt):
    def __init__(self, folder, port, database, monkeypatch):
        monkeypatch.setattr(test_dbt, "PROJECT", HERE / "dbt_models")
        super().__init__(folder, port, database)
        shutil.copy(HERE / "dbt" / "profiles.yml", self.folder)
        packages = f"packages:\n  - local: {PACKAGE}\n"
        (self.folder / "packages.yml").write_text(packages)


@pytest.fixture
def dbt(server, tmp_path, monkeypatch):
    return Dbt(tmp_path / "dbt", server.port, "sextant", monkeypatch)


def test_models_and_feature_views_are_built_again_and_again(dbt):
    status, _, output = dbt.run("deps")
    assert status == 0, output
    for run in (1, 2):
        status, nodes, output = dbt.run("build")
        assert status == 0, output
        assert len(nodes) == 4
        assert dbt.rows("select count(*) from shop.scored where abs(y - p) < 1e-6") == [(200,)]
        versions = dbt.rows(
            "select version, aliases, transform, tags from ml.model_versions order by version"
        )
        assert [version for version, *_ in versions] == list(range(1, run + 1))
        assert versions[0][1:] == (
            "candidate, champion" if run == 1 else "champion",
            "x * 2 AS doubled",
            """{"why":"it's a test"}""",
        )
        # The same query of the same rows is the same version of a feature view.
        views = dbt.rows("select view_name, version, key, ttl, owner from ml.feature_views")
        assert views == [("of_points", 1, "id", "1 day", "ann")]


def test_a_model_that_cannot_be_trained_fails_and_leaves_nothing(dbt):
    assert dbt.run("deps")[0] == 0
    (dbt.folder / "models" / "line.sql").write_text(
        "{{ config(materialized='model', options={'model_type': 'linear', 'label': 'z'}) }}"
        "select x, y from {{ ref('points') }}"
    )
    status, _, output = dbt.run("build")
    assert status != 0 and 'column "z" of option "label" does not exist' in output, output
    assert dbt.rows("select count(*) from ml.models") == [(0,)]
