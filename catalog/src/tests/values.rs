//! Every type comes back from the catalog database as it went in.

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Time64MicrosecondArray, TimestampMicrosecondArray,
};

use super::*;

/// A column's array: one value and one NULL.
fn arrays() -> Vec<(&'static str, ArrayRef)> {
    let time = vec![Some(1_700_000_000_123_456), None];
    let decimal = Decimal128Array::from(vec![Some(-12_345), None]);
    let text = |value| Arc::new(StringArray::from(vec![Some(value), None])) as ArrayRef;
    vec![
        ("boolean", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("smallint", Arc::new(Int16Array::from(vec![Some(i16::MIN), None]))),
        ("integer", Arc::new(Int32Array::from(vec![Some(i32::MIN), None]))),
        ("bigint", Arc::new(Int64Array::from(vec![Some(i64::MIN), None]))),
        ("real", Arc::new(Float32Array::from(vec![Some(0.1), None]))),
        ("double", Arc::new(Float64Array::from(vec![Some(0.1), None]))),
        ("numeric", Arc::new(decimal.with_precision_and_scale(10, 2).unwrap())),
        ("text", text("it's \u{1f980}, \"so\"\n\\")),
        ("uuid", text("d786fd78-4193-47dd-b0dd-76e54ad4dae6")),
        ("json", text("{\"a\": [1, null]}")),
        ("bytea", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x00\xff'"), None]))),
        ("date", Arc::new(Date32Array::from(vec![Some(-1), None]))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(43_200_000_001), None]))),
        ("timestamp", Arc::new(TimestampMicrosecondArray::from(time.clone()))),
        ("timestamptz", Arc::new(TimestampMicrosecondArray::from(time).with_timezone("UTC"))),
    ]
}

fn typed(name: &str, array: &ArrayRef) -> NewColumn {
    let mut new = column(name, array.data_type().clone());
    if matches!(name, "uuid" | "json") {
        let spelling = [(TYPE_KEY.to_owned(), name.to_owned())];
        new.field = new.field.with_metadata(spelling.into());
    }
    new
}

#[tokio::test]
async fn every_type_is_inlined_and_read_back() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder).await;
    let arrays = arrays();
    let mut transaction = begin(&lake).await;
    let table = NewTable {
        name: "t".to_owned(),
        columns: arrays.iter().map(|(name, array)| typed(name, array)).collect(),
        ..NewTable::default()
    };
    let made = transaction.create_table("main", table).unwrap();
    let columns = arrays.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(made.arrow_schema(), columns).unwrap();
    transaction.append_rows(made.id, batch.clone());
    transaction.commit().await.unwrap();
    lake.close().await;
    let lake = open(&folder).await;
    let state = lake.current().await.unwrap();
    let found = lake.rows(&state, &super::table(&state, "t")).await.unwrap();
    for (index, field) in made.arrow_schema().fields().iter().enumerate() {
        let (read, written) = (found.inlined[0].batch.column(index), batch.column(index));
        assert_eq!(read, written, "{}", field.name());
    }
}
