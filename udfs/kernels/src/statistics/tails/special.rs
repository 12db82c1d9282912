//! The small pieces from which tails are built, each without cancellation.

/// ln Γ(a) - [(a - 1/2) ln a - a + ln(2π)/2], the error of Stirling's formula (DLMF 5.11.1).
pub fn stirling_error(a: f64) -> f64 {
    const SERIES: [f64; 7] = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
    ];
    if a < 15.0 {
        return libm::lgamma(a) - ((a - 0.5) * a.ln() - a + half_ln_two_pi());
    }
    let square = 1.0 / (a * a);
    SERIES.iter().rev().fold(0.0, |sum, term| sum * square + term) / a
}

/// ln(2π) / 2.
pub fn half_ln_two_pi() -> f64 {
    0.5 * std::f64::consts::TAU.ln()
}

/// ln(ratio) - u for ratio = 1 + u, where the caller knows both without error.
///
/// Near zero by ln(1 + u) = 2 artanh(r), r = u / (2 + u): then -u r + 2 r³ (1/3 + r²/5 + r⁴/7 + …).
pub fn ln_minus(ratio: f64, u: f64) -> f64 {
    if u.abs() > 0.5 {
        return ratio.ln() - u;
    }
    let r = u / (2.0 + u);
    let square = r * r;
    let series = (0..20).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 3));
    r * (2.0 * square * series - u)
}

/// ln(1 - e^x) for x <= 0 without cancellation (Mächler 2012).
pub fn ln_complement(x: f64) -> f64 {
    if x > -std::f64::consts::LN_2 { (-x.exp_m1()).ln() } else { (-x.exp()).ln_1p() }
}

/// Evaluates b0 + a1/(b1 + a2/(b2 + …)) by Lentz's method (Thompson & Barnett 1986), where
/// `term(k)` is (a_k, b_k), until the factor is one.
pub fn continued_fraction(first: f64, term: impl Fn(u32) -> (f64, f64)) -> f64 {
    const TINY: f64 = 1e-300;
    const LIMIT: u32 = 5_000_000;
    let keep = |x: f64| if x == 0.0 { TINY } else { x };
    let mut value = keep(first);
    let (mut numerator, mut denominator) = (value, 0.0);
    for k in 1..LIMIT {
        let (a, b) = term(k);
        denominator = 1.0 / keep(b + a * denominator);
        numerator = keep(b + a / numerator);
        let factor = numerator * denominator;
        value *= factor;
        if (factor - 1.0).abs() < 2e-16 || factor.is_nan() {
            break;
        }
    }
    value
}

/// The x > 0 where the logarithm of a tail equals `target`, by Newton's method in ln x.
///
/// The tails are concave in ln x, so after one step the iterates fall to the root from above.
pub fn solve_decreasing(
    start: f64,
    target: f64,
    ln_sf: impl Fn(f64) -> f64,
    slope: impl Fn(f64, f64) -> f64,
) -> f64 {
    let mut x = start;
    for _ in 0..200 {
        let value = ln_sf(x);
        let step = (value - target) / slope(x, value);
        // A start deep in the flat part would shoot out of range.
        let next = x * (-step).clamp(-20.0, 20.0).exp();
        // The error after a step is of the order of its square.
        if step.abs() <= 1e-9 || !next.is_finite() {
            return next;
        }
        x = next;
    }
    x
}
