//! Where the files of the lake are: a local folder or a bucket, as one object store.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path as LocalPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt};
use url::Url;

use crate::error::{Error, Result};

/// The data path of a lake, opened.
#[derive(Debug)]
pub struct Storage {
    /// Rooted at the data path.
    pub store: Arc<dyn ObjectStore>,
    pub url: ObjectStoreUrl,
    /// As DuckLake's metadata says it: absolute, with a trailing slash.
    pub data_path: String,
    /// The folder, if it is local.
    pub folder: Option<PathBuf>,
}

impl Storage {
    pub fn open(data: &str) -> Result<Self> {
        match data.split_once("://") {
            None => local(data),
            Some(("file", path)) => local(path),
            Some(_) => remote(data),
        }
    }
}

impl Storage {
    /// Writes an object so that it survives a crash before this returns.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        let location = Path::parse(path).map_err(|e| error(path, &e.into()))?;
        let done = self.store.put(&location, bytes.into()).await;
        done.map_err(|e| error(path, &e))?;
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let file = folder.join(path);
        let synced = tokio::task::spawn_blocking(move || sync(&file)).await;
        let synced = synced.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        synced.map_err(|e| error(path, &io(e)))
    }
}

/// Flushes a file and its folder's entry to the disk.
pub(crate) fn sync(file: &LocalPath) -> std::io::Result<()> {
    std::fs::File::open(file)?.sync_all()?;
    match file.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn local(folder: &str) -> Result<Storage> {
    let failed = |e: std::io::Error| error(folder, &io(e));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let folder_path = LocalPath::new(folder).canonicalize().map_err(failed)?;
    check_writable(&folder_path).map_err(failed)?;
    let store = LocalFileSystem::new_with_prefix(&folder_path);
    let store = store.map_err(|e| error(folder, &e))?;
    let data_path = format!("{}/", folder_path.display().to_string().trim_end_matches('/'));
    Ok(Storage {
        store: Arc::new(store),
        url: store_url(&data_path)?,
        data_path,
        folder: Some(folder_path),
    })
}

/// Says so at start rather than at the first write.
fn check_writable(folder: &LocalPath) -> std::io::Result<()> {
    let probe = folder.join(format!(".sextant-{}", uuid::Uuid::now_v7()));
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(&probe)
}

fn remote(data: &str) -> Result<Storage> {
    let url = Url::parse(data).map_err(|e| Error::InvalidParameter {
        message: format!("\"{data}\" is not a data path: {e}"),
        hint: None,
    })?;
    let bucket = url.host_str().unwrap_or_default().to_owned();
    let prefix = Path::parse(url.path()).map_err(|e| error(data, &e.into()))?;
    let store: Result<Arc<dyn ObjectStore>, object_store::Error> = match url.scheme() {
        "s3" | "s3a" => AmazonS3Builder::from_env()
            .with_bucket_name(&bucket)
            .with_client_options(client())
            .build()
            .map(|store| Arc::new(PrefixStore::new(store, prefix)) as Arc<dyn ObjectStore>),
        "gs" => GoogleCloudStorageBuilder::from_env()
            .with_bucket_name(&bucket)
            .build()
            .map(|store| Arc::new(PrefixStore::new(store, prefix)) as Arc<dyn ObjectStore>),
        "az" | "abfs" | "abfss" => MicrosoftAzureBuilder::from_env()
            .with_url(data)
            .build()
            .map(|store| Arc::new(PrefixStore::new(store, prefix)) as Arc<dyn ObjectStore>),
        scheme => {
            return Err(Error::InvalidParameter {
                message: format!("data path \"{data}\" has the unknown scheme \"{scheme}\""),
                hint: Some("Use a folder, s3://, gs:// or az://.".to_owned()),
            });
        }
    };
    let data_path = format!("{}/", data.trim_end_matches('/'));
    Ok(Storage {
        store: store.map_err(|e| error(data, &e))?,
        url: store_url(&data_path)?,
        data_path,
        folder: None,
    })
}

/// Test stores and gateways speak plain HTTP when their endpoint says so.
fn client() -> ClientOptions {
    let endpoint = std::env::var("AWS_ENDPOINT_URL_S3")
        .or_else(|_| std::env::var("AWS_ENDPOINT_URL"))
        .or_else(|_| std::env::var("AWS_ENDPOINT"))
        .unwrap_or_default();
    let plain = endpoint.starts_with("http://")
        || std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| value == "true");
    ClientOptions::default().with_allow_http(plain)
}

/// One url per lake: it only has to differ between the lakes of one process.
fn store_url(data_path: &str) -> Result<ObjectStoreUrl> {
    let mut hasher = DefaultHasher::new();
    data_path.hash(&mut hasher);
    Ok(ObjectStoreUrl::parse(format!("lake://{:016x}/", hasher.finish()))?)
}

fn io(source: std::io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(source) }
}

/// A full disk is told apart from other failures.
pub fn error(path: &str, error: &object_store::Error) -> Error {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = source {
        let full = cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::StorageFull);
        if full {
            return Error::DiskFull { path: path.to_owned() };
        }
        source = cause.source();
    }
    Error::Object { path: path.to_owned(), reason: error.to_string() }
}
