//! Models as bytes, and vectors of users and items, known or not.

use kernels::models::two_tower::{Error, Examples, Lists, Model, Options, Value, Work, train};
use kernels::simd::level::Level;
use proptest::prelude::*;

use super::data::Planted;

fn model(layers: Vec<usize>) -> (Planted, Model) {
    let planted = Planted::new(40, 11);
    let options = Options { dim: 10, epochs: 2, batch_size: 64, layers, ..Options::default() };
    let trained = planted.with(|examples| train(&examples, &options, &Work::alone()));
    (planted, trained.unwrap().model)
}

#[test]
fn bytes_give_the_same_model() {
    for layers in [vec![], vec![12, 6]] {
        let (planted, model) = model(layers);
        let again = Model::from_bytes(&model.to_bytes()).unwrap();
        assert_eq!(again, model);
        let level = Level::best();
        assert_eq!(again.item_vectors(level, 1), model.item_vectors(level, 3));
        let user = Some(planted.users[0]);
        let vector = again.embed_user(level, user, None, None).unwrap();
        assert_eq!(vector, model.embed_user(level, user, None, None).unwrap());
        assert_eq!(again.to_bytes(), model.to_bytes());
    }
}

/// The format: a length, a JSON header of names, types, shapes and places, then the arrays.
#[test]
fn bytes_are_a_safetensors_file() {
    let (_, model) = model(vec![12]);
    let bytes = model.to_bytes();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0);
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let mut ends = Vec::new();
    for (name, tensor) in header.as_object().unwrap() {
        if name == "__metadata__" {
            assert!(tensor.as_object().unwrap().values().all(serde_json::Value::is_string));
            continue;
        }
        let size = match tensor["dtype"].as_str().unwrap() {
            "F32" | "U32" => 4,
            "U64" | "F64" => 8,
            other => panic!("{other}"),
        };
        let count: u64 =
            tensor["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product();
        let offset = |place: usize| tensor["data_offsets"][place].as_u64().unwrap();
        assert_eq!(offset(1) - offset(0), count * size, "{name}");
        ends.push((offset(0), offset(1)));
    }
    ends.sort_unstable();
    assert!(ends.windows(2).all(|pair| pair[0].1 == pair[1].0));
    assert_eq!(ends.last().unwrap().1 as usize, bytes.len() - 8 - length);
    assert_eq!(header["table"]["shape"][1], 10);
}

#[test]
fn damaged_bytes_are_refused() {
    let (_, model) = model(vec![]);
    let bytes = model.to_bytes();
    for place in (0..bytes.len()).step_by(37).chain(0..64) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (place % 8);
        let result = Model::from_bytes(&damaged);
        assert!(matches!(result, Err(Error::Corrupt { .. })), "byte {place}");
    }
    for length in (0..bytes.len()).step_by(97) {
        assert!(Model::from_bytes(&bytes[..length]).is_err());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Model::from_bytes(&bytes).is_err());
    }
}

#[test]
fn what_is_not_given_comes_from_the_training() {
    let (planted, model) = model(vec![]);
    let (level, user) = (Level::best(), planted.users[0]);
    let known = model.embed_user(level, Some(user), None, None).unwrap();
    let age = [Value::Number(planted.ages[8])];
    assert_eq!(model.embed_user(level, Some(user), Some(&age), None).unwrap(), known);
    let newest: Vec<u64> = planted.items[..9].iter().rev().copied().collect();
    assert_eq!(model.embed_user(level, None, Some(&age), Some(&newest)).unwrap(), known);
    // Items that training has not seen do not count.
    let more: Vec<u64> = newest.iter().copied().chain([77_777]).collect();
    assert_eq!(model.embed_user(level, None, Some(&age), Some(&more)).unwrap(), known);
    let other = model.embed_user(level, None, Some(&age), None).unwrap();
    assert_ne!(other, known);
    let place = model.items().binary_search(&planted.items[0]).unwrap();
    let item = model.embed_item(level, Some(planted.items[0]), None).unwrap();
    assert_eq!(item, model.item_vectors(level, 1)[place * 10..(place + 1) * 10]);
    assert_eq!(model.user_features().collect::<Vec<_>>(), ["age"]);
    assert_eq!(model.item_features().collect::<Vec<_>>(), ["genre", "genres"]);
}

#[test]
fn null_adds_nothing_and_far_numbers_are_cut() {
    let (planted, model) = model(vec![]);
    let level = Level::best();
    let user = |x: f32| model.embed_user(level, None, Some(&[Value::Number(x)]), None).unwrap();
    let nothing = model.embed_user(level, None, None, None).unwrap();
    assert_eq!(user(f32::NAN), nothing);
    assert_eq!(user(1e30), user(f32::MAX));
    assert!(user(f32::MIN).iter().all(|x| x.is_finite()));
    let item = |values: &[Value<'_>]| model.embed_item(level, Some(planted.items[0]), Some(values));
    let null = item(&[Value::Category(None), Value::List(&[])]).unwrap();
    let unseen = item(&[Value::Category(Some(12345)), Value::List(&[])]).unwrap();
    // Training had no unseen genre to learn from: its vector is zero still.
    assert_eq!(null, unseen);
    let length: f32 = null.iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5);
}

/// A history that comes with the rows: the model keeps the last one, and learns from each.
#[test]
fn given_histories_are_kept_from_the_last_row_in_time() {
    let planted = Planted::new(40, 12);
    let mut keys = Vec::new();
    let mut ends = Vec::new();
    for row in 0..planted.users.len() {
        // What the user took before, newest first.
        let first = row / 9 * 9;
        keys.extend(planted.items[first..row].iter().rev());
        ends.push(keys.len());
    }
    let times: Vec<i64> = (0..planted.users.len() as i64).rev().collect();
    let options = Options { dim: 8, epochs: 2, batch_size: 64, ..Options::default() };
    let level = Level::best();
    for (times, last) in [(None, 8), (Some(&times[..]), 0)] {
        let model = planted.with(|examples| {
            let history = Some(Lists { ends: &ends, keys: &keys });
            let examples = Examples { history, times, ..examples };
            train(&examples, &options, &Work::alone()).unwrap().model
        });
        let newest: Vec<u64> = planted.items[..last].iter().rev().copied().collect();
        let user = planted.users[0];
        let known = model.embed_user(level, Some(user), None, None).unwrap();
        assert_eq!(known, model.embed_user(level, Some(user), None, Some(&newest)).unwrap());
    }
}

#[test]
fn wrong_values_are_told_by_name() {
    let (_, model) = model(vec![]);
    let level = Level::best();
    let unknown = model.embed_user(level, Some(1), None, None);
    assert_eq!(unknown, Err(Error::Unknown { key: 1 }));
    assert_eq!(model.embed_item(level, Some(9_999), None), Err(Error::Unknown { key: 9_999 }));
    let none = model.embed_user(level, None, Some(&[]), None);
    assert_eq!(none, Err(Error::Features { expected: 1, found: 0 }));
    let kind = model.embed_user(level, None, Some(&[Value::Category(None)]), None).unwrap_err();
    assert_eq!(kind.to_string(), "feature \"age\" must be a number");
    let infinite = model.embed_user(level, None, Some(&[Value::Number(f32::INFINITY)]), None);
    assert_eq!(infinite.unwrap_err().sqlstate(), "22000");
}
