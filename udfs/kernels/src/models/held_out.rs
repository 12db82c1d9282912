//! Rows of users that are held out: to stop a training by, to compare trainings on, to measure on.

/// Which rows of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The last ones.
    Last,
    /// Any, by the seed.
    Random,
}

/// Cuts rows, which are in order, into those to learn from and those held out, both in order: of
/// each user a share of the rows that count, rounded up; of users with less than three none, and
/// one is always left. `users` says whose each row is.
pub fn hold_out(
    rows: &[u32],
    users: &[u64],
    counts: impl Fn(u32) -> bool,
    (split, share, seed): (Split, f64, u64),
) -> (Vec<u32>, Vec<u32>) {
    let mut by_user: Vec<(u64, u64, u32)> = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let rank = match split {
            Split::Last => place as u64,
            Split::Random => spread(seed ^ spread(u64::from(*row))),
        };
        if counts(*row) {
            by_user.push((users[*row as usize], rank, place as u32));
        }
    }
    by_user.sort_unstable();
    let mut held = vec![false; rows.len()];
    for rows in by_user.chunk_by(|a, b| a.0 == b.0) {
        let count = (rows.len() as f64 * share).ceil() as usize;
        let count = if rows.len() < 3 { 0 } else { count.min(rows.len() - 1) };
        rows[rows.len() - count..].iter().for_each(|row| held[row.2 as usize] = true);
    }
    let pick = |wanted: bool| {
        let rows = rows.iter().zip(&held).filter(|(_, held)| **held == wanted);
        rows.map(|(row, _)| *row).collect()
    };
    (pick(false), pick(true))
}

/// A bijection of 64 bits in which every input bit moves every output bit (MurmurHash3's finaliser,
/// public domain).
pub(super) fn spread(mut x: u64) -> u64 {
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_out_twice_is_before_what_was_held_out_first() {
        // Rows of three users in turn; the third has two rows that count.
        let users: Vec<u64> = (0..30).map(|row| row % 3).collect();
        let counts = |row: u32| row % 3 < 2 || row < 6;
        let rows: Vec<u32> = (0..30).collect();
        let (rest, test) = hold_out(&rows, &users, counts, (Split::Last, 0.25, 7));
        assert_eq!(test, [21, 22, 24, 25, 27, 28]);
        let (training, validation) = hold_out(&rest, &users, counts, (Split::Last, 0.1, 7));
        assert_eq!(validation, [18, 19]);
        assert_eq!(training.len(), 22);
    }

    #[test]
    fn any_rows_are_the_same_ones_for_a_seed() {
        let users = vec![5; 100];
        let rows: Vec<u32> = (0..100).collect();
        let held = |seed| hold_out(&rows, &users, |_| true, (Split::Random, 0.2, seed)).1;
        assert_eq!(held(1), held(1));
        assert_ne!(held(1), held(2));
        assert_eq!((held(1).len(), held(1).is_sorted()), (20, true));
        assert_ne!(held(1), (80..100).collect::<Vec<u32>>());
    }
}
