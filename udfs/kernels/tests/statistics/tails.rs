//! Tails against mpmath 1.4.1 at 80 digits (`reference/tails.py`).

use kernels::statistics::tails::*;

/// The logarithm, and hence the probability to 1e-11 (1e-9 far out), must agree.
fn check(line: &str) -> Result<(), String> {
    let words: Vec<&str> = line.split(' ').collect();
    let numbers: Vec<f64> = words[1..].iter().map(|word| word.parse().unwrap()).collect();
    let (arguments, expected) = numbers.split_at(numbers.len() - 1);
    let expected = expected[0];
    let actual = match (words[0], arguments) {
        ("student", [t, df]) => student_ln_two_sided(*t, *df),
        ("normal", [z]) => normal_ln_sf(*z),
        ("chi_square", [x, df]) => chi_square_ln_sf(*x, *df),
        ("f", [x, numerator, denominator]) => f_ln_sf(*x, *numerator, *denominator),
        ("kolmogorov", [x]) => kolmogorov_ln_sf(*x),
        _ => panic!("no such line: {line}"),
    };
    // A tail that is one to 300 digits.
    let ln_error = ((actual - expected) / expected.abs().max(1e-300)).abs();
    let p_error = (actual - expected).abs();
    let p_limit = if expected < -460.0 { 1e-9 } else { 1e-11 };
    // Far below 1e-308 only the logarithm counts.
    let p_holds = p_error <= p_limit || expected < -709.0;
    match ln_error <= 1e-12 && p_holds {
        true => Ok(()),
        false => Err(format!("{line}: {actual}, off by {ln_error:e} in ln p, {p_error:e} in p")),
    }
}

#[test]
fn tails_agree_with_mpmath() {
    let lines = include_str!("../reference/tails.txt").lines();
    let wrong: Vec<String> = lines.filter_map(|line| check(line).err()).collect();
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// A quantile is where the tail has its probability, to the last digits that the tail can tell.
#[test]
fn quantiles_undo_tails() {
    for p in [1e-300, 1e-30, 1e-6, 0.001, 0.025, 0.05, 0.2, 0.4999, 0.5, 0.6, 0.975] {
        let check = |name: &str, ln_sf: f64| {
            let off = (ln_sf - f64::ln(p)).abs() / f64::ln(p).abs();
            assert!(off < 2e-14, "{name} at {p}: off by {off:e}");
        };
        check("normal", normal_ln_sf(normal_quantile(p)));
        for df in [0.7, 1.0, 2.5, 17.776, 734.0, 1e6, 1e12] {
            let t = student_quantile(p, df);
            if t.abs() < 1e150 {
                check(&format!("student {df}"), student_ln_sf(t, df));
            }
            if p < 0.9 && (1.0..1e5).contains(&df) {
                let x = chi_square_quantile(p, df);
                check(&format!("chi-square {df}"), chi_square_ln_sf(x, df));
            }
        }
    }
}
