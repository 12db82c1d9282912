//! What a call does wrong. Data never fails in a statistic, so only arguments are named here.

use datafusion::error::DataFusionError;

/// An error with its SQLSTATE, message and hint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An option that has no such value.
    #[error("{name} must be {allowed}, not {given}")]
    InvalidArgument {
        /// The option.
        name: &'static str,
        /// What it may be.
        allowed: String,
        /// What it was.
        given: String,
    },
    /// An option that is missing beside another.
    #[error("{function} needs {name}")]
    MissingArgument {
        /// The function.
        function: &'static str,
        /// The option.
        name: &'static str,
        /// What to write.
        hint: &'static str,
    },
    /// An option taken from a column.
    #[error("{name} must be a constant")]
    NotConstant {
        /// The option.
        name: &'static str,
    },
    /// Arguments of types, or of a number, that the function does not take.
    #[error("function {function}({given}) does not exist")]
    NoSuchFunction {
        /// The function.
        function: &'static str,
        /// The types given.
        given: String,
        /// How to call it.
        usage: String,
    },
    /// DISTINCT, which would drop units that happen to be alike.
    #[error("DISTINCT is not supported for {function}")]
    Distinct {
        /// The function.
        function: &'static str,
    },
    /// A vector that is none, or two that do not go together.
    #[error("{message}")]
    Vector {
        /// As pgvector raises it.
        sqlstate: &'static str,
        /// What is wrong.
        message: String,
        /// More of it.
        detail: Option<&'static str>,
    },
    /// A stored state that is not one.
    #[error("not a state of {function}")]
    InvalidState {
        /// The function that makes such states.
        function: &'static str,
    },
}

impl Error {
    /// Text or elements that are no vector.
    pub(crate) fn vector(error: &kernels::vectors::TextError) -> Self {
        let (sqlstate, message) = (error.sqlstate(), error.to_string());
        Self::Vector { sqlstate, message, detail: error.detail() }
    }

    /// The code that drivers choose their exception class by.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::InvalidArgument { .. }
            | Self::MissingArgument { .. }
            | Self::NotConstant { .. } => "22023",
            Self::NoSuchFunction { .. } => "42883",
            Self::Distinct { .. } => "0A000",
            Self::InvalidState { .. } => "22P03",
            Self::Vector { sqlstate, .. } => sqlstate,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InvalidArgument { .. } => None,
            Self::Vector { detail, .. } => detail.map(str::to_owned),
            Self::MissingArgument { hint, .. } => Some((*hint).into()),
            Self::NotConstant { name } => {
                Some(format!("Options such as {name} hold for the whole query: write the value."))
            }
            Self::NoSuchFunction { usage, .. } => Some(format!("Call it as {usage}.")),
            Self::Distinct { .. } => Some("Select the distinct units in a subquery.".into()),
            Self::InvalidState { function } => {
                Some(format!("States come from {function}; they are not made by hand."))
            }
        }
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}
