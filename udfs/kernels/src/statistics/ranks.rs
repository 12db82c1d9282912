//! Tests on ranks: Mann-Whitney, Kolmogorov-Smirnov, Wasserstein's distance, difference of
//! quantiles.

use super::comparison::{Alternative, Arm, Comparison, Estimate, Options, Status, ln_p_value};
use super::double::Double;
use super::kll::{Kll, rank_error};
use super::sample::{Ranked, together};
use super::tails::{
    binomial_ln_at_least, kolmogorov_ln_sf, normal_quantile, two_sample_ln_sf, two_sample_steps,
};

/// How a p-value is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Exact for small samples without ties, else asymptotic.
    #[default]
    Auto,
    /// From the exact distribution, up to `EXACT_STEPS` of work; asymptotic beyond or
    /// (Mann-Whitney) with ties.
    Exact,
    /// From the limit.
    Asymptotic,
}

/// Mann-Whitney is exact by itself up to this many rows in the smaller arm, as in scipy.
const EXACT_ROWS: u64 = 8;
/// Largest n² m² (Mann-Whitney) or n m (Kolmogorov-Smirnov) for which an exact distribution is
/// computed.
const EXACT_STEPS: u64 = 100_000_000;
/// Kolmogorov-Smirnov is exact by itself up to this much work: for 4,472 rows a side whatever they
/// are, and the more the nearer the samples are and the smaller the other one is.
const AUTO_STEPS: f64 = 2e7;

/// The answer of Mann-Whitney's test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannWhitney {
    /// Rows of control and treatment.
    pub count: [u64; 2],
    /// U of treatment: pairs in which treatment is greater, ties counting a half.
    pub statistic: f64,
    /// ln of the p-value; None if a sample is empty.
    pub ln_p_value: Option<f64>,
    /// U / (n m): the probability that treatment is greater.
    pub prob_superiority: Option<f64>,
    /// Whether the exact distribution was used.
    pub exact: bool,
    /// Why not.
    pub status: Status,
}

/// Mann & Whitney 1947, mid-ranks for ties. All values equal: U = n m / 2 and p = 1.
pub fn mann_whitney(
    control: &Ranked,
    treatment: &Ranked,
    method: Method,
    continuity: bool,
    alternative: Alternative,
) -> MannWhitney {
    // Twice U, in integers; and Σ (t³ - t) over ties.
    let (mut twice, mut below, mut ties) = (0u128, 0u64, 0.0f64);
    together(control, treatment, |_, c, t| {
        twice += u128::from(t) * u128::from(2 * below + c);
        below += c;
        let both = (c + t) as f64;
        ties += both * both * both - both;
    });
    let count = [control.count(), treatment.count()];
    let pairs = count[0] as f64 * count[1] as f64;
    let mut answer = MannWhitney {
        count,
        statistic: twice as f64 / 2.0,
        ln_p_value: None,
        prob_superiority: None,
        exact: false,
        status: Status::MissingArm,
    };
    if count.contains(&0) {
        return answer;
    }
    answer.status = Status::Ok;
    answer.prob_superiority = Some(answer.statistic / pairs);
    let small = match method {
        Method::Asymptotic => false,
        Method::Auto => count[0].min(count[1]) <= EXACT_ROWS,
        Method::Exact => true,
    };
    answer.exact = small && ties == 0.0 && pairs * pairs <= EXACT_STEPS as f64;
    answer.ln_p_value = Some(match answer.exact {
        true => exact_u(count, answer.statistic as u64, alternative).ln(),
        false => asymptotic_u(count, answer.statistic, ties, continuity, alternative),
    });
    answer
}

fn asymptotic_u(count: [u64; 2], u: f64, ties: f64, continuity: bool, side: Alternative) -> f64 {
    let (n, m) = (count[0] as f64, count[1] as f64);
    let all = n + m;
    let variance = n * m / 12.0 * ((all + 1.0) - ties / (all * (all - 1.0)).max(1.0));
    if variance <= 0.0 {
        return 0.0;
    }
    let above = u - n * m / 2.0;
    let above = match side {
        Alternative::TwoSided => above.abs(),
        Alternative::Greater => above,
        Alternative::Less => -above,
    };
    let z = (above - if continuity { 0.5 } else { 0.0 }) / variance.sqrt();
    match side {
        // The correction may cross the middle; p is then one.
        Alternative::TwoSided if z <= 0.0 => 0.0,
        Alternative::TwoSided => ln_p_value(z, None, Alternative::TwoSided),
        Alternative::Greater | Alternative::Less => ln_p_value(z, None, Alternative::Greater),
    }
}

/// The exact tail: P(U = u) for sizes i, j is the mean, weighted by i and j, of P(U = u - j) for (i
/// - 1, j) and of P(U = u) for (i, j - 1). Only additions.
fn exact_u(count: [u64; 2], u: u64, side: Alternative) -> f64 {
    let (n, m) = (count[0].min(count[1]) as usize, count[0].max(count[1]) as usize);
    let mut rows = vec![vec![1.0f64]; m + 1];
    for i in 1..=n {
        rows[0] = vec![1.0];
        for j in 1..=m {
            let (left, above) = (&rows[j - 1], &rows[j]);
            let total = (i + j) as f64;
            let mut next = vec![0.0; i * j + 1];
            for (u, share) in above.iter().enumerate() {
                next[u + j] += share * i as f64 / total;
            }
            for (u, share) in left.iter().enumerate() {
                next[u] += share * j as f64 / total;
            }
            rows[j] = next;
        }
    }
    let shares = &rows[m];
    // The distribution is symmetric: P(U >= u) = P(U <= n m - u).
    let at_least = |u: u64| shares.iter().take(n * m + 1 - u as usize).sum::<f64>();
    let pairs = (n * m) as u64;
    match side {
        Alternative::Greater => at_least(u),
        Alternative::Less => at_least(pairs - u),
        Alternative::TwoSided => (2.0 * at_least(u.max(pairs - u))).min(1.0),
    }
}

/// The answer of a two-sample Kolmogorov-Smirnov test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KolmogorovSmirnov {
    /// Largest distance of the distribution functions.
    pub statistic: f64,
    /// ln of the two-sided p-value.
    pub ln_p_value: f64,
    /// Whether the exact distribution was used.
    pub exact: bool,
}

/// Two-sided Kolmogorov-Smirnov test; None if a sample is empty. Exact (Hodges 1958) while n m is
/// at most 100 million (`Auto`: see `AUTO_STEPS`), else Kolmogorov's limit at D √(n m / (n + m)).
/// Ties make both conservative.
pub fn kolmogorov_smirnov(a: &Ranked, b: &Ranked, method: Method) -> Option<KolmogorovSmirnov> {
    let (n, m) = (a.count(), b.count());
    if n == 0 || m == 0 {
        return None;
    }
    let (mut in_a, mut in_b, mut distance) = (0u64, 0u64, 0u128);
    together(a, b, |_, first, second| {
        in_a += first;
        in_b += second;
        let (x, y) = (u128::from(in_a) * u128::from(m), u128::from(in_b) * u128::from(n));
        distance = distance.max(x.abs_diff(y));
    });
    let steps = n as f64 * m as f64;
    let exact = match method {
        Method::Asymptotic => false,
        Method::Auto => two_sample_steps(distance as f64, n, m) <= AUTO_STEPS,
        Method::Exact => steps <= EXACT_STEPS as f64,
    };
    let statistic = distance as f64 / steps;
    let size = (steps / (n as f64 + m as f64)).sqrt();
    let ln_p_value = match exact {
        true => two_sample_ln_sf(distance as u64, n.max(m), n.min(m)),
        false => kolmogorov_ln_sf(statistic * size),
    };
    Some(KolmogorovSmirnov { statistic, ln_p_value, exact })
}

/// Wasserstein's distance of order one: the area between the distribution functions, in units of
/// the values. None if a sample is empty.
pub fn wasserstein(a: &Ranked, b: &Ranked) -> Option<f64> {
    let (n, m) = (a.count(), b.count());
    if n == 0 || m == 0 {
        return None;
    }
    let (mut in_a, mut in_b, mut last, mut area) = (0u64, 0u64, None, Double::default());
    together(a, b, |value, first, second| {
        if let Some(last) = last {
            let height = (u128::from(in_a) * u128::from(m))
                .abs_diff(u128::from(in_b) * u128::from(n)) as f64;
            // Divided first: counts times values could leave the range.
            let share = height / n as f64 / m as f64;
            area = area + Double::from(share * value - share * last);
        }
        in_a += first;
        in_b += second;
        last = Some(value);
    });
    Some(area.value())
}

/// The difference of a quantile. Its error comes from two order statistics around the quantile, and
/// from z of the exact binomial probability that they miss it: se = (x_u - x_l) / (2 z) (Price &
/// Bonett 2002; Yao, Li & Lu 2024, arXiv 2401.14549).
pub fn quantile_test(
    control: &Ranked,
    treatment: &Ranked,
    q: f64,
    options: &Options,
) -> Comparison {
    test_of_quantiles(arm(control, q), arm(treatment, q), q, options)
}

/// The same from sketches. The order statistics around the quantile are taken as far apart as the
/// sample and the sketch make ranks uncertain together; where they would leave the sample, there is
/// no answer.
pub fn sketched_quantile_test(
    control: &Kll,
    treatment: &Kll,
    q: f64,
    options: &Options,
) -> Comparison {
    match (sketched_arm(control, q), sketched_arm(treatment, q)) {
        (Ok(c), Ok(t)) => test_of_quantiles(c, t, q, options),
        (Ok(c) | Err(c), Ok(t) | Err(t)) => Comparison::without(Status::InsufficientData, c, t),
    }
}

fn test_of_quantiles(c: Arm, t: Arm, q: f64, options: &Options) -> Comparison {
    if c.count == 0 || t.count == 0 {
        return Comparison::without(Status::MissingArm, c, t);
    }
    // The order statistics around the quantile must lie within the sample.
    let fewest = c.count.min(t.count) as f64;
    if fewest * q.min(1.0 - q) < 5.0 {
        return Comparison::without(Status::InsufficientData, c, t);
    }
    let estimate = Estimate {
        control: c,
        treatment: t,
        diff: Double::difference(t.mean, c.mean),
        std_error: c.std_error.hypot(t.std_error),
        df: None,
        contrast: (t.std_error.hypot(c.std_error * options.weight_of_control(c.mean)), None),
        baseline: c.mean,
        units: c.count + t.count,
    };
    estimate.test(options)
}

fn arm(sample: &Ranked, q: f64) -> Arm {
    let count = sample.count();
    if count == 0 {
        return Arm { count, mean: f64::NAN, std_error: 0.0 };
    }
    let n = count as f64;
    let half = normal_quantile(0.025) * (n * q * (1.0 - q)).sqrt();
    let low = (n * q - half).floor().max(0.0) as u64;
    let high = (n * q + half).ceil().min(n - 1.0) as u64;
    // The quantile misses the two order statistics when at most `low` rows lie below it, or more
    // than `high`.
    let below = binomial_ln_at_least(count - low, count, 1.0 - q).exp();
    let above = binomial_ln_at_least(high + 1, count, q).exp();
    let z = normal_quantile(((below + above) / 2.0).clamp(1e-300, 0.49));
    let [low, high] = sample.at([low, high]);
    Arm { count, mean: sample.quantile(q), std_error: (high - low) / (2.0 * z) }
}

/// An arm of a sketch; Err without an error if the sample ends too near.
fn sketched_arm(sketch: &Kll, q: f64) -> Result<Arm, Arm> {
    let sample = sketch.ranked();
    if sketch.is_exact() {
        return Ok(arm(&sample, q));
    }
    let (n, z) = (sample.count() as f64, normal_quantile(0.025));
    // The bound of 99 percent, in standard deviations.
    let sketched = n * rank_error(sketch.k()) / normal_quantile(0.005);
    let half = z * (n * q * (1.0 - q)).sqrt().hypot(sketched);
    let (low, high) = ((n * q - half).floor(), (n * q + half).ceil());
    let without = Arm { count: sample.count(), mean: sample.quantile(q), std_error: 0.0 };
    if low < 0.0 || high > n - 1.0 {
        return Err(without);
    }
    let [low, high] = sample.at([low as u64, high as u64]);
    Ok(Arm { std_error: (high - low) / (2.0 * z), ..without })
}
