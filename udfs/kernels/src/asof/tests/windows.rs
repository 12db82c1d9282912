//! Windows against all rows of each, one by one.

use std::collections::HashSet;
use std::ops::Range;

use proptest::prelude::*;

use super::super::*;

/// A row: key, time, when it became known, and a small integer times a power of two.
type Event = (u32, i64, Option<i64>, i64);

/// What all windows gather of their rows.
#[derive(Debug, Clone, Default, PartialEq)]
struct All {
    count: u64,
    sum: Sum,
    whole: Whole,
    extremes: Extremes<i64>,
    last: Ends<u64>,
    first: Ends<u64>,
    distinct: HashSet<i64>,
}

const LIMIT: usize = 3;

impl All {
    fn push(&mut self, number: usize, (_, ts, known, value): Event) {
        self.count += 1;
        self.sum.push(value as f64);
        self.whole.push(i128::from(value));
        self.extremes.push(value);
        self.last.push((LIMIT, false), (ts, known, number as i64), number as u64);
        self.first.push((LIMIT, true), (ts, known, number as i64), number as u64);
        self.distinct.insert(value);
    }
}

impl State for All {
    fn merge(&mut self, other: &Self) {
        self.count.merge(&other.count);
        self.sum.merge(&other.sum);
        self.whole.merge(&other.whole);
        self.extremes.merge(&other.extremes);
        self.last.merge(&other.last);
        self.first.merge(&other.first);
        self.distinct.merge(&other.distinct);
    }
}

#[derive(Debug, Clone)]
struct Case {
    labels: Vec<(u32, i64)>,
    events: Vec<Event>,
    frame: Frame,
    parts: usize,
    order: Vec<usize>,
}

/// Count, sum of floats and of integers, least and greatest, last and first rows, number of values.
type Answer = (u64, f64, i128, Option<(i64, i64)>, Vec<u64>, Vec<u64>, usize);

fn naive(case: &Case) -> Vec<Answer> {
    let of_label = |&(key, t): &(u32, i64)| {
        let wide = i128::from;
        let end = wide(t) - wide(case.frame.gap);
        let start = case.frame.width.map(|width| wide(t) - wide(width));
        let is_in = |ts: i128, known: Option<i64>| {
            let is_known = !case.frame.known || known.is_some_and(|known| known <= t);
            is_known
                && match case.frame.excludes_end {
                    true => start.is_none_or(|start| start <= ts) && ts < end,
                    false => start.is_none_or(|start| start < ts) && ts <= end,
                }
        };
        let events = case.events.iter().enumerate();
        let mut rows: Vec<((i64, Option<i64>, u64), i64)> = events
            .filter(|(_, (k, ts, known, _))| *k == key && is_in(wide(*ts), *known))
            .map(|(number, (_, ts, known, value))| ((*ts, *known, number as u64), *value))
            .collect();
        rows.sort_unstable();
        // The sum of integers is exact; rounding it is what a sum of floats may do once.
        let sum: i128 = rows.iter().map(|(_, value)| wide(*value as f64 as i64)).sum();
        let values = rows.iter().map(|(_, value)| *value);
        let bounds = values.clone().min().zip(values.clone().max());
        let whole = values.map(wide).sum();
        let numbers = rows.iter().map(|((_, _, number), _)| *number);
        let distinct: HashSet<i64> = rows.iter().map(|(_, value)| *value).collect();
        let last = numbers.clone().rev().take(LIMIT).collect();
        (
            rows.len() as u64,
            sum as f64,
            whole,
            bounds,
            last,
            numbers.take(LIMIT).collect(),
            distinct.len(),
        )
    };
    case.labels.iter().map(of_label).collect()
}

fn answer(case: &Case) -> Vec<Answer> {
    let (slots, times): (Vec<u32>, Vec<i64>) = case.labels.iter().copied().unzip();
    let labels = Labels::new(2, &slots, &times, 2);
    let cuts = Windows::new(&labels, case.frame);
    let mut states = vec![vec![All::default(); cuts.cells()]; case.parts];
    for (turn, number) in case.order.iter().enumerate() {
        let event = case.events[*number];
        let (key, ts, known, _) = event;
        cuts.place(&labels, key, (ts, known), |cell| {
            states[turn % case.parts][cell].push(*number, event);
        });
    }
    let mut whole = states.pop().unwrap();
    states.iter().for_each(|state| merge_cells(&mut whole, state));
    let (mut windows, mut distinct) = (Vec::new(), Vec::new());
    cuts.slide(&labels, &whole, |window| windows.push(window));
    let values: Vec<HashSet<i64>> = whole.iter().map(|all| all.distinct.clone()).collect();
    cuts.distinct(&labels, &values, |count| distinct.push(count as usize));
    assert_eq!(windows.len(), labels.place_count());
    assert_eq!(distinct, windows.iter().map(|all| all.distinct.len()).collect::<Vec<_>>());
    if !case.frame.known {
        let told = |all: &[All]| all.iter().map(told).collect::<Vec<_>>();
        assert_eq!(told(&directly(case, &labels)), told(&windows));
    }
    (0..labels.len()).map(|label| told(&windows[labels.place(label) as usize])).collect()
}

/// Exact sums may be held in several ways.
fn told(all: &All) -> Answer {
    let last = all.last.values().copied().collect();
    let first = all.first.values().copied().collect();
    let bounds = all.extremes.values().copied();
    (all.count, all.sum.value(), all.whole.sum, bounds, last, first, all.distinct.len())
}

/// What going through the rows of each window gives.
fn directly(case: &Case, labels: &Labels) -> Vec<All> {
    let (mut kept, mut slots, mut ts) = (Vec::new(), Vec::new(), Vec::new());
    let mut cursor = Cursor::default();
    for number in &case.order {
        let (key, at, ..) = case.events[*number];
        if case.frame.covers(labels, &mut cursor, key, at) {
            kept.push(*number);
            slots.push(key);
            ts.push(at);
        }
    }
    let at = |row: usize| (ts[row], case.events[kept[row]].2, kept[row] as i64);
    let mut by_key = ByKey::new(labels, &slots);
    if !by_key.rises(&ts) {
        by_key.sort(at);
    }
    let of_run = |run: Range<u32>| {
        let rows = &by_key.rows()[run.start as usize..run.end as usize];
        let rows = rows.iter().map(|row| *row as usize);
        assert!(rows.clone().is_sorted_by(|a, b| at(*a) < at(*b)));
        let mut all = All::default();
        let numbers = rows.map(|row| kept[row]);
        numbers.for_each(|number| all.push(number, case.events[number]));
        all
    };
    let found = by_key.runs(&case.frame, labels, &ts).into_iter().map(of_run).collect();
    assert!(!by_key.has_ties());
    found
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => 0..14i64,
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    // Up to 57 bits and of both signs: floats of very different sizes meet.
    let value = (-9..10i64, 0..54u32).prop_map(|(value, shift)| value << shift);
    let labels = prop::collection::vec((0..2u32, time()), 0..9);
    let known = prop::option::weighted(0.9, time());
    let events = prop::collection::vec((0..3u32, time(), known, value), 0..16);
    let width = prop_oneof![8 => 1..9i64, 1 => Just(i64::MAX)];
    let width = prop::option::weighted(0.9, width);
    let gap = prop_oneof![3 => Just(0), 3 => 0..5i64, 1 => Just(i64::MAX)];
    let frame = (width, gap, any::<bool>(), any::<bool>()).prop_map(|frame| {
        let (width, gap, excludes_end, known) = frame;
        Frame { width, gap, excludes_end, known }
    });
    let parts = prop::sample::select(vec![1usize, 2, 8]);
    (labels, events, frame, parts).prop_flat_map(|(labels, events, frame, parts)| {
        let order: Vec<usize> = (0..events.len()).collect();
        Just(order).prop_shuffle().prop_map(move |order| {
            let (labels, events) = (labels.clone(), events.clone());
            Case { labels, events, frame, parts, order }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn windows_hold_their_rows(case in case()) {
        prop_assert_eq!(answer(&case), naive(&case));
    }
}

#[test]
fn between_windows_there_is_no_cell() {
    let labels = Labels::new(1, &[0, 0, 0], &[100, 10, 102], 1);
    let frame = Frame { width: Some(5), gap: 0, excludes_end: false, known: false };
    let windows = Windows::new(&labels, frame);
    // (5, 10], (95, 97], (97, 100], (100, 102]
    assert_eq!((windows.cells(), windows.largest()), (4, 4));
    let cells = |ts| {
        let mut found = Vec::new();
        windows.place(&labels, 0, (ts, None), |cell| found.push(cell));
        found
    };
    for outside in [i64::MIN, 5, 11, 50, 95, 103, i64::MAX] {
        assert!(cells(outside).is_empty(), "{outside}");
    }
    assert_eq!([6, 10, 96, 98, 101].map(cells), [[0], [0], [1], [2], [3]]);
}
