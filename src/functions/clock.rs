//! Functions that read the clock, and those that wait.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use catalog::TYPE_KEY;
use chrono::{DateTime, Utc};
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, create_udf,
};

use crate::{Error, Server};

/// The longest wait, as Postgres' timers have it.
const LONGEST_S: f64 = 2_147_483.0;

/// `clock_timestamp()`, `timeofday()`, `pg_sleep(seconds)` and `pg_sleep_for(interval)`.
pub(super) fn functions() -> Vec<ScalarUDF> {
    let now = |_: &[ColumnarValue]| Ok(instant(SystemTime::now()));
    let text = |_: &[ColumnarValue]| {
        let now: DateTime<Utc> = SystemTime::now().into();
        let text = now.format("%a %b %d %H:%M:%S%.6f %Y UTC").to_string();
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text))))
    };
    let volatile = Volatility::Volatile;
    let sleep = |kind| AsyncScalarUDF::new(Arc::new(Sleep::new(kind))).into_scalar_udf();
    vec![
        create_udf("clock_timestamp", vec![], timestamptz(), volatile, Arc::new(now)),
        create_udf("timeofday", vec![], DataType::Utf8, volatile, Arc::new(text)),
        sleep(Kind::Seconds),
        sleep(Kind::Interval),
    ]
}

/// `statement_timestamp()`: when the statement that the connection runs came.
pub(super) fn statement(server: &Arc<Server>, process_id: i32) -> ScalarUDF {
    let server = Arc::clone(server);
    let answer = move |_: &[ColumnarValue]| {
        let mut since = SystemTime::now();
        server.cancels.each(|pid, about| {
            if pid == process_id {
                since = about.query_since;
            }
        });
        Ok(instant(since))
    };
    let name = "statement_timestamp";
    create_udf(name, vec![], timestamptz(), Volatility::Stable, Arc::new(answer))
}

fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn instant(time: SystemTime) -> ColumnarValue {
    let us = time.duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_micros()).ok());
    ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(us, Some("UTC".into())))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Seconds,
    Interval,
}

/// Waits; a statement that is cancelled drops it.
#[derive(Debug)]
struct Sleep {
    kind: Kind,
    signature: Signature,
}

impl Sleep {
    fn new(kind: Kind) -> Self {
        let argument = match kind {
            Kind::Seconds => DataType::Float64,
            Kind::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        };
        Self { kind, signature: Signature::exact(vec![argument], Volatility::Volatile) }
    }
}

impl PartialEq for Sleep {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for Sleep {}

impl Hash for Sleep {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
    }
}

impl ScalarUDFImpl for Sleep {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Seconds => "pg_sleep",
            Kind::Interval => "pg_sleep_for",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let field = Field::new(self.name(), DataType::Utf8, true);
        let tag = (TYPE_KEY.to_owned(), "void".to_owned());
        Ok(Arc::new(field.with_metadata([tag].into())))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        Err(Error::new("0A000", "waiting is not supported here").into())
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Sleep {
    async fn invoke_async_with_args(
        &self,
        arguments: ScalarFunctionArgs,
    ) -> EngineResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let array = arguments.args[0].to_array(rows)?;
        let seconds: Vec<Option<f64>> = match self.kind {
            Kind::Seconds => array.as_primitive::<Float64Type>().iter().collect(),
            Kind::Interval => {
                let intervals = array.as_primitive::<IntervalMonthDayNanoType>();
                let seconds = |days: i32, nanoseconds: i64| {
                    f64::from(days) * 86_400.0 + nanoseconds as f64 / 1e9
                };
                let of = |i: datafusion::arrow::datatypes::IntervalMonthDayNano| {
                    seconds(i.days.saturating_add(i.months.saturating_mul(30)), i.nanoseconds)
                };
                intervals.iter().map(|interval| interval.map(of)).collect()
            }
        };
        let mut done = Vec::with_capacity(rows);
        for wait in seconds {
            if let Some(wait) = wait.filter(|wait| *wait > 0.0) {
                tokio::time::sleep(Duration::from_secs_f64(wait.min(LONGEST_S))).await;
            }
            done.push(wait.map(|_| String::new()));
        }
        let done: datafusion::arrow::array::StringArray = done.into_iter().collect();
        Ok(ColumnarValue::Array(Arc::new(done)))
    }
}
