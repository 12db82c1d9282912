//! The own form: read back it is the same, and a change of a letter is seen.

use super::reference::{columns, model};
use kernels::models::trees::{Error, Forest, Scorer, read_lightgbm, read_own, write};

fn scores(forest: Forest) -> Vec<f64> {
    let columns = columns(100);
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let mut out = vec![0.0; 100 * forest.outputs()];
    Scorer::new(forest).unwrap().predict(&columns, &mut out).unwrap();
    out
}

#[test]
fn own_text_reads_back_as_the_same_bytes_and_predictions() {
    for name in ["lgb_binary", "lgb_zero", "lgb_never", "lgb_softmax", "lgb_forest", "lgb_stump"] {
        let mut forest = model(name).unwrap();
        forest.features[3] = "über 100 %=\n".to_owned();
        let text = write(&forest).unwrap();
        let read = read_own(&text).unwrap();
        assert_eq!(read, forest, "{name}");
        assert_eq!(write(&read).unwrap(), text);
        assert_eq!(scores(read), scores(forest));
        // LightGBM's reader takes it too.
        assert!(read_lightgbm(&text).is_ok());
    }
}

#[test]
fn a_changed_text_is_refused() {
    let text = write(&model("lgb_binary").unwrap()).unwrap();
    for place in (0..text.len()).step_by(11) {
        let mut bytes = text.clone().into_bytes();
        bytes[place] ^= 1;
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(read_own(&changed), Err(Error::Checksum), "{place}");
    }
    assert_eq!(read_own(&text[..text.len() / 2]), Err(Error::Checksum));
}

#[test]
fn later_versions_are_named() {
    let text = write(&model("lgb_binary").unwrap()).unwrap();
    let later = text.replace("sextant_version=1", "sextant_version=2");
    let body = &later[..later.find("sextant_checksum=").unwrap()];
    let check = crc32fast::hash(body.as_bytes());
    let text = format!("{body}sextant_checksum={check:08x}\n\npandas_categorical:null\n");
    assert_eq!(read_own(&text), Err(Error::Version { found: 2 }));
}

#[test]
fn forms_that_lightgbm_lacks_are_not_written() {
    assert!(matches!(write(&model("xgb_binary").unwrap()), Err(Error::Unsupported { .. })));
}
