//! What can be wrong with a statement: message, SQLSTATE, hint, position.

use catalog::Error as CatalogError;
use datafusion::error::DataFusionError;

use crate::plan::Place;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error is about, for clients that look for it in fields instead of the message; a column
/// or a constraint is None where the error is not about one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorObject {
    pub schema: String,
    pub table: String,
    pub column: Option<String>,
    pub constraint: Option<String>,
}

impl ErrorObject {
    /// A column of a relation.
    pub(crate) fn column(place: &Place, name: &str) -> Self {
        Self { column: Some(name.to_owned()), ..Self::table(place) }
    }

    /// A constraint of a relation.
    pub(crate) fn constraint(place: &Place, name: &str) -> Self {
        Self { constraint: Some(name.to_owned()), ..Self::table(place) }
    }

    fn table(place: &Place) -> Self {
        let (schema, table) = (place.schema_name().to_owned(), place.name.clone());
        Self { schema, table, column: None, constraint: None }
    }
}

/// An error as Postgres would report it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{message}")]
    Statement {
        sqlstate: &'static str,
        message: String,
        detail: Option<String>,
        hint: Option<String>,
        /// Character offset in the statement's message, from 1.
        position: Option<usize>,
        /// Line and column in the statement's message, both from 1.
        place: Option<(u64, u64)>,
        object: Option<Box<ErrorObject>>,
    },
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Engine(#[from] DataFusionError),
}

impl Error {
    /// An error with a message only.
    pub fn new(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self::Statement {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            place: None,
            object: None,
        }
    }

    /// Something that Postgres has and this server does not.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new("0A000", format!("{} is not supported", what.into()))
    }

    /// A table, view or other relation that is not there.
    pub fn undefined_table(name: &str) -> Self {
        Self::new("42P01", format!("relation \"{name}\" does not exist"))
    }

    /// The code of one of ours, also of one that has come through the engine.
    pub fn sqlstate(&self) -> Option<&'static str> {
        match self {
            Self::Statement { sqlstate, .. } => Some(sqlstate),
            Self::Catalog(_) => None,
            Self::Engine(error) => match error.find_root() {
                DataFusionError::External(inner) => inner.downcast_ref::<Self>()?.sqlstate(),
                _ => None,
            },
        }
    }

    /// Adds what the user can do next.
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Statement { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    /// Adds the particulars.
    pub fn with_detail(mut self, text: impl Into<String>) -> Self {
        if let Self::Statement { detail, .. } = &mut self {
            *detail = Some(text.into());
        }
        self
    }

    /// Adds what it is about.
    pub fn about(mut self, what: ErrorObject) -> Self {
        if let Self::Statement { object, .. } = &mut self {
            *object = Some(Box::new(what));
        }
        self
    }

    /// Adds where in the text it went wrong.
    pub fn at(mut self, offset: Option<usize>) -> Self {
        if let Self::Statement { position, .. } = &mut self {
            *position = offset;
        }
        self
    }

    /// Adds the line and column where it went wrong.
    pub fn at_place(mut self, found: Option<(u64, u64)>) -> Self {
        if let Self::Statement { place, .. } = &mut self {
            *place = found;
        }
        self
    }
}

/// Carries one of our errors through DataFusion.
impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Engine(inner) => inner,
            other => DataFusionError::External(Box::new(other)),
        }
    }
}

/// Up to three of `names` that are close to `name`, as a hint; None if nothing is near.
pub fn near_names<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let limit = (name.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .map(|other| (distance(name, other), other))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort();
    near.dedup();
    let list: Vec<String> = near.iter().take(3).map(|(_, n)| format!("\"{n}\"")).collect();
    (!list.is_empty()).then(|| format!("Perhaps you meant {}.", list.join(" or ")))
}

/// Levenshtein distance, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_close_ones_only() {
        let names = ["orders", "order_items", "users"];
        assert_eq!(near_names("ordrs", names).as_deref(), Some("Perhaps you meant \"orders\"."));
        assert_eq!(near_names("zebra", names), None);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
