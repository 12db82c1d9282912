//! Scalar functions about the server and the connection.

mod clock;
mod names;
mod own;

use std::sync::{Arc, RwLock};

use datafusion::arrow::array::{Array, AsArray, BooleanArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Int32Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, TypeSignature, Volatility, create_udf,
};

use crate::session::SharedWho;
use crate::settings::Settings;
use crate::wire::cancel::Registry;
use crate::{Error, Server};

pub use own::own;

/// Functions whose answer is the same for every connection.
pub fn constant() -> Vec<ScalarUDF> {
    let version = format!(
        "PostgreSQL {} (Sextant {})",
        crate::POSTGRES_VERSION.split(' ').next().unwrap_or_default(),
        env!("CARGO_PKG_VERSION")
    );
    let mut all = clock::functions();
    all.push(text("version", version));
    all
}

/// Functions whose answer is the connection's own.
pub fn of_session(
    server: &Arc<Server>,
    who: &SharedWho,
    database: &str,
    process_id: i32,
    settings: &Arc<RwLock<Settings>>,
) -> Vec<ScalarUDF> {
    let mut all = names::functions(who, database);
    all.extend([
        backend_pid(process_id),
        clock::statement(server, process_id),
        signal("pg_cancel_backend", server, who, Registry::cancel_backend),
        signal("pg_terminate_backend", server, who, Registry::terminate_backend),
        current_setting(settings),
        set_config(settings),
    ]);
    all
}

fn text(name: &str, value: String) -> ScalarUDF {
    let answer = move |_: &[ColumnarValue]| {
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(value.clone()))))
    };
    create_udf(name, vec![], DataType::Utf8, Volatility::Stable, Arc::new(answer))
}

fn backend_pid(process_id: i32) -> ScalarUDF {
    let answer =
        move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Int32(Some(process_id))));
    create_udf("pg_backend_pid", vec![], DataType::Int32, Volatility::Stable, Arc::new(answer))
}

/// Acts on the connection with a process id; false if there is none.
fn signal(
    name: &'static str,
    server: &Arc<Server>,
    who: &SharedWho,
    act: fn(&Registry, i32) -> bool,
) -> ScalarUDF {
    let (server, who) = (Arc::clone(server), Arc::clone(who));
    let answer = move |arguments: &[ColumnarValue]| {
        let pids = arguments[0].to_array(1)?;
        let pids = pids.as_primitive::<Int32Type>();
        for pid in pids.iter().flatten() {
            may_signal(name, &server, &who, pid)?;
        }
        let done: BooleanArray =
            pids.iter().map(|pid| pid.map(|pid| act(&server.cancels, pid))).collect();
        Ok(ColumnarValue::Array(Arc::new(done)))
    };
    let arguments = vec![DataType::Int32];
    create_udf(name, arguments, DataType::Boolean, Volatility::Volatile, Arc::new(answer))
}

/// Only one's own roles' connections are anybody's to stop; superusers' are superusers'.
fn may_signal(name: &str, server: &Server, who: &SharedWho, pid: i32) -> EngineResult<()> {
    let Some((role, superuser)) = server.cancels.role_of(pid) else { return Ok(()) };
    let Ok(who) = who.read() else { return Ok(()) };
    let authority = &who.authority;
    if authority.superuser {
        return Ok(());
    }
    let verb = if name.contains("cancel") { "cancel query" } else { "terminate process" };
    if superuser {
        let verb = verb.replace(' ', " superuser ");
        return Err(Error::new("42501", format!("must be a superuser to {verb}")).into());
    }
    match authority.holds(role) || authority.holds(sql::access::SIGNAL_BACKEND) {
        true => Ok(()),
        false => {
            let message = format!(
                "must be a member of the role whose {} or member of pg_signal_backend",
                match verb {
                    "cancel query" => "query is being canceled",
                    _ => "process is being terminated",
                }
            );
            Err(Error::new("42501", message).into())
        }
    }
}

fn current_setting(settings: &Arc<RwLock<Settings>>) -> ScalarUDF {
    let settings = Arc::clone(settings);
    let answer = move |arguments: &[ColumnarValue]| {
        let names = strings(&arguments[0])?;
        let may_lack = match arguments.get(1) {
            Some(ColumnarValue::Scalar(ScalarValue::Boolean(Some(may_lack)))) => *may_lack,
            _ => false,
        };
        let settings = read(&settings)?;
        let values: EngineResult<StringArray> = names
            .iter()
            .map(|name| match name {
                None => Ok(None),
                Some(name) => match settings.get(name) {
                    Some(value) => Ok(Some(value.to_string())),
                    None if may_lack => Ok(None),
                    None => Err(unrecognized(name)),
                },
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(values?)))
    };
    let name = TypeSignature::Exact(vec![DataType::Utf8]);
    let with_missing = TypeSignature::Exact(vec![DataType::Utf8, DataType::Boolean]);
    let signature = Signature::one_of(vec![name, with_missing], Volatility::Stable);
    let of = DataType::Utf8;
    ScalarUDF::from(SimpleScalarUDF::new_with_signature(
        "current_setting",
        signature,
        of,
        Arc::new(answer),
    ))
}

fn set_config(settings: &Arc<RwLock<Settings>>) -> ScalarUDF {
    let settings = Arc::clone(settings);
    let answer = move |arguments: &[ColumnarValue]| {
        let names = strings(&arguments[0])?;
        let values = strings(&arguments[1])?;
        let local = arguments[2].to_array(names.len())?;
        let local = local.as_boolean();
        let mut settings =
            settings.write().map_err(|_| Error::new("XX000", "settings are poisoned"))?;
        for row in 0..names.len() {
            let (name, value) = (names.value(row), values.value(row));
            match local.is_valid(row) && local.value(row) {
                true => settings.set_local(name, value)?,
                false => settings.set(name, value)?,
            }
        }
        Ok(ColumnarValue::Array(Arc::new(values)))
    };
    let arguments = vec![DataType::Utf8, DataType::Utf8, DataType::Boolean];
    create_udf("set_config", arguments, DataType::Utf8, Volatility::Volatile, Arc::new(answer))
}

fn read(
    settings: &Arc<RwLock<Settings>>,
) -> EngineResult<std::sync::RwLockReadGuard<'_, Settings>> {
    Ok(settings.read().map_err(|_| Error::new("XX000", "settings are poisoned"))?)
}

fn strings(value: &ColumnarValue) -> EngineResult<StringArray> {
    let array = value.to_array(1)?;
    Ok(array.as_string::<i32>().clone())
}

fn unrecognized(name: &str) -> datafusion::error::DataFusionError {
    let message = format!("unrecognized configuration parameter \"{name}\"");
    Error::new("42704", message).into()
}
