//! The weighted graph of a map: how much each row counts two rows as near, put together.
//!
//! A row's nearest other row is at ρ, and σ is such that Σ exp(-max(0, d - ρ) / σ) over its
//! neighbours is log₂ k: rows in thin air have neighbours as rows in a crowd do. The weight of two
//! rows is w + w' - w·w', the chance that at least one of two independent edges exists.

use super::neighbours::Near;

/// Halvings of the search for σ.
const HALVINGS: usize = 64;
/// σ is at least this share of the mean distance, lest a weight be all or nothing.
const LEAST_SHARE: f64 = 1e-3;

/// A symmetric graph without loops: the edges of row `i` are `starts[i]..starts[i + 1]`, their ends
/// ascending.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    pub starts: Vec<usize>,
    pub ends: Vec<u32>,
    /// Over 0 and at most 1.
    pub weights: Vec<f32>,
}

impl Graph {
    pub fn new(near: Near) -> Self {
        let one_sided = one_sided(near);
        let reversed = one_sided.reversed();
        let most = one_sided.ends.len() + reversed.ends.len();
        let (ends, weights) = (Vec::with_capacity(most), Vec::with_capacity(most));
        let mut graph = Self { starts: vec![0], ends, weights };
        for row in 0..one_sided.rows() {
            let (mut mine, mut theirs) =
                (one_sided.edges(row).peekable(), reversed.edges(row).peekable());
            loop {
                let (end, weight) = match (mine.peek().copied(), theirs.peek().copied()) {
                    (Some(a), Some(b)) if a.0 == b.0 => (a.0, a.1 + b.1 - a.1 * b.1),
                    (Some(a), Some(b)) if b.0 < a.0 => b,
                    (Some(a), _) => a,
                    (None, Some(b)) => b,
                    (None, None) => break,
                };
                mine.next_if(|edge| edge.0 == end);
                theirs.next_if(|edge| edge.0 == end);
                graph.ends.push(end);
                graph.weights.push(weight);
            }
            graph.starts.push(graph.ends.len());
        }
        graph
    }

    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Ends and weights.
    pub fn edges(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let range = self.starts[row]..self.starts[row + 1];
        self.ends[range.clone()].iter().copied().zip(self.weights[range].iter().copied())
    }

    fn reversed(&self) -> Self {
        let mut starts = vec![0; self.rows() + 1];
        for end in &self.ends {
            starts[*end as usize + 1] += 1;
        }
        for row in 0..self.rows() {
            starts[row + 1] += starts[row];
        }
        let mut next = starts.clone();
        let (mut ends, mut weights) = (vec![0; self.ends.len()], vec![0.0; self.ends.len()]);
        for row in 0..self.rows() {
            for (end, weight) in self.edges(row) {
                let place = &mut next[end as usize];
                (ends[*place], weights[*place]) = (row as u32, weight);
                *place += 1;
            }
        }
        Self { starts, ends, weights }
    }
}

/// What each row thinks of its neighbours.
fn one_sided(near: Near) -> Graph {
    let Near { width, mut ends, mut distances } = near;
    let rows = ends.len() / width;
    let target = ((width + 1) as f64).log2();
    let total: f64 = distances.iter().map(|distance| f64::from(*distance)).sum();
    let mean = total / distances.len().max(1) as f64;
    let mut order: Vec<(u32, f32)> = Vec::with_capacity(width);
    for (ends, row) in ends.chunks_exact_mut(width).zip(distances.chunks_exact_mut(width)) {
        let (rho, sigma) = smooth(row, target, mean);
        let weight = |distance: f32| {
            let over = f64::from(distance) - rho;
            if over <= 0.0 || sigma == 0.0 { 1.0 } else { (-over / sigma).exp() as f32 }
        };
        order.clear();
        order.extend(ends.iter().copied().zip(row.iter().map(|distance| weight(*distance))));
        order.sort_unstable_by_key(|edge| edge.0);
        for ((end, weight), edge) in ends.iter_mut().zip(row).zip(&order) {
            (*end, *weight) = *edge;
        }
    }
    Graph { starts: (0..=rows).map(|row| row * width).collect(), ends, weights: distances }
}

/// ρ and σ of a row with these distances to others, ascending. `mean` is that of all rows, for rows
/// whose neighbours are all equal to it.
pub(super) fn smooth(distances: &[f32], target: f64, mean: f64) -> (f64, f64) {
    let distances = distances.iter().map(|distance| f64::from(*distance));
    let rho = distances.clone().find(|distance| *distance > 0.0).unwrap_or(0.0);
    let sum = |sigma: f64| -> f64 {
        let over = distances.clone().map(|distance| distance - rho);
        over.map(|over| if over > 0.0 { (-over / sigma).exp() } else { 1.0 }).sum()
    };
    let own = distances.clone().sum::<f64>() / distances.len().max(1) as f64;
    let least = LEAST_SHARE * if rho > 0.0 { own } else { mean };
    let greatest = distances.clone().fold(0.0, f64::max);
    // Neighbours that all weigh 1 are more than the target, however small σ is.
    let (mut low, mut high) = (0.0, greatest);
    while high > 0.0 && sum(high) < target {
        (low, high) = (high, high * 2.0);
        if high > f64::from(f32::MAX) * 1e9 {
            break;
        }
    }
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if middle <= 0.0 {
            break;
        }
        if sum(middle) > target { high = middle } else { low = middle }
    }
    (rho, ((low + high) / 2.0).max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances to five others, and ρ and σ of umap-learn 0.5.12's `smooth_knn_dist(rows, 6)`.
    const REFERENCE: [([f32; 5], f64, f64); 5] = [
        ([1.0, 2.0, 3.0, 4.0, 5.0], 1.0, 2.429016),
        ([2.0, 2.5, 2.75, 10.0, 100.0], 2.0, 2.426758),
        ([0.125, 0.25, 0.375, 0.5, 0.5], 0.125, 0.282391),
        ([0.0, 1.0, 2.0, 4.0, 8.0], 1.0, 1.337524),
        ([3.0, 3.0, 4.0, 5.0, 9.0], 3.0, 1.125000),
    ];

    #[test]
    fn distances_are_smooth_as_in_umap_learn() {
        for (distances, rho, sigma) in REFERENCE {
            let found = smooth(&distances, 6f64.log2(), 1.0);
            assert_eq!(found.0, rho, "{distances:?}");
            assert!((found.1 - sigma).abs() < 1e-3 * sigma, "{distances:?}: {found:?}");
            let weight = |d: &f32| (-(f64::from(*d) - rho).max(0.0) / found.1).exp();
            let sum: f64 = distances.iter().map(weight).sum();
            assert!((sum - 6f64.log2()).abs() < 1e-4, "{distances:?}: {sum}");
        }
    }

    /// Where all weights are 1 no σ gives the sum: the least one is taken.
    #[test]
    fn equal_distances_have_the_least_sigma() {
        assert_eq!(smooth(&[0.0; 5], 6f64.log2(), 2.0), (0.0, 2.0 * LEAST_SHARE));
        assert_eq!(smooth(&[1.0; 5], 6f64.log2(), 2.0), (1.0, LEAST_SHARE));
        assert_eq!(smooth(&[0.0; 5], 6f64.log2(), 0.0), (0.0, 0.0));
    }

    /// w + w' - w·w' of every pair, from a full matrix.
    #[test]
    fn weights_are_those_of_a_full_matrix() {
        let ends = vec![1, 2, 0, 2, 3, 0, 2, 1];
        let distances = vec![1.0, 3.0, 1.0, 2.0, 0.5, 3.0, 0.5, 4.0];
        let near = Near { width: 2, ends, distances };
        let one_sided = one_sided(near.clone());
        let mut full = [[0.0f32; 4]; 4];
        for (row, weights) in full.iter_mut().enumerate() {
            one_sided.edges(row).for_each(|(end, weight)| weights[end as usize] = weight);
        }
        let graph = Graph::new(near);
        assert_eq!(graph.rows(), 4);
        for (row, weights) in full.iter().enumerate() {
            let mut found = [0.0f32; 4];
            graph.edges(row).for_each(|(end, weight)| found[end as usize] = weight);
            let union = |end: usize| {
                let (a, b) = (weights[end], full[end][row]);
                a + b - a * b
            };
            let expected: [f32; 4] = std::array::from_fn(union);
            assert_eq!(found, expected, "{row}");
            let range = graph.starts[row]..graph.starts[row + 1];
            assert!(graph.ends[range].is_sorted_by(|a, b| a < b));
        }
    }
}
