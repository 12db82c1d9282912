//! Work cut into numbered pieces, done by a given number of threads, answered in order: the result
//! does not depend on how many there are.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// `piece(0)`, `piece(1)`, … in order; None if one of them gave none, which ends the work.
pub fn map<T: Send>(
    threads: usize,
    pieces: usize,
    piece: impl Fn(usize) -> Option<T> + Sync,
) -> Option<Vec<T>> {
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let run = || {
        let mut results = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= pieces {
                break;
            }
            match piece(number) {
                Some(result) => results.push((number, result)),
                None => stopped.store(true, Ordering::Relaxed),
            }
        }
        results
    };
    let mut results = std::thread::scope(|scope| {
        let others = threads.min(pieces).saturating_sub(1);
        let others: Vec<_> = (0..others).map(|_| scope.spawn(run)).collect();
        let mut results = run();
        for other in others {
            match other.join() {
                Ok(part) => results.extend(part),
                Err(cause) => std::panic::resume_unwind(cause),
            }
        }
        results
    });
    if stopped.load(Ordering::Relaxed) {
        return None;
    }
    results.sort_unstable_by_key(|(number, _)| *number);
    Some(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_and_one_may_end_the_work() {
        for threads in [0, 1, 2, 8] {
            let all = map(threads, 100, |number| Some(number * number));
            assert_eq!(all, Some((0..100).map(|number| number * number).collect()));
            assert_eq!(map(threads, 100, |number| (number != 50).then_some(number)), None);
            assert_eq!(map(threads, 0, Some), Some(Vec::new()));
        }
    }
}
