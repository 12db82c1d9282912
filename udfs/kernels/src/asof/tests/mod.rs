//! Against the rule itself, in its naive form, on generated cases.

mod windows;

use proptest::prelude::*;

use super::*;

type Label = (Option<u32>, Option<i64>);
type Feature = (Option<u32>, Option<i64>, Option<i64>);

/// One case: what is joined and how.
#[derive(Debug, Clone)]
struct Case {
    labels: Vec<Label>,
    /// Key, `ts`, `created`; `seq` is the place in the list.
    features: Vec<Feature>,
    rule: Rule,
    tolerance: Option<i64>,
    /// Which of `parts` states a row streams through, and in which order rows come.
    parts: usize,
    order: Vec<usize>,
    /// Rows that are offered together.
    batch: usize,
}

/// The rule, word by word: the answer of each label is the greatest of all rows that pass.
fn naive(case: &Case) -> Vec<Option<u64>> {
    let wide = i128::from;
    let of_label = |&(key, t): &Label| {
        let (key, t) = (key?, wide(t?));
        let candidates = case.features.iter().enumerate().filter_map(|(seq, &(k, ts, created))| {
            let (k, ts) = (k?, wide(ts?));
            let (at, known) = match case.rule.direction {
                Direction::Backward { delay, known } => (ts + wide(delay), known),
                Direction::Forward | Direction::Nearest => (ts, false),
            };
            let in_order = match case.rule.direction {
                Direction::Backward { .. } => at <= t,
                Direction::Forward => t <= at,
                Direction::Nearest => true,
            };
            let age = match case.rule.direction {
                Direction::Backward { .. } => t - ts,
                Direction::Forward => ts - t,
                Direction::Nearest => (t - ts).abs(),
            };
            let passes = k == key
                && in_order
                && !(case.rule.strict && at == t)
                && case.tolerance.is_none_or(|tolerance| age <= wide(tolerance))
                && (!known || created.is_some_and(|created| wide(created) <= t));
            // Nearest first; of two as near the earlier.
            let nearness = match case.rule.direction {
                Direction::Backward { .. } => (ts, 0),
                Direction::Forward | Direction::Nearest => (-(t - ts).abs(), -ts),
            };
            passes.then_some((nearness, created, seq))
        });
        candidates.max().map(|(_, _, seq)| seq as u64)
    };
    case.labels.iter().map(of_label).collect()
}

/// Keeps nothing but the numbers of rows.
struct Numbers<'a> {
    rows: &'a [u64],
    /// Whether of rows that agree the greater number wins; else they are not expected.
    ties: bool,
    /// By cell, what has won it.
    cells: Vec<Option<u64>>,
}

impl<'a> Numbers<'a> {
    fn of(rows: &'a [u64], ties: bool, cells: usize) -> Self {
        Self { rows, ties, cells: vec![None; cells] }
    }
}

impl Keeper for Numbers<'_> {
    fn is_later(&mut self, row: usize, held: u64) -> bool {
        assert!(self.ties);
        self.rows[row] > held
    }

    fn keep(&mut self, row: usize, cell: usize, replaced: Option<u64>) -> u64 {
        let number = self.rows[row];
        let before = self.cells[cell].replace(number);
        // Of a row that was dropped nobody tells.
        assert!(replaced.is_none() || before == replaced);
        number
    }

    fn comes_after(&self, held: u64, other: u64) -> bool {
        assert!(self.ties);
        held > other
    }
}

/// The same by the algorithm.
fn answer(case: &Case) -> Vec<Option<u64>> {
    let slots: Vec<u32> = case
        .labels
        .iter()
        .map(|(key, t)| if t.is_some() { key.unwrap_or(NOWHERE) } else { NOWHERE })
        .collect();
    let times: Vec<i64> = case.labels.iter().map(|(_, t)| t.unwrap_or(7)).collect();
    let labels = Labels::new(KEYS as usize, &slots, &times, case.parts);
    let mut states: Vec<Winners> =
        (0..case.parts).map(|_| Winners::new(case.rule, &labels)).collect();
    for (part, state) in states.iter_mut().enumerate() {
        let of_part = case.order.iter().skip(part).step_by(case.parts);
        let of_part: Vec<u64> = of_part.map(|index| *index as u64).collect();
        let mut keeper = Numbers::of(&[], false, Winners::cells(case.rule, &labels));
        for rows in of_part.chunks(case.batch) {
            keeper.rows = rows;
            let features = || rows.iter().map(|index| case.features[*index as usize]);
            let slot = |(key, ts, _): Feature| ts.and(key).unwrap_or(NOWHERE);
            let slots: Vec<u32> = features().map(slot).collect();
            let ts: Vec<i64> = features().map(|(_, ts, _)| ts.unwrap_or(3)).collect();
            let created: Vec<Option<i64>> = features().map(|(_, _, created)| created).collect();
            let seq: Vec<i64> = rows.iter().map(|index| *index as i64).collect();
            let (created, seq) = (Some(created.as_slice()), Some(seq.as_slice()));
            let order = (!comes_by_key(&slots)).then(|| by_slot(&slots));
            let order = order.as_deref();
            let rows = Rows { slots: &slots, ts: &ts, created, seq, order };
            state.offer(&labels, &rows, &mut keeper);
            assert_eq!(handles(state), state.held());
        }
    }
    let mut whole = states.pop().unwrap();
    for state in states.iter().rev() {
        whole.merge(state, 0, |_, _| panic!("a tie"));
    }
    assert_eq!(handles(&mut whole), whole.held());
    let bounds = |t: i64| match case.tolerance {
        Some(by) => (Axis::Integer.before(t, by), Axis::Integer.after(t, by)),
        None => (i64::MIN, i64::MAX),
    };
    let settled = whole.settle(&labels, Axis::Integer, bounds);
    let of_label = |label: usize| {
        let found = settled.at(labels.place(label))?;
        let created = case.features[found.handle as usize].2;
        let known = created.is_some_and(|created| created <= times[label]);
        assert_eq!(found.known, known);
        Some(found.handle)
    };
    (0..labels.len()).map(of_label).collect()
}

/// How many are held.
fn handles(state: &mut Winners) -> usize {
    let mut count = 0;
    state.renumber(|handle| {
        count += 1;
        handle
    });
    count
}

const KEYS: u32 = 3;

/// Few values, so that there are ties, and the ends of the axis.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => 0..12i64,
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]),
    ]
}

fn direction() -> impl Strategy<Value = Direction> {
    let delay = prop_oneof![4 => Just(0i64), 3 => -3..4i64, 1 => time()];
    prop_oneof![
        4 => (delay, any::<bool>())
            .prop_map(|(delay, known)| Direction::Backward { delay, known }),
        2 => Just(Direction::Forward),
        2 => Just(Direction::Nearest),
    ]
}

fn tolerance() -> impl Strategy<Value = Option<i64>> {
    let some = prop_oneof![6 => 0..6i64, 1 => Just(i64::MAX)];
    prop::option::of(some)
}

fn case() -> impl Strategy<Value = Case> {
    let key = || prop::option::weighted(0.9, 0..KEYS);
    let label = (key(), prop::option::weighted(0.9, time()));
    let feature =
        move || (key(), prop::option::weighted(0.9, time()), prop::option::weighted(0.8, time()));
    let count = prop_oneof![8 => 0..14usize, 1 => 14..90usize];
    let features = count.prop_flat_map(move |count| prop::collection::vec(feature(), count));
    let rows = (prop::collection::vec(label, 0..10), features);
    let rule = (direction(), any::<bool>(), tolerance());
    let parts = prop::sample::select(vec![(1usize, 100usize), (2, 7), (8, 1), (1, 40)]);
    (rows, rule, parts, any::<bool>()).prop_flat_map(|(rows, rule, parts, is_sorted)| {
        let (parts, batch) = parts;
        let (labels, features) = rows;
        let (direction, strict, tolerance) = rule;
        let mut order: Vec<usize> = (0..features.len()).collect();
        if is_sorted {
            order.sort_by_key(|index| (features[*index].0, features[*index].1));
        }
        let order = match is_sorted {
            true => Just(order).boxed(),
            false => Just(order).prop_shuffle().boxed(),
        };
        let rule = Rule { direction, strict, created: true, seq: true };
        order.prop_map(move |order| {
            let (labels, features) = (labels.clone(), features.clone());
            Case { labels, features, rule, tolerance, parts, order, batch }
        })
    })
}

/// Several tests of the same, so that they run beside each other: 120,000 cases.
fn check_many() {
    proptest!(ProptestConfig { cases: 30_000, ..ProptestConfig::default() }, |(case in case())| {
        prop_assert_eq!(answer(&case), naive(&case));
    });
}

#[test]
fn agrees_with_the_rule() {
    check_many();
}

#[test]
fn agrees_with_the_rule_again() {
    check_many();
}

#[test]
fn agrees_with_the_rule_once_more() {
    check_many();
}

#[test]
fn agrees_with_the_rule_at_last() {
    check_many();
}

#[test]
fn rows_that_agree_in_all_are_decided_by_the_caller() {
    let labels = Labels::new(1, &[0], &[5], 1);
    let direction = Direction::Backward { delay: 0, known: false };
    let rule = Rule { direction, strict: false, created: false, seq: false };
    let (created, seq, order) = (None, None, None);
    let rows = |count: usize| Rows { slots: &[0, 0][..count], ts: &[5, 5], created, seq, order };
    let mut one = Winners::new(rule, &labels);
    let mut other = Winners::new(rule, &labels);
    for (state, numbers) in [(&mut one, &[1][..]), (&mut other, &[3, 2])] {
        let mut keeper = Numbers::of(numbers, true, 2);
        state.offer(&labels, &rows(numbers.len()), &mut keeper);
    }
    one.merge(&other, 10, |held, other| other > held);
    assert_eq!(one.held(), 1);
    let found = one.settle(&labels, Axis::Integer, |_| (0, 9)).at(0);
    assert_eq!(found, Some(Match { handle: 13, known: false }));
}

proptest! {
    #[test]
    fn rows_are_ordered_by_slot(slots in prop::collection::vec(
        prop_oneof![0..4u32, any::<u32>(), Just(NOWHERE)], 0..200,
    )) {
        let somewhere = |row: &u32| slots[*row as usize] != NOWHERE;
        let mut rows: Vec<u32> = (0..slots.len() as u32).filter(somewhere).collect();
        rows.sort_by_key(|row| slots[*row as usize]);
        prop_assert_eq!(by_slot(&slots), rows);
    }
}

#[test]
fn no_labels_take_nothing() {
    let labels = Labels::new(0, &[NOWHERE, NOWHERE], &[0, 0], 1);
    let rule = Rule { direction: Direction::Nearest, strict: false, created: false, seq: false };
    let mut winners = Winners::new(rule, &labels);
    let rows = Rows { slots: &[0], ts: &[1], created: None, seq: None, order: None };
    winners.offer(&labels, &rows, &mut Numbers::of(&[0], false, 0));
    assert_eq!(winners.held(), 0);
    assert_eq!((labels.len(), labels.place_count(), labels.span()), (2, 0, None));
    assert_eq!(labels.place(0), NOWHERE);
}
