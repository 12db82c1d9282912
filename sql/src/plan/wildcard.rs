//! Where `nope.*` stands in the text, for the error when no relation is called `nope`.

use std::ops::ControlFlow;

use datafusion::common::{Diagnostic, Span};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{
    Query, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Spanned, Statement, Visit, Visitor,
};

use super::parts;

/// Qualified wildcards of a statement, and their places.
#[derive(Default)]
pub(super) struct Wildcards {
    found: Vec<(String, Option<Span>)>,
}

impl Wildcards {
    pub(super) fn of(statement: &Statement) -> Self {
        let mut wildcards = Self::default();
        let _ = statement.visit(&mut wildcards);
        wildcards
    }

    /// Adds the place to an error that is about one of them.
    pub(super) fn locate(&self, error: DataFusionError) -> DataFusionError {
        let DataFusionError::Plan(message) = &error else { return error };
        let Some((_, qualifier)) = message.split_once("Invalid qualifier ") else { return error };
        let qualifier = qualifier.lines().next().unwrap_or_default();
        let place = self.found.iter().find(|(name, _)| name == qualifier);
        match place {
            Some((_, Some(span))) => {
                let diagnostic = Diagnostic::new_error(message.clone(), Some(*span));
                error.with_diagnostic(diagnostic)
            }
            _ => error,
        }
    }
}

impl Visitor for Wildcards {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = query.body.as_ref() else { return ControlFlow::Continue(()) };
        for item in &select.projection {
            if let SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                _,
            ) = item
                && let Ok(parts) = parts(name)
            {
                self.found.push((parts.join("."), Span::try_from_sqlparser_span(name.span())));
            }
        }
        ControlFlow::Continue(())
    }
}
