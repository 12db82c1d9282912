//! What can be asked of a model.

use std::sync::Arc;

use catalog::types::VectorType;
use datafusion::arrow::datatypes::{DataType, Field};
use kernels::vectors::Kind;

use super::library::{Engine, Opened};
use super::target::Target;
use crate::error::{Error, Result};

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Asked {
    /// A number, or the class.
    Predict,
    /// The probability of the positive class, or those of all.
    Probability,
    /// What rows are ranked by.
    Score,
    User,
    Item,
}

/// What a call gives of a user or item beside the key; the rest is that of the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct With {
    pub features: bool,
    pub history: bool,
    /// Both come from a service, and with them whether it knows the user.
    pub service: bool,
}

impl Asked {
    /// The name of the function that asks for it.
    pub fn function(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Probability => "predict_proba",
            Self::Score => "rank_score",
            Self::User => "embed_user",
            Self::Item => "embed_item",
        }
    }

    pub fn of(function: &str) -> Option<Self> {
        let all = [Self::Predict, Self::Probability, Self::Score, Self::User, Self::Item];
        all.into_iter().find(|asked| asked.function() == function)
    }

    /// Whether it is about a user or an item.
    pub fn embeds(self) -> bool {
        matches!(self, Self::User | Self::Item)
    }

    /// The type of the answer, and its name where that is not the type's own.
    ///
    /// # Errors
    /// 42809 where the model has no such answer.
    pub fn answer(self, name: &str, model: &Opened) -> Result<(DataType, Option<String>)> {
        let wrong = |what: &str, hint: &str| {
            Err(Error::new("42809", format!("model \"{name}\" {what}")).with_hint(hint))
        };
        let plain = |of: DataType| Ok((of, None));
        let (target, ranks) = match (&model.engine, self.embeds()) {
            (Engine::Retrieval { model, .. }, true) => {
                let of = VectorType { kind: Kind::Single, dimension: Some(model.dim()) };
                return Ok((of.data_type(), Some(of.name())));
            }
            (Engine::Retrieval { .. }, false) => {
                return wrong("gives vectors", "embed_user() and embed_item() ask for them.");
            }
            (Engine::Tabular { .. }, true) => {
                return wrong("gives no vectors", "predict() and predict_proba() ask it.");
            }
            (Engine::Tabular { target, ranks, .. }, false) => (target, *ranks),
        };
        match (self, target) {
            (Self::Predict, Target::Classes { data_type, .. }) => plain(data_type.arrow()),
            (Self::Predict, Target::Number) => plain(DataType::Float64),
            (Self::Probability, Target::Number) => match ranks {
                true => wrong("gives scores", "rank_score() asks for them."),
                false => wrong("predicts numbers", "predict() asks for them."),
            },
            (Self::Score, Target::Classes { values, .. }) if values.len() > 2 => {
                wrong("has several classes", "predict_proba() gives the score of each.")
            }
            (Self::Probability, Target::Classes { values, .. }) if values.len() > 2 => {
                let item = Field::new_list_field(DataType::Float64, true);
                plain(DataType::List(Arc::new(item)))
            }
            _ => plain(DataType::Float64),
        }
    }
}
