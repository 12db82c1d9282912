//! Principal axes: the eigenvectors of a symmetric matrix, by Householder's reduction to three
//! diagonals and the implicit QL algorithm (EISPACK's tred2 and tql2).

/// The principal axes of a symmetric matrix (row-major, `n` by `n`): eigenvalues from great to
/// small, and for each its unit vector, as rows.
pub fn principal(matrix: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut v = matrix.to_vec();
    let (mut d, mut e) = (vec![0.0; n], vec![0.0; n]);
    tridiagonal(&mut v, &mut d, &mut e, n);
    // Columns are vectors; rotations of two columns are quicker as rows.
    let mut rows = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            rows[j * n + i] = v[i * n + j];
        }
    }
    diagonal(&mut rows, &mut d, &mut e, n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| d[*b].total_cmp(&d[*a]).then(a.cmp(b)));
    let values = order.iter().map(|i| d[*i]).collect();
    let vectors = order.iter().flat_map(|i| rows[i * n..][..n].to_vec()).collect();
    (values, vectors)
}

/// Reduces `v` to a tridiagonal matrix (`d`, `e`) and replaces it by the transformation.
fn tridiagonal(v: &mut [f64], d: &mut [f64], e: &mut [f64], n: usize) {
    d.copy_from_slice(&v[(n - 1) * n..]);
    for i in (1..n).rev() {
        let scale: f64 = d[..i].iter().map(|x| x.abs()).sum();
        let mut h = 0.0;
        if scale == 0.0 {
            e[i] = d[i - 1];
            for j in 0..i {
                d[j] = v[(i - 1) * n + j];
                v[i * n + j] = 0.0;
                v[j * n + i] = 0.0;
            }
        } else {
            for x in &mut d[..i] {
                *x /= scale;
                h += *x * *x;
            }
            let f = d[i - 1];
            let g = if f > 0.0 { -h.sqrt() } else { h.sqrt() };
            e[i] = scale * g;
            h -= f * g;
            d[i - 1] = f - g;
            reflect(v, d, e, (i, n), h);
        }
        d[i] = h;
    }
    accumulate(v, d, n);
    e[0] = 0.0;
}

/// Applies the reflection of step `i` to the rows that are left.
fn reflect(v: &mut [f64], d: &mut [f64], e: &mut [f64], (i, n): (usize, usize), h: f64) {
    e[..i].fill(0.0);
    for j in 0..i {
        let f = d[j];
        v[j * n + i] = f;
        let mut g = e[j] + v[j * n + j] * f;
        for k in j + 1..i {
            g += v[k * n + j] * d[k];
            e[k] += v[k * n + j] * f;
        }
        e[j] = g;
    }
    let mut f = 0.0;
    for j in 0..i {
        e[j] /= h;
        f += e[j] * d[j];
    }
    let scale = f / (h + h);
    for j in 0..i {
        e[j] -= scale * d[j];
    }
    for j in 0..i {
        let (f, g) = (d[j], e[j]);
        for k in j..i {
            v[k * n + j] -= f * e[k] + g * d[k];
        }
        d[j] = v[(i - 1) * n + j];
        v[i * n + j] = 0.0;
    }
}

/// Multiplies the reflections together.
fn accumulate(v: &mut [f64], d: &mut [f64], n: usize) {
    for i in 0..n - 1 {
        v[(n - 1) * n + i] = v[i * n + i];
        v[i * n + i] = 1.0;
        let h = d[i + 1];
        if h != 0.0 {
            for k in 0..=i {
                d[k] = v[k * n + i + 1] / h;
            }
            for j in 0..=i {
                let g: f64 = (0..=i).map(|k| v[k * n + i + 1] * v[k * n + j]).sum();
                for k in 0..=i {
                    v[k * n + j] -= g * d[k];
                }
            }
        }
        for k in 0..=i {
            v[k * n + i + 1] = 0.0;
        }
    }
    for j in 0..n {
        d[j] = v[(n - 1) * n + j];
        v[(n - 1) * n + j] = 0.0;
    }
    v[n * n - 1] = 1.0;
}

/// Turns a tridiagonal matrix to its diagonal; `rows` are the vectors.
fn diagonal(rows: &mut [f64], d: &mut [f64], e: &mut [f64], n: usize) {
    /// Each eigenvalue takes two or three; this many never happens for finite numbers.
    const ROUNDS: usize = 100;
    e.rotate_left(1);
    e[n - 1] = 0.0;
    // Against the whole matrix: what rounding left of a singular one counts as zero.
    let sizes = d.iter().zip(&*e).map(|(d, e)| d.abs() + e.abs());
    let greatest = sizes.fold(0.0, f64::max);
    let mut f = 0.0;
    for l in 0..n {
        let small = |e: &[f64], m: usize| e[m].abs() <= f64::EPSILON * greatest;
        let m = (l..n).find(|m| small(e, *m)).unwrap_or(n - 1);
        if m > l {
            for _ in 0..ROUNDS {
                f += shift(d, e, l);
                chase(rows, d, e, (l, m, n));
                if small(e, l) {
                    break;
                }
            }
        }
        d[l] += f;
        e[l] = 0.0;
    }
}

/// Takes the shift of a round from the diagonal below `l`, and gives it.
fn shift(d: &mut [f64], e: &[f64], l: usize) -> f64 {
    let g = d[l];
    let p = (d[l + 1] - g) / (2.0 * e[l]);
    let r = if p < 0.0 { -p.hypot(1.0) } else { p.hypot(1.0) };
    d[l] = e[l] / (p + r);
    d[l + 1] = e[l] * (p + r);
    let h = g - d[l];
    for x in &mut d[l + 2..] {
        *x -= h;
    }
    h
}

/// One implicit QL sweep from `m` up to `l`.
fn chase(rows: &mut [f64], d: &mut [f64], e: &mut [f64], (l, m, n): (usize, usize, usize)) {
    let next = d[l + 1];
    let mut p = d[m];
    let (mut c, mut c2, mut c3) = (1.0, 1.0, 1.0);
    let (mut s, mut s2) = (0.0, 0.0);
    let below = e[l + 1];
    for i in (l..m).rev() {
        (c3, c2, s2) = (c2, c, s);
        let g = c * e[i];
        let h = c * p;
        let r = p.hypot(e[i]);
        e[i + 1] = s * r;
        s = e[i] / r;
        c = p / r;
        p = c * d[i] - s * g;
        d[i + 1] = h + s * (c * g + s * d[i]);
        let (low, high) = rows[i * n..(i + 2) * n].split_at_mut(n);
        for (a, b) in low.iter_mut().zip(high) {
            (*a, *b) = (c * *a - s * *b, s * *a + c * *b);
        }
    }
    p = -s * s2 * c3 * below * e[l] / next;
    e[l] = s * p;
    d[l] = c * p;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ann::random::Random;

    /// A v = λ v, v of unit length and at right angles, for full, diagonal and singular matrices.
    #[test]
    fn vectors_are_principal() {
        let mut random = Random::new(7);
        for n in [1, 2, 3, 17, 64] {
            for kind in 0..3 {
                let mut a = vec![0.0; n * n];
                for i in 0..n {
                    for j in 0..=i {
                        let x = random.below(2001) as f64 / 1000.0 - 1.0;
                        let x = if kind == 1 && i != j { 0.0 } else { x };
                        let x = if kind == 2 { 1.0 } else { x };
                        (a[i * n + j], a[j * n + i]) = (x, x);
                    }
                }
                let (values, vectors) = principal(&a, n);
                assert!(values.is_sorted_by(|x, y| x >= y));
                for (i, v) in vectors.chunks(n).enumerate() {
                    for (j, w) in vectors.chunks(n).enumerate() {
                        let dot: f64 = v.iter().zip(w).map(|(x, y)| x * y).sum();
                        assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-9, "{n} {kind}");
                    }
                    for row in 0..n {
                        let x: f64 = a[row * n..][..n].iter().zip(v).map(|(x, y)| x * y).sum();
                        assert!((x - values[i] * v[row]).abs() < 1e-9, "{n} {kind}");
                    }
                }
            }
        }
    }
}
