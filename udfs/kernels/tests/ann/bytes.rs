//! The format: what is written is read, and nothing else is.

use kernels::ann::{
    Effort, Error, Grouping, Head, ListSource, Model, Options, Query, Refine, Scratch, Segment,
    Work, calibrate, search,
};
use kernels::simd::level::Level;
use kernels::vectors::{Metric, Visible};

use super::data::{build, data};

#[test]
fn bytes_come_back_whatever_the_fields() {
    let data = data(2000, 10, 20, 1);
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        for (grouping, refine) in
            [(Some(Grouping::ByVariance), Refine::Byte), (Some(Grouping::Even), Refine::Half)]
        {
            let options = Options { grouping, refine, seed: 9, ..Options::new(metric, 20) };
            let work = Work::alone();
            let model = Model::train(options, data.rows(), 2000, &work).unwrap();
            let mut segment = build(model.into(), data.rows(), 0);
            segment.set_calibration(calibrate(&segment, None, &work).unwrap());
            let bytes = segment.to_bytes();
            let again = Segment::open(&bytes).unwrap();
            assert!(again.to_bytes() == bytes);
            assert_eq!(again.head().model().options(), &options);
            for vector in data.queries() {
                let (effort, visible) = (Effort::Recall(0.9), Visible::default());
                let query = Query { vector, k: 10, effort, visible, vectors: None };
                let ask = |segment: &Segment| {
                    let mut scratch = Scratch::default();
                    search(segment.head(), segment, work.level, &query, &mut scratch).unwrap()
                };
                assert_eq!(ask(&segment), ask(&again));
            }
        }
    }
}

/// Every changed bit and every cut is seen.
#[test]
fn corruption_is_detected() {
    let data = data(300, 1, 8, 2);
    let bytes = data.segment(Metric::L2).to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let error = Segment::open(&changed).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. } | Error::Version { .. }), "{at}: {error}");
    }
    for length in (0..bytes.len()).step_by(61) {
        assert!(Segment::open(&bytes[..length]).is_err());
    }
    let longer = [&bytes[..], &[0; 64]].concat();
    assert!(Segment::open(&longer).is_err());
    let mut later = bytes;
    later[8] = 2;
    assert_eq!(Segment::open(&later).map(|_| ()), Err(Error::Version { found: 2 }));
}

/// Lists that are fetched one by one, as from object storage.
struct Fetched(Vec<Option<Vec<u8>>>);

impl ListSource for Fetched {
    fn list(&self, list: u32) -> Option<&[u8]> {
        self.0.get(list as usize)?.as_deref()
    }
}

#[test]
fn a_cold_search_fetches_lists_in_waves() {
    let data = data(9000, 20, 16, 3);
    let object = data.segment(Metric::L2).to_bytes();
    let bytes = Head::bytes_from(&object[..32]).unwrap() as usize;
    let head = Head::open(&object[..bytes]).unwrap();
    let level = Level::best();
    let whole = Segment::open(&object).unwrap();
    let mut waves = Vec::new();
    for vector in data.queries() {
        let (effort, visible) = (Effort::Recall(0.95), Visible::default());
        let query = Query { vector, k: 10, effort, visible, vectors: None };
        let mut fetched = Fetched(vec![None; head.model().lists()]);
        let mut wanted = head.first_wave(level, &query).unwrap();
        for wave in 1.. {
            for list in wanted {
                let range = head.list_range(list).unwrap();
                let bytes = &object[range.start as usize..range.end as usize];
                head.check_list(list, bytes).unwrap();
                assert!(head.check_list(list ^ 1, bytes).is_err());
                fetched.0[list as usize] = Some(bytes.to_vec());
            }
            let mut scratch = Scratch::default();
            match search(&head, &fetched, level, &query, &mut scratch) {
                Err(Error::Missing { lists }) => wanted = lists,
                found => {
                    let mut scratch = Scratch::default();
                    let alone = search(whole.head(), &whole, level, &query, &mut scratch);
                    assert_eq!(found.unwrap().neighbours, alone.unwrap().neighbours);
                    waves.push(wave);
                    break;
                }
            }
        }
        let read = fetched.0.iter().flatten().count();
        assert!(read < head.model().lists(), "all lists were read");
    }
    let first = waves.iter().filter(|wave| **wave == 1).count();
    assert!(first * 10 >= waves.len() * 8, "{waves:?}");
}
