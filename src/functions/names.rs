//! Functions that answer a name of the connection: of its user, of its database. Their type is
//! `name`, as in Postgres; none of them is ever NULL.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use catalog::TYPE_KEY;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::session::{SharedWho, Who};

/// The functions of a connection to `database`.
pub(super) fn functions(who: &SharedWho, database: &str) -> Vec<ScalarUDF> {
    let of_who = |name, pick: fn(&Who) -> String| {
        let who = Arc::clone(who);
        Name::function(name, move || who.read().map(|who| pick(&who)).unwrap_or_default())
    };
    let of_database = |name| {
        let database = database.to_owned();
        Name::function(name, move || database.clone())
    };
    vec![
        of_who("current_user", |who| who.current.clone()),
        of_who("current_role", |who| who.current.clone()),
        of_who("session_user", |who| who.session.clone()),
        of_who("user", |who| who.current.clone()),
        of_database("current_database"),
        of_database("current_catalog"),
    ]
}

type Answer = dyn Fn() -> String + Send + Sync;

struct Name {
    name: &'static str,
    answer: Arc<Answer>,
    signature: Signature,
}

impl Name {
    fn function(
        name: &'static str,
        answer: impl Fn() -> String + Send + Sync + 'static,
    ) -> ScalarUDF {
        let signature = Signature::nullary(Volatility::Stable);
        ScalarUDF::from(Self { name, answer: Arc::new(answer), signature })
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.answer, &other.answer)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Name {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let tag = [(TYPE_KEY.to_owned(), "name".to_owned())];
        Ok(Arc::new(Field::new(self.name, DataType::Utf8, true).with_metadata(tag.into())))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some((self.answer)()))))
    }
}
