//! L-BFGS (Liu and Nocedal, 1989), and OWL-QN (Andrew and Gao, ICML 2007) where there are
//! penalties on sizes: steps stay in one orthant, where the size is smooth.

/// Steps that the curvature is taken from.
const MEMORY: usize = 10;
const HALVINGS: usize = 40;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct End {
    pub(super) iterations: usize,
    /// With penalties.
    pub(super) loss: f64,
    /// The greatest slope that is left.
    pub(super) slope: f64,
}

/// A smooth function: its value, and its slopes into the second argument.
pub(super) type Function<'a> = dyn FnMut(&[f64], &mut [f64]) -> f64 + 'a;

/// Improves `x`, all zeros at first, until no slope of f(x) + Σ sizes |x| is over `tolerance`.
/// `go_on` is asked after each step; None if it says no.
pub(super) fn minimise(
    f: &mut Function<'_>,
    x: &mut Vec<f64>,
    sizes: &[f64],
    (tolerance, most): (f64, usize),
    go_on: &mut dyn FnMut(usize, f64) -> bool,
) -> Option<End> {
    let mut slopes = vec![0.0; x.len()];
    let mut loss = f(x, &mut slopes) + size(x, sizes);
    let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let mut iterations = 0;
    loop {
        let steepest = pseudo(x, &slopes, sizes);
        let slope = steepest.iter().fold(0.0, |most: f64, slope| most.max(slope.abs()));
        if slope <= tolerance || iterations >= most {
            return Some(End { iterations, loss, slope });
        }
        let mut direction = turn(&steepest, &memory);
        for (d, (s, size)) in direction.iter_mut().zip(steepest.iter().zip(sizes)) {
            if *size > 0.0 && *d * s >= 0.0 {
                *d = 0.0;
            }
        }
        let mut length = if memory.is_empty() { 1.0 / norm(&steepest).max(1.0) } else { 1.0 };
        let mut next_slopes = vec![0.0; x.len()];
        let mut found = None;
        for _ in 0..HALVINGS {
            let next = step(x, &direction, length, &steepest, sizes);
            let next_loss = f(&next, &mut next_slopes) + size(&next, sizes);
            let fall: f64 =
                next.iter().zip(&*x).zip(&steepest).map(|((new, old), s)| s * (new - old)).sum();
            if next_loss <= loss + 1e-4 * fall {
                found = Some((next, next_loss));
                break;
            }
            length /= 2.0;
        }
        let Some((next, next_loss)) = found else {
            if memory.is_empty() {
                return Some(End { iterations, loss, slope });
            }
            // Rounding, or a curvature that no longer holds: once more from the slope alone.
            memory.clear();
            continue;
        };
        iterations += 1;
        let moved: Vec<f64> = next.iter().zip(&*x).map(|(new, old)| new - old).collect();
        let turned: Vec<f64> =
            next_slopes.iter().zip(&slopes).map(|(new, old)| new - old).collect();
        if dot(&moved, &turned) > 1e-14 * dot(&turned, &turned) {
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push((moved, turned));
        }
        (*x, slopes, loss) = (next, next_slopes, next_loss);
        if !go_on(iterations, loss) {
            return None;
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

fn size(x: &[f64], sizes: &[f64]) -> f64 {
    x.iter().zip(sizes).map(|(x, size)| size * x.abs()).sum()
}

/// The slope of least size among those of f and the sizes: zero where a zero is best.
pub(super) fn pseudo(x: &[f64], slopes: &[f64], sizes: &[f64]) -> Vec<f64> {
    let one = |((x, slope), size): ((&f64, &f64), &f64)| match x {
        _ if *x > 0.0 => slope + size,
        _ if *x < 0.0 => slope - size,
        _ if slope + size < 0.0 => slope + size,
        _ if slope - size > 0.0 => slope - size,
        _ => 0.0,
    };
    x.iter().zip(slopes).zip(sizes).map(one).collect()
}

/// Down the slope, turned by the curvature seen (two loops).
fn turn(steepest: &[f64], memory: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut direction: Vec<f64> = steepest.iter().map(|s| -s).collect();
    let add = |direction: &mut [f64], by: &[f64], times: f64| {
        direction.iter_mut().zip(by).for_each(|(d, by)| *d += times * by);
    };
    let mut factors = Vec::new();
    for (moved, turned) in memory.iter().rev() {
        let factor = dot(moved, &direction) / dot(moved, turned);
        add(&mut direction, turned, -factor);
        factors.push(factor);
    }
    if let Some((moved, turned)) = memory.last() {
        let scale = dot(moved, turned) / dot(turned, turned);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((moved, turned), factor) in memory.iter().zip(factors.into_iter().rev()) {
        let back = dot(turned, &direction) / dot(moved, turned);
        add(&mut direction, moved, factor - back);
    }
    direction
}

/// Along the direction, but to zero where it would leave the orthant.
fn step(x: &[f64], direction: &[f64], length: f64, steepest: &[f64], sizes: &[f64]) -> Vec<f64> {
    let one = |(number, x): (usize, &f64)| {
        let next = x + length * direction[number];
        let side = if *x == 0.0 { -steepest[number] } else { *x };
        if sizes[number] > 0.0 && next * side <= 0.0 { 0.0 } else { next }
    };
    x.iter().enumerate().map(one).collect()
}
