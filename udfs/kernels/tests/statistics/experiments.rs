//! Tests of experiments against mpmath, scipy, statsmodels and gbstats
//! (`reference/experiments.py`).

use super::reference::{assert_near, covariate, denominator, expected, guardrail, metric};
use kernels::statistics::adjust::{Adjustment, adjust};
use kernels::statistics::clusters::{Cluster, Correction, clustered};
use kernels::statistics::comparison::{Alternative, Comparison, Options, Status};
use kernels::statistics::cuped::{Strata, Theta, cuped};
use kernels::statistics::double::Double;
use kernels::statistics::means::{ratio, student, welch};
use kernels::statistics::moments::Moments;
use kernels::statistics::proportions::{Interval, Proportion, proportions, sample_ratio};
use kernels::statistics::sequential::Mixture;

fn one(values: &[f64]) -> Moments<1> {
    let mut state = Moments::default();
    state.extend([values]);
    state
}

fn two(columns: [&[f64]; 2]) -> Moments<2> {
    let mut state = Moments::default();
    state.extend(columns);
    state
}

fn both(first: &[Vec<f64>; 2], second: &[Vec<f64>; 2]) -> [Moments<2>; 2] {
    [0, 1].map(|arm| two([&first[arm], &second[arm]]))
}

fn numbers(row: &Comparison) -> Vec<f64> {
    let (low, high) = row.interval.unwrap();
    let (lift_low, lift_high) = row.lift_interval.unwrap();
    [
        row.diff.unwrap(),
        row.std_error.unwrap(),
        row.statistic.unwrap(),
        row.df.unwrap(),
        row.ln_p_value.unwrap(),
        low,
        high,
        row.lift.unwrap(),
        lift_low,
        lift_high,
    ]
    .to_vec()
}

/// Every number to 1e-12, at offsets and scales where scipy and raw sums lose the leading digits.
#[test]
fn welch_holds_at_any_offset_and_scale() {
    let scale = 2f64.powi(664);
    let cases: [(&str, fn(f64, f64) -> f64); 4] = [
        ("welch", |y, _| y),
        ("welch_offset", |y, _| y * 8.0 + 1e15),
        ("welch_large", |y, scale| y * scale),
        ("welch_small", |y, scale| y / scale),
    ];
    for (name, change) in cases {
        let data = metric().map(|arm| arm.iter().map(|y| change(*y, scale)).collect::<Vec<_>>());
        let row = welch(&one(&data[0]), &one(&data[1]), &Options::default());
        assert_near(name, &numbers(&row), &expected(name), 1e-12);
        assert_eq!(row.status, Status::Ok);
    }
}

/// p = 1e-1288 is zero as a number, and its logarithm is right.
#[test]
fn welch_keeps_the_logarithm_beyond_the_range_of_numbers() {
    let [control, treatment] = metric();
    let far: Vec<f64> = treatment.iter().map(|y| y + 512.0).collect();
    let row = welch(&one(&control), &one(&far), &Options::default());
    assert_near("welch_far", &numbers(&row), &expected("welch_far"), 1e-12);
    assert_eq!(row.p_value(), Some(0.0));
}

#[test]
fn welch_tests_one_side() {
    let [control, treatment] = metric().map(|arm| one(&arm));
    for (name, alternative) in
        [("welch_greater", Alternative::Greater), ("welch_less", Alternative::Less)]
    {
        let options = Options { alternative, ..Options::default() };
        let row = welch(&control, &treatment, &options);
        let (low, high) = row.interval.unwrap();
        assert_near(name, &[row.p_value().unwrap(), low, high], &expected(name), 1e-10);
    }
}

/// Student 1908, as R's `sleep`: Welch t 1.8608, df 17.776, p 0.07939 (group 2 against 1).
#[test]
fn welch_on_students_sleep_data() {
    let one_drug = one(&[0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]);
    let other = one(&[1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]);
    let row = welch(&one_drug, &other, &Options::default());
    assert!((row.statistic.unwrap() - 1.8608).abs() < 5e-5);
    assert!((row.df.unwrap() - 17.776).abs() < 5e-4);
    assert!((row.p_value().unwrap() - 0.07939).abs() < 5e-6);
}

#[test]
fn student_agrees() {
    let [control, treatment] = metric().map(|arm| one(&arm));
    let row = student(&control, &treatment, &Options::default());
    let actual = [row.statistic.unwrap(), row.df.unwrap(), row.ln_p_value.unwrap()];
    assert_near("student", &actual, &expected("student"), 1e-12);
}

#[test]
fn ratio_agrees() {
    let [control, treatment] = both(&metric(), &denominator());
    let row = ratio(&control, &treatment, &Options::default());
    let actual = [
        row.control.mean,
        row.treatment.mean,
        row.std_error.unwrap(),
        row.df.unwrap(),
        row.ln_p_value.unwrap(),
    ];
    assert_near("ratio", &actual, &expected("ratio"), 1e-12);
}

#[test]
fn cuped_agrees() {
    let [control, treatment] =
        both(&metric(), &covariate()).map(|with| Strata { with, ..Strata::default() });
    let third = |values: &[f64]| {
        let mut without = Moments::<1>::default();
        values.iter().step_by(3).for_each(|value| without.push([*value]));
        without
    };
    let rest = |y: &[f64], x: &[f64]| {
        let mut with = Moments::<2>::default();
        let pairs = y.iter().zip(x).enumerate().filter(|(place, _)| place % 3 != 0);
        pairs.for_each(|(_, (y, x))| with.push([*y, *x]));
        with
    };
    let [c, t] = [0, 1].map(|arm| Strata {
        with: rest(&metric()[arm], &covariate()[arm]),
        without: third(&metric()[arm]),
    });
    for (name, [control, treatment], theta) in [
        ("cuped_pooled", [&control, &treatment], Theta::Pooled),
        ("cuped_within", [&control, &treatment], Theta::Within),
        ("cuped_stratum", [&c, &t], Theta::Pooled),
    ] {
        let answer = cuped(control, treatment, theta, &Options::default());
        let row = answer.comparison;
        let actual = [
            answer.theta.unwrap(),
            row.diff.unwrap(),
            row.std_error.unwrap(),
            row.df.unwrap(),
            row.ln_p_value.unwrap(),
            answer.variance_reduction.unwrap(),
        ];
        assert_near(name, &actual, &expected(name), 1e-12);
        if name == "cuped_stratum" {
            continue;
        }
        let imbalance = answer.covariate_imbalance_p.unwrap();
        assert_near("cuped_imbalance", &[imbalance], &expected("cuped_imbalance"), 1e-10);
    }
}

#[test]
fn clusters_agree_with_ols() {
    let data = metric();
    let places: [(&str, fn(usize, usize) -> usize); 2] = [
        ("clusters_apart", |arm, i| if arm == 0 { i % 37 } else { 40 + i % 31 }),
        ("clusters_across", |arm, i| if arm == 0 { i % 37 } else { (400 + i) % 37 }),
    ];
    for (name, place) in places {
        let mut clusters = vec![Cluster::default(); 80];
        for (arm, values) in data.iter().enumerate() {
            for (i, y) in values.iter().enumerate() {
                let part = &mut clusters[place(arm, i)].parts[arm];
                part.count += 1;
                part.sum = part.sum + Double::from(*y);
            }
        }
        clusters.retain(|c| c.parts.iter().any(|part| part.count > 0));
        let row = clustered(&clusters, Correction::Cr1, &Options::default());
        let (low, high) = row.interval.unwrap();
        let actual = [
            row.diff.unwrap(),
            row.std_error.unwrap(),
            row.statistic.unwrap(),
            row.p_value().unwrap(),
            low,
            high,
        ];
        assert_near(name, &actual, &expected(name), 1e-10);
    }
}

#[test]
fn proportions_agree() {
    for (c, n, t, m) in [(211, 623, 1745, 2211), (42, 10_000, 38, 10_000), (0, 40, 5, 50)] {
        let name = format!("proportions_{c}_{n}_{t}_{m}");
        let control = Proportion { successes: c, trials: n };
        let treatment = Proportion { successes: t, trials: m };
        let of = |pooled, interval| {
            proportions(control, treatment, pooled, interval, &Options::default())
        };
        let pooled = of(true, Interval::Newcombe);
        let mut actual = vec![
            pooled.statistic.unwrap(),
            pooled.p_value().unwrap(),
            of(false, Interval::Newcombe).statistic.unwrap(),
        ];
        for interval in [Interval::Newcombe, Interval::Wald, Interval::AgrestiCaffo] {
            let (low, high) = of(true, interval).interval.unwrap();
            actual.extend([low, high]);
        }
        assert_near(&name, &actual, &expected(&name), 1e-10);
        let name = format!("wilson_{c}_{n}_{t}_{m}");
        let (low, high) = control.wilson(1.959_963_984_540_054);
        let exact = control.clopper_pearson(0.025);
        assert_near(&name, &[low, high, exact.0, exact.1], &expected(&name), 1e-10);
    }
}

/// Kohavi, Tang & Xu 2020: 821,588 against 815,482 at even weights, p = 1.8e-6; others by scipy. An
/// arm of weight zero takes no degree of freedom.
#[test]
fn sample_ratio_agrees() {
    let cases: [(&[u64], &[f64]); 3] = [
        (&[821_588, 815_482], &[1.0, 1.0]),
        (&[1000, 1050, 3100], &[20.0, 20.0, 60.0]),
        (&[500, 0, 530], &[1.0, 0.0, 1.0]),
    ];
    for (counts, weights) in cases {
        let answer = sample_ratio(counts, weights).unwrap();
        let words: Vec<String> = counts.iter().map(u64::to_string).collect();
        let name = format!("srm_{}", words.join("_"));
        let actual = [answer.statistic, answer.ln_p_value.exp()];
        assert_near(&name, &actual, &expected(&name), 1e-10);
    }
    assert_eq!(sample_ratio(&[5, 1, 5], &[1.0, 0.0, 1.0]).unwrap().ln_p_value, f64::NEG_INFINITY);
    assert_eq!(sample_ratio(&[0, 0], &[1.0, 1.0]), None);
}

#[test]
fn sequential_agrees_with_gbstats() {
    let [control, treatment] = metric().map(|arm| one(&arm));
    for tuning in [500, 5000] {
        let mixture = Mixture::Tuned(f64::from(tuning));
        let row = welch(&control, &treatment, &Options { mixture, ..Options::default() });
        let answer = row.sequential.unwrap();
        let actual = [answer.ln_p_value.exp(), answer.interval.0, answer.interval.1];
        let name = format!("sequential_{tuning}");
        assert_near(&name, &actual, &expected(&name), 1e-10);
    }
}

/// A bound of the interval is the margin at which the p-value is alpha, on either side and by
/// either method.
#[test]
fn sequential_interval_inverts_its_p_value() {
    let [control, treatment] = metric().map(|arm| one(&arm));
    for mixture in [Mixture::Tuned(2000.0), Mixture::Effect(0.4)] {
        for alternative in [Alternative::TwoSided, Alternative::Greater, Alternative::Less] {
            let options = Options { mixture, alternative, ..Options::default() };
            let row = welch(&control, &treatment, &options);
            let (low, high) = row.sequential.unwrap().interval;
            for margin in [low, high].into_iter().filter(|bound| bound.is_finite()) {
                let at = welch(&control, &treatment, &Options { margin, ..options });
                let p = at.sequential.unwrap().ln_p_value.exp();
                assert!((p - 0.05).abs() < 1e-9, "{mixture:?} {alternative:?}: {p}");
            }
        }
    }
}

#[test]
fn adjusted_p_values_agree_with_statsmodels() {
    let p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262,
        0.5719, 0.6528, 0.759, 1.0,
    ];
    let family: Vec<Option<f64>> = p.iter().rev().map(|p| Some(*p)).collect();
    let methods = [
        ("bonferroni", Adjustment::Bonferroni),
        ("sidak", Adjustment::Sidak),
        ("holm", Adjustment::Holm),
        ("holm-sidak", Adjustment::HolmSidak),
        ("simes-hochberg", Adjustment::Hochberg),
        ("fdr_bh", Adjustment::BenjaminiHochberg),
        ("fdr_by", Adjustment::BenjaminiYekutieli),
    ];
    for (name, method) in methods {
        let actual: Vec<f64> = adjust(&family, method).into_iter().flatten().collect();
        assert_near(name, &actual, &expected(&format!("adjust_{name}")), 1e-10);
    }
    let gaps = [None, Some(0.01), Some(f64::NAN), Some(0.02)];
    let answer = adjust(&gaps, Adjustment::Holm);
    assert_eq!(answer, [None, Some(0.02), None, Some(0.02)]);
}

#[test]
fn degenerate_arms_get_a_status() {
    let status = |c: &[f64], t: &[f64]| welch(&one(c), &one(t), &Options::default()).status;
    assert_eq!(status(&[], &[1.0, 2.0]), Status::MissingArm);
    assert_eq!(status(&[1.0], &[1.0, 2.0]), Status::InsufficientData);
    assert_eq!(status(&[1.0, 1.0], &[1.0, 1.0]), Status::ZeroVariance);
    assert_eq!(status(&[0.0, -0.0], &[-0.0, 0.0]), Status::ZeroVariance);
    assert_eq!(status(&[1.0, f64::NAN], &[1.0, 2.0]), Status::NonFinite);
    assert_eq!(status(&[1.0, f64::INFINITY, 2.0], &[1.0, 2.0]), Status::NonFinite);
    let empty = two([&[], &[]]);
    let zero = two([&[1.0, 2.0], &[0.0, 0.0]]);
    let some = two([&[1.0, 2.0], &[1.0, 3.0]]);
    assert_eq!(ratio(&some, &zero, &Options::default()).status, Status::InsufficientData);
    assert_eq!(ratio(&empty, &some, &Options::default()).status, Status::MissingArm);
}

/// A margin that is a share of control's mean is Welch's test against control times one and the
/// share, on whichever side of zero the mean is; Student's and the z-test divide by its error too.
#[test]
fn a_relative_margin_is_a_test_against_more_of_control() {
    let [control, treatment] = metric();
    for (sign, margin) in [(1.0, 0.1), (1.0, -0.25), (-1.0, 0.1), (-1.0, -1.5)] {
        let [c, t] = [&control, &treatment].map(|y| y.iter().map(|y| y * sign).collect::<Vec<_>>());
        let options = Options { margin, relative: true, ..Options::default() };
        let weight = 1.0 + margin * sign;
        let scaled: Vec<f64> = c.iter().map(|y| y * weight).collect();
        let found = welch(&one(&c), &one(&t), &options);
        let expected = welch(&one(&scaled), &one(&t), &Options::default());
        let tested = |row: &Comparison| [row.statistic, row.df, row.ln_p_value].map(Option::unwrap);
        assert_near("welch", &tested(&found), &tested(&expected), 1e-11);
        let plain = welch(&one(&c), &one(&t), &Options::default());
        assert_eq!((found.diff, found.interval), (plain.diff, plain.interval));
        let p = student(&one(&c), &one(&t), &options);
        let contrast = (p.diff.unwrap() - margin * p.control.mean.abs())
            / p.treatment.std_error.hypot(p.control.std_error * weight);
        assert_near("student", &[p.statistic.unwrap()], &[contrast], 1e-12);
    }
    let options = Options { margin: -0.1, relative: true, ..Options::default() };
    let share = |successes, trials| Proportion { successes, trials };
    let row = proportions(share(20, 100), share(30, 90), true, Interval::Wald, &options);
    let (c, t): (f64, f64) = (0.2, 30.0 / 90.0);
    let error = (0.81 * c * (1.0 - c) / 100.0 + t * (1.0 - t) / 90.0).sqrt();
    assert_near("z", &[row.statistic.unwrap()], &[(t - 0.9 * c) / error], 1e-12);
}

/// `reference/guardrails.py`.
#[test]
fn guardrails_agree_with_mpmath() {
    let [control, treatment] = metric();
    let far: Vec<f64> = treatment.iter().map(|y| y + 4.0).collect();
    for (name, treatment, margin, tuning) in [
        ("welch_less_5_percent", &treatment, -0.05, 5000.0),
        ("welch_more_2_percent", &treatment, 0.02, 500.0),
        ("welch_zero", &treatment, 0.0, 500.0),
        ("welch_far_more_2_percent", &far, 0.02, 500.0),
        ("welch_far_zero", &far, 0.0, 500.0),
    ] {
        let side = |alternative| {
            let mixture = Mixture::Tuned(tuning);
            let options =
                Options { alternative, margin, relative: true, mixture, ..Options::default() };
            welch(&one(&control), &one(treatment), &options)
        };
        let (above, below) = (side(Alternative::Greater), side(Alternative::Less));
        let p = |row: &Comparison| row.sequential.unwrap().ln_p_value.exp();
        let found = [above.statistic.unwrap(), above.df.unwrap(), above.p_value().unwrap()];
        let found = [&found[..], &[p(&above), p(&below)]].concat();
        assert_near(name, &found, &guardrail(name), 1e-11);
    }
    let states = both(&metric(), &denominator());
    let options = Options {
        alternative: Alternative::Greater,
        margin: -0.05,
        relative: true,
        mixture: Mixture::Tuned(500.0),
        ..Options::default()
    };
    let row = ratio(&states[0], &states[1], &options);
    let found = [row.statistic.unwrap(), row.df.unwrap(), row.p_value().unwrap()];
    assert_near("ratio", &found, &guardrail("ratio_less_5_percent")[..3], 1e-11);
}
