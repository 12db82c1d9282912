//! Predictions of models that LightGBM and XGBoost trained, against their own.

use super::reference::{columns, expected, file, model, names};
use kernels::models::trees::{Error, Scorer, read_lightgbm, read_xgboost};

/// The greatest distance of a model's predictions, relative to those over one.
fn distance(name: &str) -> f64 {
    let scorer = Scorer::new(model(name).unwrap()).unwrap();
    let expected = expected(name);
    let rows = expected.len() / scorer.forest().outputs();
    assert!(rows >= 100);
    let columns = columns(rows as u64);
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let mut actual = vec![0.0; expected.len()];
    scorer.predict(&columns, &mut actual).unwrap();
    let pairs = actual.iter().zip(&expected);
    pairs.map(|(a, e)| (a - e).abs() / e.abs().max(1.0)).fold(0.0, f64::max)
}

#[test]
fn lightgbm_is_met_to_twelve_digits() {
    let off: Vec<_> = names("lgb").into_iter().map(|name| (distance(&name), name)).collect();
    assert!(off.len() >= 13);
    assert!(off.iter().all(|(off, _)| *off <= 1e-12), "{off:?}");
}

#[test]
fn xgboost_is_met_to_six_digits() {
    let off: Vec<_> = names("xgb").into_iter().map(|name| (distance(&name), name)).collect();
    assert!(off.len() >= 8);
    assert!(off.iter().all(|(off, _)| *off <= 1e-6), "{off:?}");
}

#[test]
fn what_is_not_supported_is_named() {
    let unsupported = |what: &str| Err(Error::Unsupported { what: what.to_owned() });
    assert_eq!(read_lightgbm(&file("trees", "refused_linear.txt")), unsupported("linear_tree"));
    assert_eq!(
        read_xgboost(&file("trees", "refused_linear.json")),
        unsupported("booster \"gblinear\"")
    );
    let hinge = file("trees", "xgb_binary.json").replace("binary:logistic", "binary:hinge");
    assert_eq!(read_xgboost(&hinge), unsupported("objective \"binary:hinge\""));
    let frame = file("trees", "lgb_binary.txt") + "\npandas_categorical:[[\"a\", \"b\"]]\n";
    assert_eq!(read_lightgbm(&frame), unsupported("pandas_categorical"));
    let odd = file("trees", "lgb_binary.txt").replace("objective=binary", "objective=other");
    assert_eq!(read_lightgbm(&odd), unsupported("objective \"other\""));
}

/// Cut anywhere, or with a letter changed, a file is read or refused: never a panic, and what is
/// read can be scored.
#[test]
fn broken_files_are_refused() {
    let columns = columns(3);
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    for name in ["lgb_binary.txt", "xgb_binary.json"] {
        let text = file("trees", name);
        let read = |text: &str| match name.starts_with("lgb") {
            true => read_lightgbm(text),
            false => read_xgboost(text),
        };
        let mut refused = 0;
        for place in (0..text.len()).step_by(37) {
            let changed: String = text
                .char_indices()
                .map(|(at, letter)| if at == place { '9' } else { letter })
                .collect();
            for text in [&text[..place], &changed] {
                match read(text).and_then(Scorer::new) {
                    Err(_) => refused += 1,
                    Ok(scorer) => {
                        let mut out = vec![0.0; 3 * scorer.forest().outputs()];
                        let _ = scorer.predict(&columns, &mut out);
                    }
                }
            }
        }
        assert!(refused > text.len() / 50, "{name}: {refused}");
    }
}
