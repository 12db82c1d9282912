//! The connection's relations as DataFusion's catalog traits: what `pg_catalog` lists.
//!
//! Names and columns only; queries are planned by `sql::plan`, which never asks this.

use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use catalog::{Relation, State};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider};
use datafusion::common::ToDFSchema;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};

/// The state that the connection sees now.
pub type Seen = Arc<RwLock<Option<Arc<State>>>>;

/// One database.
#[derive(Debug)]
pub struct Databases {
    pub name: String,
    pub seen: Seen,
}

impl CatalogProviderList for Databases {
    fn register_catalog(
        &self,
        _: String,
        _: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == self.name).then(|| Arc::new(Database(Arc::clone(&self.seen))) as _)
    }
}

#[derive(Debug)]
struct Database(Seen);

fn state(seen: &Seen) -> Option<Arc<State>> {
    seen.read().ok().and_then(|state| state.clone())
}

impl CatalogProvider for Database {
    fn schema_names(&self) -> Vec<String> {
        let own = state(&self.0).map(|s| s.schemas.keys().cloned().collect::<Vec<_>>());
        let mut names = own.unwrap_or_default();
        names.push("information_schema".into());
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let state = state(&self.0)?;
        let schema = state.schemas.get(name)?;
        Some(Arc::new(Listed(Arc::clone(schema))))
    }
}

#[derive(Debug)]
struct Listed(Arc<catalog::Schema>);

#[async_trait]
impl SchemaProvider for Listed {
    fn table_names(&self) -> Vec<String> {
        self.0.relations.keys().cloned().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.0.relations.get(name) {
            None => Ok(None),
            Some(Relation::Table(table)) => {
                Ok(Some(Arc::new(EmptyTable::new(table.arrow_schema()))))
            }
            Some(Relation::View(view)) => {
                let schema: SchemaRef = Arc::new(Schema::new(view.columns.clone()));
                let empty = LogicalPlan::EmptyRelation(EmptyRelation {
                    produce_one_row: false,
                    schema: schema.to_dfschema_ref()?,
                });
                Ok(Some(Arc::new(ViewTable::new(empty, Some(view.sql.clone())))))
            }
        }
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.0.relations.get(name).map(|relation| match relation {
            Relation::Table(_) => TableType::Base,
            Relation::View(_) => TableType::View,
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.relations.contains_key(name)
    }
}
