//! Vectors from vectors. Expected values: pgvector 0.8's own regression tests
//! (test/expected/vector_type.out).

use std::cmp::Ordering;

use kernels::vectors::{
    Error, Kind, Sum, add, compare, concatenate, multiply, normalize, subtract, subvector,
};

#[test]
fn elements_are_combined() {
    assert_eq!(add(Kind::Single, &[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), Ok(vec![5.0, 7.0, 9.0]));
    assert_eq!(add(Kind::Single, &[3e38], &[3e38]), Err(Error::Overflow));
    let wrong = Error::Dimension { expected: 2, found: 1 };
    assert_eq!(add(Kind::Single, &[1.0, 2.0], &[3.0]), Err(wrong));
    assert_eq!(subtract(Kind::Single, &[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), Ok(vec![-3.0; 3]));
    assert_eq!(subtract(Kind::Single, &[-3e38], &[3e38]), Err(Error::Overflow));
    assert_eq!(
        multiply(Kind::Single, &[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]),
        Ok(vec![4.0, 10.0, 18.0])
    );
    assert_eq!(multiply(Kind::Single, &[1e37], &[1e37]), Err(Error::Overflow));
    assert_eq!(multiply(Kind::Single, &[1e-37], &[1e-37]), Err(Error::Underflow));
    assert_eq!(multiply(Kind::Single, &[0.0], &[1e-37]), Ok(vec![0.0]));
    assert_eq!(concatenate(&[1.0, 2.0], &[3.0]), Ok(vec![1.0, 2.0, 3.0]));
    assert_eq!(concatenate(&[0.0; 16_000], &[1.0]), Err(Error::TooMany));
    assert_eq!(Error::Underflow.sqlstate(), "22003");
}

/// Expected values: pgvector 0.8.5 over halfvec.
#[test]
fn half_floats_are_rounded_and_have_their_own_range() {
    let half = Kind::Half;
    assert_eq!(add(half, &[2048.0], &[1.0]), Ok(vec![2048.0]));
    assert_eq!(add(half, &[65504.0], &[65504.0]), Err(Error::Overflow));
    assert_eq!(subtract(half, &[65504.0], &[-65504.0]), Err(Error::Overflow));
    assert_eq!(multiply(half, &[1.192_092_9e-7], &[1.192_092_9e-7]), Err(Error::Underflow));
    assert_eq!(normalize(half, &[3.0, 4.0]), Ok(vec![0.600_097_66, 0.799_804_7]));
    let mut great = Sum::default();
    great.push(&[65504.0]).unwrap();
    great.push(&[65504.0]).unwrap();
    assert_eq!(great.mean(half), Ok(Some(vec![65504.0])));
    assert_eq!(great.sum(half), Err(Error::Overflow));
    let wrong = Error::Dimension { expected: 2, found: 1 };
    assert_eq!(wrong.message(half), "different halfvec dimensions 2 and 1");
    assert_eq!(Error::Empty.message(half), "halfvec must have at least 1 dimension");
}

#[test]
fn directions_and_parts() {
    assert_eq!(normalize(Kind::Single, &[3.0, 4.0]), Ok(vec![0.6, 0.8]));
    assert_eq!(normalize(Kind::Single, &[3.0, 0.0]), Ok(vec![1.0, 0.0]));
    assert_eq!(normalize(Kind::Single, &[0.0, 0.1]), Ok(vec![0.0, 1.0]));
    assert_eq!(normalize(Kind::Single, &[0.0, 0.0]), Ok(vec![0.0, 0.0]));
    assert_eq!(normalize(Kind::Single, &[3e38]), Ok(vec![1.0]));
    let five = [1.0, 2.0, 3.0, 4.0, 5.0];
    let part = |start, count| subvector(&five, start, count);
    assert_eq!(part(1, 3), Ok(&five[..3]));
    assert_eq!(part(3, 2), Ok(&five[2..4]));
    assert_eq!(part(-1, 3), Ok(&five[..1]));
    assert_eq!(part(3, 9), Ok(&five[2..]));
    for (start, count) in [(1, 0), (3, -1), (-1, 2), (6, 1), (i32::MAX, 10), (i32::MIN, 10)] {
        assert_eq!(part(start, count), Err(Error::Empty), "{start} {count}");
    }
    assert_eq!(part(3, i32::MAX), Ok(&five[2..]));
    assert_eq!(part(-2_147_483_644, i32::MAX), Ok(&five[..2]));
}

#[test]
fn vectors_are_ordered() {
    let pairs: [(&[f32], &[f32], Ordering); 6] = [
        (&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], Ordering::Equal),
        (&[1.0, 2.0, 3.0], &[0.0, 0.0, 0.0], Ordering::Greater),
        (&[0.0, 0.0, 0.0], &[1.0, 2.0, 3.0], Ordering::Less),
        (&[1.0, 2.0], &[1.0, 2.0, 3.0], Ordering::Less),
        (&[1.0, 2.0], &[2.0, 3.0, 4.0], Ordering::Less),
        (&[2.0, 3.0], &[1.0, 2.0, 3.0], Ordering::Greater),
    ];
    for (a, b, expected) in pairs {
        assert_eq!(compare(a, b), expected);
        assert_eq!(compare(b, a), expected.reverse());
    }
}

#[test]
fn sums_merge() {
    let mut state = Sum::default();
    assert_eq!((state.sum(Kind::Single), state.mean(Kind::Single)), (Ok(None), Ok(None)));
    state.push(&[1.0, 2.0, 3.0]).unwrap();
    let mut other = Sum::default();
    other.push(&[3.0, 5.0, 7.0]).unwrap();
    state.merge(&Sum::default()).unwrap();
    state.merge(&other).unwrap();
    assert_eq!(state.mean(Kind::Single), Ok(Some(vec![2.0, 3.5, 5.0])));
    assert_eq!(state.sum(Kind::Single), Ok(Some(vec![4.0, 7.0, 10.0])));
    let (count, sums) = state.parts();
    assert_eq!(Sum::from_parts(count, sums.to_vec()), state);
    let wrong = Error::Dimension { expected: 3, found: 1 };
    assert_eq!(state.push(&[1.0]), Err(wrong));
    let mut great = Sum::default();
    great.push(&[3e38]).unwrap();
    great.push(&[3e38]).unwrap();
    assert_eq!(great.mean(Kind::Single), Ok(Some(vec![3e38])));
    assert_eq!(great.sum(Kind::Single), Err(Error::Overflow));
}
