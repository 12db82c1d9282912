//! Parts of one step of work, each on a thread of its own.

use std::ops::Range;

/// `work(0, part)`, `work(1, part)`, … at the same time, the first on this thread; returns when
/// all are done. What a part computes must not depend on how the work was cut.
pub(super) fn each<T: Send>(parts: Vec<T>, work: impl Fn(usize, T) + Sync) {
    std::thread::scope(|scope| {
        let work = &work;
        let mut parts = parts.into_iter().enumerate();
        let first = parts.next();
        for (number, part) in parts {
            scope.spawn(move || work(number, part));
        }
        if let Some((number, part)) = first {
            work(number, part);
        }
    });
}

/// `0..count` cut into `parts` ranges that differ by one at most.
pub(super) fn ranges(count: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.max(1);
    (0..parts).map(|part| count * part / parts..count * (part + 1) / parts).collect()
}

/// Cuts a matrix of `width` columns at ranges of rows that follow one another.
pub(super) fn cut<'a, T>(
    all: &'a mut [T],
    width: usize,
    ranges: &[Range<usize>],
) -> Vec<&'a mut [T]> {
    let mut rest = all;
    let mut parts = Vec::with_capacity(ranges.len());
    for range in ranges {
        let (part, after) = rest.split_at_mut(range.len() * width);
        parts.push(part);
        rest = after;
    }
    parts
}
