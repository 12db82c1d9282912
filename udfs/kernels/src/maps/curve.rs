//! The curve 1 / (1 + a·d^2b): how near two points of the map count as.
//!
//! It is fitted to what is wanted: 1 up to `min_dist`, then falling as exp(-(d - min_dist) /
//! spread); by least squares over 300 distances up to three spreads, with Levenberg's and
//! Marquardt's steps.

/// Distances that are fitted.
const POINTS: usize = 300;
/// Steps; a handful are enough.
const STEPS: usize = 200;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    pub a: f64,
    pub b: f64,
}

impl Curve {
    /// For distances that `Options::check` lets pass.
    pub fn fit(min_dist: f64, spread: f64) -> Self {
        let distance = |point: usize| 3.0 * spread * point as f64 / (POINTS - 1) as f64;
        let wanted = |x: f64| if x < min_dist { 1.0 } else { (-(x - min_dist) / spread).exp() };
        let points: Vec<(f64, f64)> = (0..POINTS).map(distance).map(|x| (x, wanted(x))).collect();
        let (mut curve, mut damping) = (Self { a: 1.0, b: 1.0 }, 1e-3);
        let mut error = curve.error(&points);
        for _ in 0..STEPS {
            let next = curve.step(&points, damping);
            let next_error = next.error(&points);
            if next_error > error || !next_error.is_finite() {
                damping *= 10.0;
                if damping > 1e12 {
                    break;
                }
                continue;
            }
            let gained = error - next_error;
            (curve, error, damping) = (next, next_error, damping / 10.0);
            if gained <= error * 1e-15 {
                break;
            }
        }
        curve
    }

    fn value(self, x: f64) -> f64 {
        1.0 / (1.0 + self.a * x.powf(2.0 * self.b))
    }

    /// The sum of squares; infinite where there is no such curve.
    fn error(self, points: &[(f64, f64)]) -> f64 {
        if self.a <= 0.0 || self.b <= 0.0 {
            return f64::INFINITY;
        }
        points.iter().map(|(x, y)| (self.value(*x) - y).powi(2)).sum()
    }

    /// Solves the damped normal equations of two unknowns.
    fn step(self, points: &[(f64, f64)], damping: f64) -> Self {
        let (mut aa, mut ab, mut bb, mut ra, mut rb) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (x, y) in points.iter().filter(|(x, _)| *x > 0.0) {
            let (value, power) = (self.value(*x), x.powf(2.0 * self.b));
            let of_a = -power * value * value;
            let of_b = 2.0 * self.a * x.ln() * of_a;
            let residual = y - value;
            aa += of_a * of_a;
            ab += of_a * of_b;
            bb += of_b * of_b;
            ra += of_a * residual;
            rb += of_b * residual;
        }
        let (aa, bb) = (aa * (1.0 + damping), bb * (1.0 + damping));
        let determinant = aa * bb - ab * ab;
        Self {
            a: self.a + (ra * bb - rb * ab) / determinant,
            b: self.b + (rb * aa - ra * ab) / determinant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What umap-learn 0.5.12 has for `find_ab_params(spread, min_dist)`.
    const REFERENCE: [(f64, f64, f64, f64); 8] = [
        (0.1, 1.0, 1.576943, 0.895061),
        (0.0, 1.0, 1.932808, 0.790495),
        (0.01, 1.0, 1.895606, 0.800638),
        (0.5, 1.0, 0.583030, 1.334167),
        (0.99, 1.0, 0.119305, 1.916390),
        (1.0, 1.0, 0.114976, 1.929237),
        (0.1, 2.0, 0.544661, 0.842055),
        (0.001, 10.0, 0.050689, 0.790596),
    ];

    #[test]
    fn fits_as_umap_learn_does() {
        for (min_dist, spread, a, b) in REFERENCE {
            let curve = Curve::fit(min_dist, spread);
            assert!((curve.a - a).abs() < 1e-4 * a.max(1.0), "{min_dist} {spread}: {curve:?}");
            assert!((curve.b - b).abs() < 1e-4 * b.max(1.0), "{min_dist} {spread}: {curve:?}");
        }
    }
}
