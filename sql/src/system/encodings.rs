//! Names and numbers of encodings, `pg_encoding_to_char` and its like; and `pg_get_expr`, whose
//! argument is text here already.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int32Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::expr_fn::SimpleScalarUDF;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Signature, Volatility};

/// By number; PostgreSQL 15's `pg_enc`.
const NAMES: [&str; 42] = [
    "SQL_ASCII",
    "EUC_JP",
    "EUC_CN",
    "EUC_KR",
    "EUC_TW",
    "EUC_JIS_2004",
    "UTF8",
    "MULE_INTERNAL",
    "LATIN1",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "WIN1256",
    "WIN1258",
    "WIN866",
    "WIN874",
    "KOI8R",
    "WIN1251",
    "WIN1252",
    "ISO_8859_5",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "WIN1250",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1257",
    "KOI8U",
    "SJIS",
    "BIG5",
    "GBK",
    "UHC",
    "GB18030",
    "JOHAB",
    "SHIFT_JIS_2004",
];

/// The functions.
pub(super) fn functions() -> [ScalarUDF; 3] {
    [
        function("pg_encoding_to_char", DataType::Utf8, |array| {
            let name = |number: i32| {
                let at = usize::try_from(number).ok().and_then(|at| NAMES.get(at));
                at.copied().unwrap_or_default()
            };
            let numbers = cast(array, &DataType::Int32)?;
            let numbers = numbers.as_primitive::<Int32Type>().iter();
            Ok(Arc::new(numbers.map(|number| number.map(name)).collect::<StringArray>()))
        }),
        function("pg_char_to_encoding", DataType::Int32, |array| {
            let number = |name: &str| {
                let plain = name.to_uppercase().replace('-', "");
                let at = NAMES.iter().position(|known| *known == plain);
                at.and_then(|at| i32::try_from(at).ok()).unwrap_or(-1)
            };
            let names = cast(array, &DataType::Utf8)?;
            let names = names.as_string::<i32>().iter();
            Ok(Arc::new(names.map(|name| name.map(number)).collect::<Int32Array>()))
        }),
        function("pg_get_expr", DataType::Utf8, |array| Ok(cast(array, &DataType::Utf8)?)),
    ]
}

/// A function of its first argument.
fn function(
    name: &str,
    to: DataType,
    answer: fn(&ArrayRef) -> EngineResult<ArrayRef>,
) -> ScalarUDF {
    let body = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        Ok(ColumnarValue::Array(answer(&arrays[0])?))
    };
    let signature = Signature::variadic_any(Volatility::Immutable);
    ScalarUDF::from(SimpleScalarUDF::new_with_signature(name, signature, to, Arc::new(body)))
}
