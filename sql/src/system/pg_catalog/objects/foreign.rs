//! External tables as what Postgres calls foreign tables: of one server, which is files.

use catalog::Relation;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use super::{Objects, text};
use crate::statements::external::{self, is_foreign};
use crate::system::oid;
use crate::system::pg_catalog::Row;

/// The name of the server and of what reads from it.
const FILES: &str = "files";

fn server() -> i64 {
    oid::of_name("server files")
}

fn wrapper() -> i64 {
    oid::of_name("wrapper files")
}

impl Objects<'_> {
    pub(super) fn foreign_tables(&self) -> Vec<Row> {
        let row = |placed: super::Placed<'_>| {
            let Relation::View(view) = placed.relation else { return None };
            let key = (external::KIND.to_owned(), view.uuid.clone());
            let definition = self.lakes.main.state().definitions.get(&key)?;
            is_foreign(view).then(|| {
                let options = external::options(definition).into_iter();
                let options =
                    options.map(|(name, value)| ScalarValue::from(format!("{name}={value}")));
                let options: Vec<ScalarValue> = options.collect();
                let list = ScalarValue::new_list_nullable(&options, &DataType::Utf8);
                vec![
                    ("ftrelid", placed.oid.into()),
                    ("ftserver", server().into()),
                    ("ftoptions", ScalarValue::List(list)),
                ]
            })
        };
        self.relations().into_iter().filter_map(row).collect()
    }

    pub(super) fn foreign_servers(&self) -> Vec<Row> {
        self.where_used(vec![
            ("oid", server().into()),
            ("srvname", text(FILES)),
            ("srvowner", oid::OWNER.into()),
            ("srvfdw", wrapper().into()),
        ])
    }

    pub(super) fn foreign_wrappers(&self) -> Vec<Row> {
        self.where_used(vec![
            ("oid", wrapper().into()),
            ("fdwname", text(FILES)),
            ("fdwowner", oid::OWNER.into()),
        ])
    }

    /// Shown only where a table is of it: none was made by anybody.
    fn where_used(&self, row: Row) -> Vec<Row> {
        let used = !self.foreign_tables().is_empty();
        used.then_some(row).into_iter().collect()
    }
}
