"""Experiments and drift on real data, against what scipy 1.17.1, statsmodels 0.15.0 and numpy say of the same rows.

The data lie beside the project, not in it; without them these tests are skipped. What is in the
project (the Open Bandit data) is tested by tests/slt/experiments/open_bandit.slt.
"""

import pathlib

import pytest

DATA = pathlib.Path(__file__).parents[3] / "shared/data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the data are not beside the project")


def one(connection, query):
    return connection.execute(query).fetchone()


@needs_data
def test_incentives_to_learn_hiv_results(server):
    """Thornton 2008: who got an incentive came for the result, 1745 of 2211 against 211 of 623; z 21.48 pooled.
    Villages as clusters: OLS with cov_type='cluster' (statsmodels)."""
    with server.connect() as connection:
        connection.execute(
            f"""create table trial as select got, villnum, "any" = 1 as paid
                from read_parquet('{DATA}/thornton_hiv.parquet')
                where got is not null and "any" is not null"""
        )
        counts = one(
            connection,
            "select (r).n_control, (r).n_treatment, round((r).statistic::numeric, 2) "
            "from (select ab_ztest_prop(got = 1, paid) as r from trial) q",
        )
        assert [float(count) for count in counts] == [623, 2211, 21.48]
        diff, error, statistic, clusters = one(
            connection,
            "select (r).diff, (r).std_error, (r).statistic, n from (select "
            "ab_ttest_clustered(got, paid, villnum) as r, count(distinct villnum) as n "
            "from trial where villnum is not null) q",
        )
        assert clusters == 119
        assert [diff, error, statistic] == pytest.approx(
            [0.4519822744063298, 0.02268601435885555, 19.923388359749374], rel=1e-9
        )


@needs_data
def test_job_training_and_earnings(server):
    """LaLonde's trial, re78 by treat: scipy's ttest_ind and mannwhitneyu. Earnings of 1975 explain next to nothing."""
    with server.connect() as connection:
        connection.execute(
            f"create table trial as select treat, re75, re78 from read_parquet('{DATA}/nsw_mixtape.parquet')"
        )
        welch = one(
            connection,
            "select (r).diff, (r).statistic, (r).df, (r).p_value "
            "from (select ab_ttest(re78, treat, '0', '1') as r from trial) q",
        )
        expected = [1794.3423818501024, 2.6741454879988025, 307.13249449670695, 0.00789297830550186]
        assert list(welch) == pytest.approx(expected, rel=1e-6)
        ranks = one(
            connection,
            "select (r).statistic, (r).p_value "
            "from (select ab_mannwhitney(re78, treat, '0', '1') as r from trial) q",
        )
        assert list(ranks) == pytest.approx([27402.5, 0.010946644504522724], rel=1e-9)
        theta, diff, reduction = one(
            connection,
            "select (r).theta, (r).diff, (r).variance_reduction "
            "from (select ab_cuped(re78, re75, treat, '0', '1') as r from trial) q",
        )
        assert round(theta, 3) == 0.178 and round(diff, 2) == 1747.13 and abs(reduction) < 0.02


@needs_data
def test_employment_from_2015_to_2018(server):
    """American Community Survey, Massachusetts: PSI by numpy, over deciles of the reference for numbers, half a count
    in an empty bin; CBPE's accuracy by its definition, against the labels that came later."""
    with server.connect() as connection:
        connection.execute(
            f"create table people as select * from read_parquet('{DATA}/acs_employment_ma.parquet')"
        )
        connection.execute(
            """create table kept as select * from drift_profile('select * from people where year = 2015',
               features => array['AGEP', 'SCHL', 'MAR', 'ANC', 'SEX'])"""
        )
        found = connection.execute(
            """select feature, score, drifted, n_ref, n_cur from drift_report(profile => 'kept',
               current => 'select * from people where year = 2018',
               features => array['AGEP', 'SCHL', 'MAR', 'ANC', 'SEX'])"""
        ).fetchall()
        assert {row[2:] for row in found} == {(False, 68785, 70131)}
        expected = {
            "AGEP": 0.003389433419318237,
            "SCHL": 0.0039168887918799,
            "MAR": 0.0002813632136212901,
            "ANC": 0.014121638440186822,
            "SEX": 1.560010953627768e-05,
        }
        assert {row[0]: row[1] for row in found} == pytest.approx(expected, rel=1e-9)
        years = connection.execute(
            """select year, (estimate_performance(predicted_probability, prediction = 1)).accuracy,
               avg((employed = prediction)::int)::float8 from people group by year order by year"""
        ).fetchall()
        expected = [0.8246783149859878, 0.824423100942053, 0.8252616376526495, 0.8243097284960462]
        assert [row[1] for row in years] == pytest.approx(expected, rel=1e-9)
        assert all(abs(estimated - true) < 0.005 for _, estimated, true in years)
        labels = connection.execute(
            """select label, share_ref, share_cur, drifted from label_drift('select * from people where year = 2015',
               'select * from people where year = 2018', label => 'employed') order by label"""
        ).fetchall()
        assert [row[0] for row in labels] == ["0", "1"] and not any(row[3] for row in labels)


def test_a_stop_is_seen_everywhere_at_once_and_for_ever(server):
    """A server of requests holds a prepared statement; a job stops the experiment; a power cut changes nothing."""
    with server.connect() as asks, server.connect() as job:
        job.execute(
            "create experiment e unit user_id arms (control, treatment) "
            "metrics (guardrail errors lower is better max regression 10 percent) start"
        )
        query = "select ab_assign('e', %s)"
        arms = {asks.execute(query, (user,), prepare=True).fetchone()[0] for user in range(50)}
        assert arms == {"control", "treatment"}
        # Errors are 1 in 10 for control and 3 in 10 for treatment.
        job.execute(
            "create table units as select i as user_id, v as variant, "
            "(i % 10 < case when v = 'control' then 1 else 3 end)::int as errors "
            "from generate_series(1, 3000) s(i), (values ('control'), ('treatment')) t(v)"
        )
        notices = []
        job.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        job.execute("alter experiment e stop if breached in 'select * from units where user_id <= 20'")
        assert notices == ['no guardrail of experiment "e" is breached']
        assert asks.execute(query, (1,), prepare=True).fetchone()[0] in arms
        job.execute("alter experiment e stop if breached in 'units'")
        assert notices[1].startswith('experiment "e" is stopped: treatment: guardrail errors is worse')
        assert asks.execute(query, (1,), prepare=True).fetchone() == (None,)
        server.kill()
        server.start()
        with server.connect() as again:
            assert one(again, "select ab_assign('e', 1)") == (None,)
            events = again.execute("select event, role from ml.experiment_events").fetchall()
            assert events == [("create", "ann"), ("start", "ann"), ("stop", "ann")]


def test_tests_on_ranks_share_a_sort(server):
    """What is asked of the same rows is planned once; what differs in rows is not."""
    calls = "ab_mannwhitney(x, x > {}), ks_test(x, x > {}), wasserstein(x, x > {})"
    with server.connect() as connection:

        def aggregated(*bounds):
            query = f"EXPLAIN SELECT {calls.format(*bounds)} FROM (VALUES (1.0::float8), (5.0)) s(x)"
            lines = [line for (plan,) in connection.execute(query).fetchall() for line in plan.split("\n")]
            return "\n".join(line for line in lines if "Aggregate" in line)

        together = aggregated(3, 3, 3)
        assert "rank_statistics" in together and "wasserstein" not in together
        apart = aggregated(3, 4, 2)
        assert "rank_statistics" not in apart and "wasserstein" in apart
        two = aggregated(3, 3, 4)
        assert "rank_statistics" in two and "wasserstein" in two
