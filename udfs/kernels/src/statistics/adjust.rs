//! Adjusting the p-values of a family of tests.

/// How, and what it controls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjustment {
    /// Nothing.
    None,
    /// Any false alarm: n p (Bonferroni).
    Bonferroni,
    /// Any false alarm, independent tests: 1 - (1 - p)^n (Šidák 1967).
    Sidak,
    /// Any false alarm, stepping down: Holm 1979.
    Holm,
    /// Holm with Šidák's factor.
    HolmSidak,
    /// Any false alarm, stepping up, independent tests: Hochberg 1988.
    Hochberg,
    /// Share of false alarms among alarms: Benjamini & Hochberg 1995.
    BenjaminiHochberg,
    /// The same under any dependence: Benjamini & Yekutieli 2001.
    BenjaminiYekutieli,
}

/// The adjusted p-values in the order given. None and NaN are not part of the family and stay None.
pub fn adjust(p_values: &[Option<f64>], method: Adjustment) -> Vec<Option<f64>> {
    let mut known: Vec<(usize, f64)> = p_values
        .iter()
        .enumerate()
        .filter_map(|(index, p)| p.filter(|p| !p.is_nan()).map(|p| (index, p)))
        .collect();
    known.sort_by(|a, b| a.1.total_cmp(&b.1));
    let n = known.len() as f64;
    let harmonic: f64 = (1..=known.len()).rev().map(|k| 1.0 / k as f64).sum();
    // `rank` counts from one at the smallest; `left` are the hypotheses not yet rejected.
    let single = |rank: f64, p: f64| {
        let left = n - rank + 1.0;
        match method {
            Adjustment::None => p,
            Adjustment::Bonferroni => n * p,
            Adjustment::Sidak => sidak(p, n),
            Adjustment::Holm | Adjustment::Hochberg => left * p,
            Adjustment::HolmSidak => sidak(p, left),
            Adjustment::BenjaminiHochberg => n / rank * p,
            Adjustment::BenjaminiYekutieli => harmonic * n / rank * p,
        }
    };
    let ranked = known.iter().enumerate();
    let mut adjusted: Vec<f64> = ranked.map(|(i, (_, p))| single(i as f64 + 1.0, *p)).collect();
    match method {
        Adjustment::None | Adjustment::Bonferroni | Adjustment::Sidak => {}
        Adjustment::Holm | Adjustment::HolmSidak => {
            monotone(adjusted.iter_mut(), f64::max, 0.0);
        }
        Adjustment::Hochberg | Adjustment::BenjaminiHochberg | Adjustment::BenjaminiYekutieli => {
            monotone(adjusted.iter_mut().rev(), f64::min, 1.0)
        }
    }
    let mut answer = vec![None; p_values.len()];
    for ((index, _), p) in known.into_iter().zip(adjusted) {
        answer[index] = Some(p.min(1.0));
    }
    answer
}

/// 1 - (1 - p)^n without cancellation.
fn sidak(p: f64, n: f64) -> f64 {
    -(n * (-p).ln_1p()).exp_m1()
}

fn monotone<'a>(values: impl Iterator<Item = &'a mut f64>, pick: fn(f64, f64) -> f64, start: f64) {
    let mut last = start;
    for value in values {
        last = pick(last, *value);
        *value = last;
    }
}
