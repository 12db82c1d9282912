//! Files that are already there: `read_parquet('…')` and CREATE EXTERNAL TABLE.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::TableProvider;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::path::Path;
use datafusion::object_store::{ObjectStore, parse_url_opts};

use crate::error::{Error, Result};

/// Where files are and how to read them.
#[derive(Debug, Clone)]
pub struct ExternalFiles {
    /// PARQUET, CSV or JSON.
    pub format: String,
    pub location: String,
    pub options: Vec<(String, String)>,
    /// Declared columns; None: read from the files.
    pub schema: Option<SchemaRef>,
}

/// A table over the files.
pub async fn external_provider(
    engine: &SessionState,
    files: &ExternalFiles,
) -> Result<Arc<dyn TableProvider>> {
    let url = ListingTableUrl::parse(&files.location)
        .map_err(|e| Error::new("22023", format!("location \"{}\": {e}", files.location)))?;
    register_store(engine, &url)?;
    let (format, extension) = format(files)?;
    let options = ListingOptions::new(format).with_file_extension(if url.is_collection() {
        extension
    } else {
        ""
    });
    let schema = match &files.schema {
        Some(schema) => Arc::clone(schema),
        None => {
            let inferred = options.infer_schema(engine, &url).await;
            inferred.map_err(|e| unreadable(&files.location, e))?
        }
    };
    if schema.fields().is_empty() {
        return Err(Error::new("58P01", format!("no files found at \"{}\"", files.location)));
    }
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// A file's store and its path there.
pub struct Located {
    pub store: Arc<dyn ObjectStore>,
    pub path: Path,
}

/// Where one file is or will be.
pub fn located(engine: &SessionState, location: &str) -> Result<Located> {
    let url = ListingTableUrl::parse(location)
        .map_err(|e| Error::new("22023", format!("location \"{location}\": {e}")))?;
    register_store(engine, &url)?;
    let store = engine.runtime_env().object_store(url.object_store())?;
    Ok(Located { store, path: url.prefix().clone() })
}

fn unreadable(location: &str, error: DataFusionError) -> Error {
    let root = error.find_root();
    let sqlstate = match root {
        DataFusionError::ObjectStore(e)
            if matches!(**e, datafusion::object_store::Error::NotFound { .. }) =>
        {
            "58P01"
        }
        _ => "58030",
    };
    Error::new(sqlstate, format!("could not read \"{location}\": {root}"))
}

fn format(files: &ExternalFiles) -> Result<(Arc<dyn FileFormat>, &'static str)> {
    match files.format.as_str() {
        "PARQUET" => {
            reject_options(&files.options, &[])?;
            Ok((Arc::new(ParquetFormat::default()), ".parquet"))
        }
        "CSV" => Ok((Arc::new(csv(&files.options)?), ".csv")),
        "JSON" => {
            reject_options(&files.options, &[])?;
            Ok((Arc::new(JsonFormat::default()), ".json"))
        }
        other => Err(Error::new("22023", format!("unknown file format \"{other}\""))
            .with_hint("Formats are PARQUET, CSV and JSON.")),
    }
}

fn csv(options: &[(String, String)]) -> Result<CsvFormat> {
    reject_options(options, &["header", "delimiter", "quote"])?;
    let mut format = CsvFormat::default().with_has_header(true);
    // A quoted value may go over lines: a file is not cut where it could be inside of one.
    format = format.with_newlines_in_values(true);
    for (key, value) in options {
        let invalid =
            || Error::new("22023", format!("invalid value \"{value}\" for option \"{key}\""));
        let byte = || match value.as_bytes() {
            [byte] => Ok(*byte),
            _ => Err(invalid()),
        };
        format = match key.as_str() {
            "header" => format.with_has_header(value.parse().map_err(|_| invalid())?),
            "delimiter" => format.with_delimiter(byte()?),
            _ => format.with_quote(byte()?),
        };
    }
    Ok(format)
}

fn reject_options(options: &[(String, String)], known: &[&str]) -> Result<()> {
    match options.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some((key, _)) => {
            let error = Error::new("22023", format!("unknown option \"{key}\""));
            Err(match known {
                [] => error.with_hint("This format has no options."),
                known => error.with_hint(format!("Options are {}.", known.join(", "))),
            })
        }
    }
}

/// Makes the store of a remote location known; keys and endpoints come from the environment.
fn register_store(engine: &SessionState, url: &ListingTableUrl) -> Result<()> {
    let store_url: ObjectStoreUrl = url.object_store();
    if engine.runtime_env().object_store(&store_url).is_ok() {
        return Ok(());
    }
    let settings = std::env::vars().map(|(key, value)| (key.to_lowercase(), value));
    let settings = settings.filter(|(key, _)| {
        ["aws_", "google_", "azure_"].iter().any(|prefix| key.starts_with(prefix))
    });
    let (store, _) = parse_url_opts(url.get_url(), settings)
        .map_err(|e| Error::new("22023", format!("location \"{}\": {e}", url.as_str())))?;
    engine.runtime_env().register_object_store(store_url.as_ref(), Arc::from(store));
    Ok(())
}
