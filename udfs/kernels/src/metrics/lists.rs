//! Measures of one ranked list, from the relevance and the score of each of its items.
//!
//! Items of equal score count as the mean over all their orders, as scikit-learn does for NDCG:
//! where some of n tied items, r of them relevant, take the places from `first` on,
//!
//! ```text
//!   gain at each place         mean of their gains
//!   relevant in s of places    s r / n
//!   none in s of places        C(n - r, s) / C(n, s)
//!   precision at j-th place, if relevant there    (before + 1 + (j - 1)(r - 1)/(n - 1)) / place
//! ```
//!
//! An item is relevant if its relevance is over zero.

/// What a grade of relevance is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gain {
    /// The grade itself.
    Linear,
    /// 2^grade - 1.
    Exp2,
}

/// A list, by score.
#[derive(Debug, Clone)]
pub struct List {
    /// Relevances, falling by score; those of one score ascending.
    relevances: Vec<f64>,
    ties: Vec<Tie>,
    relevant: usize,
}

/// Items of one score.
#[derive(Debug, Clone, Copy)]
struct Tie {
    first: usize,
    items: usize,
    relevant: usize,
    /// Relevant items above.
    before: usize,
}

impl List {
    /// None if the slices differ in length, or hold a NaN or a relevance below zero.
    pub fn new(relevances: &[f64], scores: &[f64]) -> Option<Self> {
        let bad = |relevance: &f64| relevance.is_nan() || *relevance < 0.0;
        if relevances.len() != scores.len()
            || relevances.iter().any(bad)
            || scores.iter().any(|score| score.is_nan())
        {
            return None;
        }
        // Adding zero makes one zero of both. Sorted by relevance too, sums have one order.
        let mut order: Vec<(f64, f64)> =
            scores.iter().map(|score| score + 0.0).zip(relevances.iter().copied()).collect();
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
        let (mut ties, mut first, mut before) = (Vec::new(), 0, 0);
        for same in order.chunk_by(|a, b| a.0 == b.0) {
            let relevant = same.iter().filter(|(_, relevance)| *relevance > 0.0).count();
            ties.push(Tie { first, items: same.len(), relevant, before });
            first += same.len();
            before += relevant;
        }
        let relevances = order.into_iter().map(|(_, relevance)| relevance).collect();
        Some(Self { relevances, ties, relevant: before })
    }

    /// Discounted gains of the first k places over those of the best order; None without gain.
    ///
    /// DCG = Σ gain / log2(1 + place), Järvelin and Kekäläinen, TOIS 2002.
    pub fn ndcg(&self, k: usize, gain: Gain) -> Option<f64> {
        let gain = |relevance: f64| match gain {
            Gain::Linear => relevance,
            Gain::Exp2 => libm::exp2(relevance) - 1.0,
        };
        let discount = |place: usize| 1.0 / libm::log2(2.0 + place as f64);
        let mut sum = 0.0;
        for tie in self.ties.iter().take_while(|tie| tie.first < k) {
            let items = tie.first..tie.first + tie.items;
            let mean: f64 = self.relevances[items.clone()].iter().map(|r| gain(*r)).sum::<f64>()
                / tie.items as f64;
            sum += mean * items.take_while(|place| *place < k).map(discount).sum::<f64>();
        }
        let mut best = self.relevances.clone();
        best.sort_unstable_by(|a, b| b.total_cmp(a));
        let places = best.into_iter().take(k).enumerate();
        let best: f64 = places.map(|(place, relevance)| gain(relevance) * discount(place)).sum();
        let share = sum / best;
        (best > 0.0 && share.is_finite()).then_some(share)
    }

    /// Relevant items of the first k places.
    fn hits(&self, k: usize) -> f64 {
        let shown = self.ties.iter().take_while(|tie| tie.first < k);
        let hits = shown.map(|tie| {
            let places = tie.items.min(k - tie.first);
            places as f64 * tie.relevant as f64 / tie.items as f64
        });
        hits.sum()
    }

    /// Share of the relevant items in the first k places: of all of them, or with `cap` of as many
    /// as k places can hold. None without relevant items.
    pub fn recall_at(&self, k: usize, cap: bool) -> Option<f64> {
        let most = if cap { self.relevant.min(k) } else { self.relevant };
        (most > 0).then(|| self.hits(k) / most as f64)
    }

    /// Share of the first k places that hold a relevant item; places beyond the list hold none.
    pub fn precision_at(&self, k: usize) -> Option<f64> {
        (k > 0).then(|| self.hits(k) / k as f64)
    }

    /// 1 if a relevant item is in the first k places, or the chance of it. None without any.
    pub fn hit_rate_at(&self, k: usize) -> Option<f64> {
        if self.relevant == 0 {
            return None;
        }
        let first = self.ties.iter().find(|tie| tie.relevant > 0)?;
        let places = first.items.min(k.saturating_sub(first.first));
        let other = first.items - first.relevant;
        let none = (0..places)
            .map(|place| other.saturating_sub(place) as f64 / (first.items - place) as f64);
        Some(1.0 - none.product::<f64>())
    }

    /// Mean over the relevant items (at most k) of the precision at their place, if among the
    /// first k. None without relevant items.
    pub fn map_at(&self, k: usize) -> Option<f64> {
        let most = self.relevant.min(k);
        let mut sum = 0.0;
        for tie in self.ties.iter().take_while(|tie| tie.first < k) {
            if tie.relevant == 0 {
                continue;
            }
            let share = tie.relevant as f64 / tie.items as f64;
            let others = (tie.relevant - 1) as f64 / (tie.items - 1).max(1) as f64;
            for place in 0..tie.items.min(k - tie.first) {
                let above = tie.before as f64 + 1.0 + place as f64 * others;
                sum += share * above / (tie.first + place + 1) as f64;
            }
        }
        (most > 0).then(|| sum / most as f64)
    }

    /// 1 over the place of the first relevant item. None without any.
    pub fn mrr(&self) -> Option<f64> {
        let first = self.ties.iter().find(|tie| tie.relevant > 0)?;
        let (mut none, mut sum) = (1.0, 0.0);
        for place in 0..=first.items - first.relevant {
            let hit = first.relevant as f64 / (first.items - place) as f64;
            sum += none * hit / (first.first + place + 1) as f64;
            none *= 1.0 - hit;
        }
        Some(sum)
    }
}
