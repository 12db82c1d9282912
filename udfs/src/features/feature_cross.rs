//! `feature_cross(a, b [, c, d])`: several categories as one.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::error::Result as EngineResult;

use crate::Function;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Type};
use crate::scalar::scalar;

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("a", Kind::Text, "text, or what can be written as text"),
        required("b", Kind::Text, "the second one"),
        option("c", Kind::Text, "a third one"),
        option("d", Kind::Text, "a fourth one"),
    ];
    scalar(Call { name: "feature_cross", arguments, doc: DOC }, vec![("", Type::Text)], answer)
}

fn answer(_: &Given, columns: &[ArrayRef], rows: usize, output: &mut Output) -> EngineResult<()> {
    let texts: Vec<_> = columns.iter().map(|column| column.as_string::<i32>()).collect();
    let mut crossed = String::new();
    for row in 0..rows {
        if !texts.iter().all(|text| text.is_valid(row)) {
            output.text(None);
            continue;
        }
        crossed.clear();
        for (place, text) in texts.iter().enumerate() {
            crossed.push_str(if place > 0 { "|" } else { "" });
            for letter in text.value(row).chars() {
                crossed.push_str(if matches!(letter, '|' | '\\') { "\\" } else { "" });
                crossed.push(letter);
            }
        }
        output.text(crossed.as_str());
    }
    Ok(())
}

const DOC: Doc = Doc {
    summary: "The values joined by '|', with a backslash before a '|' or backslash of their own, so \
              that different values never meet. NULL if one of them is.",
    example: ("SELECT feature_cross('DE', 18)", "DE|18"),
};
