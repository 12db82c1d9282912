//! What can go wrong in the catalog: message, SQLSTATE and hint in one place.

use thiserror::Error as ThisError;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, ThisError)]
pub enum Error {
    #[error("schema \"{name}\" does not exist")]
    UndefinedSchema { name: String },
    #[error("relation \"{name}\" does not exist")]
    UndefinedTable { name: String },
    #[error("column \"{column}\" of relation \"{table}\" does not exist")]
    UndefinedColumn { table: String, column: String },
    #[error("{kind} \"{name}\" does not exist")]
    UndefinedObject { kind: String, name: String },
    #[error("schema \"{name}\" already exists")]
    DuplicateSchema { name: String },
    #[error("relation \"{name}\" already exists")]
    DuplicateTable { name: String },
    #[error("column \"{column}\" of relation \"{table}\" already exists")]
    DuplicateColumn { table: String, column: String },
    #[error("{kind} \"{name}\" already exists")]
    DuplicateObject { kind: String, name: String },
    #[error("\"{name}\" is not a {expected}")]
    WrongObjectType { name: String, expected: &'static str },
    #[error("cannot drop {name} because other objects depend on it")]
    DependentObjects { name: String, detail: String },
    #[error("could not serialize access due to concurrent {change}")]
    Conflict { change: String },
    #[error("snapshot {id} does not exist")]
    UndefinedSnapshot { id: i64 },
    #[error("{message}")]
    NotSupported { message: String, hint: Option<String> },
    #[error("{message}")]
    InvalidParameter { message: String, hint: Option<String> },
    #[error("the catalog is of version \"{found}\", this server reads \"{expected}\"")]
    CatalogVersion { found: String, expected: &'static str },
    #[error("could not read or write object \"{path}\": {reason}")]
    Object { path: String, reason: String },
    #[error("file \"{path}\" is damaged: {reason}")]
    Damaged { path: String, reason: String },
    #[error("no space left for \"{path}\"")]
    DiskFull { path: String },
    #[error("could not obtain the catalog's write lock in time")]
    LockTimeout,
    #[error("catalog database: {0}")]
    Database(String),
    #[error("{0}")]
    Engine(#[from] datafusion::error::DataFusionError),
}

impl Error {
    /// The SQLSTATE a Postgres client is told.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::UndefinedSchema { .. } => "3F000",
            Self::UndefinedTable { .. } => "42P01",
            Self::UndefinedColumn { .. } => "42703",
            Self::UndefinedObject { kind, .. } if kind == "savepoint" => "3B001",
            Self::UndefinedObject { .. } => "42704",
            Self::DuplicateSchema { .. } => "42P06",
            Self::DuplicateTable { .. } => "42P07",
            Self::DuplicateColumn { .. } => "42701",
            Self::DuplicateObject { .. } => "42710",
            Self::WrongObjectType { .. } => "42809",
            Self::DependentObjects { .. } => "2BP01",
            Self::Conflict { .. } => "40001",
            Self::UndefinedSnapshot { .. } => "22023",
            Self::NotSupported { .. } => "0A000",
            Self::InvalidParameter { .. } => "22023",
            Self::CatalogVersion { .. } => "55000",
            Self::Object { .. } => "58030",
            Self::Damaged { .. } => "58030",
            Self::DiskFull { .. } => "53100",
            Self::LockTimeout => "55P03",
            Self::Database(_) => "58000",
            Self::Engine(_) => "XX000",
        }
    }

    /// What the user can do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::DependentObjects { .. } => {
                Some("Use DROP ... CASCADE to drop the dependent objects too.".into())
            }
            Self::Conflict { .. } => Some("Run the transaction again.".into()),
            Self::LockTimeout => {
                Some("Another program writes to the catalog; run the statement again.".into())
            }
            Self::UndefinedSnapshot { .. } => {
                Some("List snapshots: SELECT * FROM lake.snapshots.".into())
            }
            Self::NotSupported { hint, .. } | Self::InvalidParameter { hint, .. } => hint.clone(),
            _ => None,
        }
    }
}
