"""Materialized views: made, refreshed, replaced by other kinds, their indexes changed."""

import pytest
from dbt.tests.adapter.materialized_view import changes
from dbt.tests.adapter.materialized_view.basic import MaterializedViewBasic
from dbt.tests.util import get_model_file, set_model_file

KIND = """
    select case c.relkind when 'r' then 'table' when 'v' then 'view'
                          when 'm' then 'materialized_view' end
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = '{}' and c.relname = '{}'
"""


def kind(project, relation):
    found = project.run_sql(KIND.format(relation.schema, relation.identifier), fetch="one")
    return found[0] if found else None


class TestMaterializedView(MaterializedViewBasic):
    @staticmethod
    def insert_record(project, table, record):
        project.run_sql(f"insert into {table} (id, value) values ({record[0]}, {record[1]})")

    @staticmethod
    def refresh_materialized_view(project, materialized_view):
        project.run_sql(f"refresh materialized view {materialized_view}")

    @staticmethod
    def query_row_count(project, relation):
        return project.run_sql(f"select count(*) from {relation}", fetch="one")[0]

    @staticmethod
    def query_relation_type(project, relation):
        return kind(project, relation)


class Changes(changes.MaterializedViewChanges):
    @pytest.fixture(scope="class", autouse=True)
    def models(self):
        indexed = "{{ config(materialized='materialized_view', indexes=[{'columns': ['id']}]) }}\n"
        yield {"my_materialized_view.sql": indexed + "select * from {{ ref('my_seed') }}"}

    @staticmethod
    def indexed(project, materialized_view):
        sql = f"""select indexdef from pg_indexes where schemaname = '{materialized_view.schema}'
                  and tablename = '{materialized_view.identifier}'"""
        definitions = project.run_sql(sql, fetch="all")
        return sorted(text[text.rindex("(") + 1 : -1] for (text,) in definitions)

    @classmethod
    def check_start_state(cls, project, materialized_view):
        assert cls.indexed(project, materialized_view) == ["id"]

    @staticmethod
    def change_config_via_alter(project, materialized_view):
        model = get_model_file(project, materialized_view)
        set_model_file(project, materialized_view, model.replace("['id']", "['value']"))

    @classmethod
    def check_state_alter_change_is_applied(cls, project, materialized_view):
        assert cls.indexed(project, materialized_view) == ["value"]

    @staticmethod
    def query_relation_type(project, relation):
        return kind(project, relation)

    # Every change of a materialized view can be made in place.
    @pytest.mark.skip
    def test_change_is_applied_via_replace(self):
        pass


class TestChangesApply(Changes, changes.MaterializedViewChangesApplyMixin):
    pass


class TestChangesContinue(Changes, changes.MaterializedViewChangesContinueMixin):
    pass


class TestChangesFail(Changes, changes.MaterializedViewChangesFailMixin):
    pass
