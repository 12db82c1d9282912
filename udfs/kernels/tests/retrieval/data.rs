//! Users of groups who take items of their group, the more popular ones more often.

use kernels::models::ranking_eval::{Metrics, Ranking, evaluate};
use kernels::models::two_tower::{Column, Examples, Feature, Lists, Value};
use kernels::simd::level::Level;

pub const GROUPS: usize = 8;
pub const ITEMS: usize = 40;

/// One SplitMix64 step.
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut x = *state;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Interactions: each user takes 12 different items, nine in ten of the user's group, and of a
/// group the k-th item 1/k times as often as the first; the last three of each user are for the
/// test.
pub struct Planted {
    pub users: Vec<u64>,
    pub items: Vec<u64>,
    /// The item's group as a category, and as a list.
    pub genres: Vec<Option<u64>>,
    pub ends: Vec<usize>,
    pub genre_lists: Vec<u64>,
    /// The age of the user: by group, with noise.
    pub ages: Vec<f32>,
    /// Of each user: key, what was taken before, what is in the test.
    pub asked: Vec<(u64, Vec<u64>, Vec<u64>)>,
}

pub fn group(item: u64) -> u64 {
    item / ITEMS as u64
}

impl Planted {
    pub fn new(users: usize, seed: u64) -> Self {
        let mut planted = Self {
            users: Vec::new(),
            items: Vec::new(),
            genres: Vec::new(),
            ends: Vec::new(),
            genre_lists: Vec::new(),
            ages: Vec::new(),
            asked: Vec::new(),
        };
        let mut state = seed;
        for user in 0..users as u64 {
            let own = next(&mut state) % GROUPS as u64;
            let mut taken: Vec<u64> = Vec::new();
            while taken.len() < 12 {
                let any = next(&mut state) % GROUPS as u64;
                let group = if next(&mut state).is_multiple_of(10) { any } else { own };
                let share = (next(&mut state) >> 11) as f64 / (1u64 << 53) as f64;
                let place = (((ITEMS + 1) as f64).powf(share) - 1.0) as u64;
                let item = group * ITEMS as u64 + place.min(ITEMS as u64 - 1);
                if !taken.contains(&item) {
                    taken.push(item);
                }
            }
            let key = user * 1_000_003 + 5;
            for item in &taken[..9] {
                planted.push(key, own, *item, next(&mut state));
            }
            planted.asked.push((key, taken[..9].to_vec(), taken[9..].to_vec()));
        }
        planted
    }

    fn push(&mut self, user: u64, own: u64, item: u64, noise: u64) {
        self.users.push(user);
        self.items.push(item);
        self.genres.push(Some(group(item)));
        self.genre_lists.push(group(item));
        self.ends.push(self.genre_lists.len());
        self.ages.push(20.0 + 5.0 * own as f32 + (noise % 3) as f32);
    }

    pub fn with<T>(&self, work: impl FnOnce(Examples<'_>) -> T) -> T {
        let lists = Lists { ends: &self.ends, keys: &self.genre_lists };
        let feature = |name, column| Feature { name, buckets: None, column };
        let user_features = [feature("age", Column::Number(&self.ages))];
        let item_features = [
            feature("genre", Column::Category(&self.genres)),
            Feature { name: "genres", buckets: Some(16), column: Column::List(lists) },
        ];
        work(Examples {
            users: &self.users,
            items: &self.items,
            times: None,
            weights: None,
            history: None,
            user_features: &user_features,
            item_features: &item_features,
        })
    }

    /// Features of an item of a group, as `embed_item` takes them.
    pub fn item_values(group: &u64) -> [Value<'_>; 2] {
        [Value::Category(Some(*group)), Value::List(std::slice::from_ref(group))]
    }

    /// Vectors of all users against those of items with ascending keys.
    pub fn evaluate(
        &self,
        users: &[f32],
        keys: &[u64],
        items: &[f32],
        dimension: usize,
    ) -> Metrics {
        let numbers = |wanted: &[u64]| -> Vec<u32> {
            wanted.iter().filter_map(|key| Some(keys.binary_search(key).ok()? as u32)).collect()
        };
        let seen: Vec<Vec<u32>> = self.asked.iter().map(|user| numbers(&user.1)).collect();
        let relevant: Vec<Vec<u32>> = self.asked.iter().map(|user| numbers(&user.2)).collect();
        let ranking = Ranking { users, items, dimension, relevant: &relevant, seen: &seen };
        evaluate(Level::best(), 2, &ranking, &[20, 5])
    }

    /// What a list of the most taken gets.
    pub fn popularity(&self, keys: &[u64]) -> Metrics {
        let count = |key: &u64| self.items.iter().filter(|item| *item == key).count() as f32;
        let items: Vec<f32> = keys.iter().map(count).collect();
        self.evaluate(&vec![1.0; self.asked.len()], keys, &items, 1)
    }
}
