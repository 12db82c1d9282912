//! Parts of one step of work, shared by the threads of a pool.
//!
//! A step of training is a few milliseconds, so the parts are rayon's: a thread that is done takes
//! what no other has begun, and does not wait for one that has no processor. Threads that were
//! started for each part made two of them slower than one beside other work.

use std::ops::Range;

/// Does `work` with a pool of so many threads, in which `each` shares its parts.
pub(crate) fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build() {
        Ok(pool) if threads > 1 => pool.install(work),
        _ => work(),
    }
}

/// `work(0, part)`, `work(1, part)`, … at the same time, as far as there are threads; returns when
/// all are done. What a part computes must not depend on how the work was cut.
pub(crate) fn each<T: Send>(parts: Vec<T>, work: impl Fn(usize, T) + Sync) {
    let mut parts = parts.into_iter().enumerate();
    let first = parts.next();
    if parts.len() == 0 {
        return first.into_iter().for_each(|(number, part)| work(number, part));
    }
    rayon::scope(|scope| {
        let work = &work;
        for (number, part) in parts {
            scope.spawn(move |_| work(number, part));
        }
        if let Some((number, part)) = first {
            work(number, part);
        }
    });
}

/// `0..count` cut into `parts` ranges that differ by one at most.
pub(crate) fn ranges(count: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.max(1);
    (0..parts).map(|part| count * part / parts..count * (part + 1) / parts).collect()
}

/// Cuts a matrix of `width` columns at ranges of rows that follow one another.
pub(crate) fn cut<'a, T>(
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
