//! Text and bytes of vectors. Expected values: pgvector 0.8's own regression tests
//! (test/expected/vector_type.out), and float4 as PostgreSQL writes it.

use kernels::vectors::{Cause, Kind, TextError, check, format, from_bytes, parse, to_bytes};
use proptest::prelude::*;

fn round(text: &str) -> String {
    format(&parse(Kind::Single, text, None).unwrap())
}

#[test]
fn texts_are_read() {
    assert_eq!(round("[1,2,3]"), "[1,2,3]");
    assert_eq!(round("[-1,-2,-3]"), "[-1,-2,-3]");
    assert_eq!(round("[1.,2.,3.]"), "[1,2,3]");
    assert_eq!(round(" [ 1,  2 ,    3  ] "), "[1,2,3]");
    assert_eq!(round("[1.23456]"), "[1.23456]");
    assert_eq!(round("[1.5e38,-1.5e38]"), "[1.5e+38,-1.5e+38]");
    assert_eq!(round("[1.5e+38,-1.5e+38]"), "[1.5e+38,-1.5e+38]");
    assert_eq!(round("[1.5e-38,-1.5e-38]"), "[1.5e-38,-1.5e-38]");
    assert_eq!(round("[1e-46,1]"), "[0,1]");
    assert_eq!(round("[-1e-46,1]"), "[-0,1]");
    assert_eq!(round("[.5,+.25e1]"), "[0.5,2.5]");
    assert_eq!(
        round("[100000,1000000,1234567,0.0001,0.00001]"),
        "[100000,1e+06,1.234567e+06,0.0001,1e-05]"
    );
}

#[test]
fn mistakes_are_told_as_pgvector_does() {
    let told = |text: &str| {
        let error = parse(Kind::Single, text, None).unwrap_err();
        (error.to_string(), error.sqlstate(), error.detail())
    };
    let syntax = |text: &str, detail| {
        (std::format!("invalid input syntax for type vector: \"{text}\""), "22P02", detail)
    };
    let start = Some("Vector contents must start with \"[\".");
    let junk = Some("Junk after closing right brace.");
    for (text, detail) in [
        ("[hello,1]", None),
        ("[1,2,3", None),
        ("[1,2,3]9", junk),
        ("1,2,3", start),
        ("", start),
        ("[", None),
        ("[ ", None),
        ("[,", None),
        ("[1,]", None),
        ("[1a]", None),
        ("[1,,3]", None),
        ("[1, ,3]", None),
        ("[.]", None),
        ("[1e]", None),
    ] {
        assert_eq!(told(text), syntax(text, detail));
    }
    assert_eq!(told("[]").0, "vector must have at least 1 dimension");
    assert_eq!(told("[NaN,1]"), ("NaN not allowed in vector".into(), "22000", None));
    let infinite = ("infinite value not allowed in vector".to_owned(), "22000", None);
    assert_eq!(told("[Infinity,1]"), infinite);
    assert_eq!(told("[-Infinity,1]"), infinite);
    let range = |number: &str| {
        (std::format!("\"{number}\" is out of range for type vector"), "22003", None)
    };
    assert_eq!(told("[4e38,1]"), range("4e38"));
    assert_eq!(told("[-4e38,1]"), range("-4e38"));
    let expected = parse(Kind::Single, "[1,2,3]", Some(2)).unwrap_err();
    assert_eq!(expected.to_string(), "expected 2 dimensions, not 3");
    let many = std::format!("[{}1]", "1,".repeat(16_000));
    assert_eq!(told(&many).0, "vector cannot have more than 16000 dimensions");
    assert_eq!(told(&many).1, "54000");
    assert_eq!(check(Kind::Single, &[1.0, f32::NAN], None), Err(single(Cause::NotANumber)));
    assert_eq!(check(Kind::Single, &[], None), Err(single(Cause::Empty)));
    assert_eq!(check(Kind::Single, &[65_520.0], Some(1)), Ok(()));
    let range = check(Kind::Half, &[65_520.0], None).unwrap_err();
    assert_eq!(range.to_string(), "\"65520\" is out of range for type halfvec");
}

/// Expected values: pgvector 0.8's own regression tests (test/expected/halfvec.out).
#[test]
fn halves_have_their_own_range() {
    let round = |text: &str| format(&parse(Kind::Half, text, None).unwrap());
    assert_eq!(round("[1,2,3]"), "[1,2,3]");
    assert_eq!(round("[1.23456]"), "[1.234375]");
    assert_eq!(round("[65519,-65519]"), "[65504,-65504]");
    assert_eq!(round("[1e-8,-1e-8]"), "[0,-0]");
    let told = |text: &str| parse(Kind::Half, text, None).unwrap_err().to_string();
    assert_eq!(told("[65520]"), "\"65520\" is out of range for type halfvec");
    assert_eq!(told("[-65520]"), "\"-65520\" is out of range for type halfvec");
    assert_eq!(told("[NaN,1]"), "NaN not allowed in halfvec");
    assert_eq!(told("[Infinity,1]"), "infinite value not allowed in halfvec");
    assert_eq!(told("[]"), "halfvec must have at least 1 dimension");
    assert_eq!(told("[a]"), "invalid input syntax for type halfvec: \"[a]\"");
    assert_eq!(to_bytes(Kind::Half, &[1.0]).unwrap(), [0, 1, 0, 0, 0x3c, 0]);
    assert_eq!(from_bytes(Kind::Half, &[0, 1, 0, 0, 0x3c, 0], None), Ok(vec![1.0]));
}

fn single(cause: Cause) -> TextError {
    TextError { kind: Kind::Single, cause }
}

#[test]
fn bytes_are_checked() {
    let read = |bytes: &[u8]| from_bytes(Kind::Single, bytes, None);
    assert_eq!(to_bytes(Kind::Single, &[1.0]).unwrap(), [0, 1, 0, 0, 0x3f, 0x80, 0, 0]);
    assert_eq!(read(&[0, 1, 0, 0, 0x3f, 0x80, 0, 0]), Ok(vec![1.0]));
    for wrong in [&[][..], &[0, 1, 0, 0], &[0, 1, 0, 1, 0, 0, 0, 0], &[255, 255, 0, 0], &[0; 3]] {
        assert_eq!(read(wrong), Err(single(Cause::Bytes)));
    }
    assert_eq!(read(&[0; 4]), Err(single(Cause::Empty)));
    assert_eq!(read(&[0, 1, 0, 0, 0x7f, 0x80, 0, 0]), Err(single(Cause::Infinite)));
    assert_eq!(to_bytes(Kind::Single, &[]), Err(single(Cause::Empty)));
}

proptest! {
    #[test]
    fn what_is_written_is_read(bits in proptest::collection::vec(any::<u32>(), 1..20)) {
        let finite = bits.into_iter().map(f32::from_bits).filter(|x| x.is_finite());
        let vector: Vec<f32> = finite.chain([0.5]).collect();
        let same = |other: &[f32]| {
            let bits = |all: &[f32]| all.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            bits(&vector) == bits(other)
        };
        let kind = Kind::Single;
        prop_assert!(same(&parse(kind, &format(&vector), Some(vector.len())).unwrap()));
        prop_assert!(same(&from_bytes(kind, &to_bytes(kind, &vector).unwrap(), None).unwrap()));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\], .0-9eE+\\-naif\u{e9}]{0,30}") {
        let _ = parse(Kind::Half, &text, None);
    }
}
