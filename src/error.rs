//! What a client is told when something fails: SQLSTATE, message, detail, hint, place.

use std::fmt;

/// An error on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Five characters drivers choose their exception class by.
    pub sqlstate: &'static str,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    /// Where in the data.
    pub(crate) context: Option<String>,
    /// Character offset in the text the client sent, from 1.
    pub(crate) position: Option<usize>,
    pub(crate) object: Option<Box<sql::ErrorObject>>,
    /// The function of Postgres that would say so, where clients look at it.
    pub(crate) routine: Option<&'static str>,
    /// Line and column, until `locate` has the text to make a position of them.
    pub(crate) line_column: Option<(u64, u64)>,
}

impl Error {
    /// An error of a code and a message: lower case, no full stop.
    pub fn new(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            context: None,
            position: None,
            line_column: None,
            object: None,
            routine: None,
        }
    }

    /// Names the function of Postgres that would say so.
    #[must_use]
    pub fn of_routine(mut self, routine: &'static str) -> Self {
        self.routine = Some(routine);
        self
    }

    /// Adds what lies behind the error.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a sentence one can act on.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says where in the data it happened.
    #[must_use]
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Points at a character of the text, from 1.
    #[must_use]
    pub fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    /// Points at a line and a column, both from 1.
    #[must_use]
    pub fn at_line_column(mut self, line: u64, column: u64) -> Self {
        self.line_column = (line > 0 && column > 0).then_some((line, column));
        self
    }

    /// Turns line and column into a position in `text`.
    #[must_use]
    pub fn locate(mut self, text: &str) -> Self {
        if let (None, Some((line, column))) = (self.position, self.line_column) {
            let lines = usize::try_from(line - 1).unwrap_or(usize::MAX);
            let before: usize =
                text.split('\n').take(lines).map(|line| line.chars().count() + 1).sum();
            let position = before + usize::try_from(column).unwrap_or(0);
            self.position = (position <= text.chars().count() + 1).then_some(position);
        }
        self
    }

    /// What failed.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// More about it.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Where in the data.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// Where in the text, counted in characters from 1.
    pub fn position(&self) -> Option<usize> {
        self.position
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<catalog::Error> for Error {
    fn from(error: catalog::Error) -> Self {
        crate::engine_error::from_catalog(&error)
    }
}

impl From<datafusion::error::DataFusionError> for Error {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        crate::engine_error::from_engine(&error)
    }
}

impl From<datafusion::arrow::error::ArrowError> for Error {
    fn from(error: datafusion::arrow::error::ArrowError) -> Self {
        crate::engine_error::from_arrow(&error)
    }
}

impl From<sql::Error> for Error {
    fn from(error: sql::Error) -> Self {
        crate::engine_error::from_sql(&error)
    }
}

impl From<Error> for datafusion::error::DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}
