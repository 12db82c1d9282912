//! Two transactions from one snapshot: pairs that commute and pairs of which the second fails.

use serde_json::json;

use super::*;

/// A step of one of the two transactions, on a lake with `t` = (1, a), (2, b) and a view `w`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Insert,
    InsertDepending,
    DeleteOne,
    DeleteTwo,
    UpdateOne,
    Truncate,
    AddColumn,
    SetNotNull,
    Rename,
    Drop,
    CreateSame,
    CreateOther,
    Comment,
    Define,
    DropSchema,
    CreateInSchema,
    RenameSchema,
    ReplaceView,
    ViewOfTable,
    /// The view goes with something it depends on.
    DropViewToo,
    DropView,
    /// Every view is written anew.
    Follow,
}

/// Stands for a writer of queries.
fn followers(state: &State, _: (&str, &str), (_, to): (&str, &str)) -> Vec<Rewritten> {
    let relations = state.schemas.values().flat_map(|schema| schema.relations.values());
    let views = relations.filter_map(|relation| match relation {
        Relation::View(view) => Some((view.id, format!("{}, {to}", view.sql))),
        Relation::Table(_) => None,
    });
    views.map(|(id, sql)| Rewritten::Query { id, sql }).collect()
}

/// Stands for a reader of queries: "t" is what every view of a table names.
fn names(_: &State, relation: &Relation, schema: &str, name: &str) -> bool {
    let named = matches!(relation, Relation::View(view) if view.sql == "TABLE t");
    named && (schema, name) == ("main", "t")
}

async fn step(transaction: &mut Transaction, step: Step, name: &str) {
    let t = table(transaction.state(), "t").id;
    let mut alter = |change| transaction.alter_table("main", "t", change).unwrap();
    match step {
        Step::AddColumn => return alter(TableChange::AddColumn(column(name, DataType::Int64))),
        Step::SetNotNull => {
            return alter(TableChange::SetNotNull { name: "k".into(), not_null: true });
        }
        Step::Comment => return alter(TableChange::SetComment(Some(name.to_owned()))),
        _ => {}
    }
    match step {
        Step::Insert => insert(transaction, "t", &[(9, name)]).await,
        Step::InsertDepending => {
            transaction.depends_on(t);
            insert(transaction, "t", &[(8, name)]).await;
        }
        Step::DeleteOne => assert_eq!(delete(transaction, "t", &[1]).await, 1),
        Step::DeleteTwo => assert_eq!(delete(transaction, "t", &[2]).await, 1),
        Step::UpdateOne => {
            assert_eq!(delete(transaction, "t", &[1]).await, 1);
            insert(transaction, "t", &[(1, name)]).await;
        }
        Step::Truncate => transaction.truncate(t),
        Step::Rename => {
            transaction.gives_up("main", "t", names);
            transaction.rename_relation("main", "t", name).unwrap();
        }
        Step::Drop => {
            transaction.gives_up("main", "t", names);
            transaction.drop_relation("main", "t").unwrap();
        }
        Step::CreateSame => _ = transaction.create_table("main", pairs("same")).unwrap(),
        Step::CreateOther => _ = transaction.create_table("main", pairs(name)).unwrap(),
        Step::Define => transaction.define("tag", "x", json!(name), true).unwrap(),
        Step::DropSchema => transaction.drop_schema("s", true).unwrap(),
        Step::CreateInSchema => _ = transaction.create_table("s", pairs(name)).unwrap(),
        Step::RenameSchema => transaction.rename_schema("s", name).unwrap(),
        Step::ReplaceView => {
            transaction.create_view("main", view("w", format!("SELECT '{name}'")), true).unwrap();
        }
        Step::ViewOfTable => {
            transaction.create_view("main", view(name, "TABLE t".into()), false).unwrap();
            transaction.query_names(t);
        }
        Step::DropView => transaction.drop_relation("main", "w").unwrap(),
        Step::DropViewToo => transaction.drop_dependent("main", "w").unwrap(),
        Step::Follow => {
            transaction.follow(("main", Some("t")), ("main", Some(name)), followers).unwrap()
        }
        Step::AddColumn | Step::SetNotNull | Step::Comment => {}
    }
}

fn view(name: &str, sql: String) -> NewView {
    let (name, search_path, columns) = (name.to_owned(), Vec::new(), Vec::new());
    NewView { name, sql, search_path, columns, comment: None }
}

/// Whether the second transaction commits after the first.
async fn commutes(first: Step, second: Step) -> bool {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[(1, "a"), (2, "b")]).await;
    let mut setup = begin(&lake).await;
    setup.create_schema("s").unwrap();
    step(&mut setup, Step::ReplaceView, "base").await;
    setup.commit().await.unwrap();
    let (mut one, mut two) = (begin(&lake).await, begin(&lake).await);
    step(&mut one, first, "first").await;
    step(&mut two, second, "second").await;
    one.commit().await.unwrap();
    let before = lake.current().await.unwrap().snapshot.id;
    let outcome = two.commit().await;
    let after = lake.current().await.unwrap().snapshot.id;
    match outcome {
        Ok(snapshot) => {
            assert_eq!((snapshot, after), (before + 1, before + 1));
            true
        }
        Err(error) => {
            assert_eq!(error.sqlstate(), "40001", "{first:?}, {second:?}: {error}");
            assert_eq!(after, before, "a failed commit leaves nothing");
            false
        }
    }
}

#[tokio::test]
async fn commuting_pairs_commit() {
    use Step::*;
    for (first, second) in [
        (Insert, Insert),
        (Insert, DeleteOne),
        (DeleteOne, Insert),
        (DeleteOne, DeleteTwo),
        (UpdateOne, DeleteTwo),
        (Insert, AddColumn),
        (Insert, Rename),
        (Insert, Drop),
        (CreateOther, CreateOther),
        (CreateOther, UpdateOne),
        (CreateOther, Truncate),
        (Define, Insert),
        (Truncate, Insert),
        (CreateInSchema, CreateInSchema),
        (CreateInSchema, RenameSchema),
        (ReplaceView, Insert),
        (ViewOfTable, ViewOfTable),
        (ViewOfTable, Insert),
        (AddColumn, ViewOfTable),
        (ReplaceView, Drop),
        (DropViewToo, DropViewToo),
        (DropView, DropViewToo),
        (Follow, Follow),
        (ReplaceView, Follow),
        (DropView, Follow),
    ] {
        assert!(commutes(first, second).await, "{first:?} then {second:?}");
    }
}

#[tokio::test]
async fn conflicting_pairs_fail() {
    use Step::*;
    for (first, second) in [
        (DeleteOne, DeleteOne),
        (UpdateOne, UpdateOne),
        (UpdateOne, DeleteOne),
        (Truncate, DeleteOne),
        (Insert, Truncate),
        (DeleteOne, Truncate),
        (Insert, InsertDepending),
        (DeleteOne, InsertDepending),
        (Insert, SetNotNull),
        (AddColumn, Insert),
        (AddColumn, AddColumn),
        (Rename, Insert),
        (Rename, Rename),
        (Drop, Insert),
        (Drop, DeleteOne),
        (Drop, Drop),
        (Drop, AddColumn),
        (Comment, Comment),
        (CreateSame, CreateSame),
        (Define, Define),
        (CreateInSchema, DropSchema),
        (DropSchema, CreateInSchema),
        (RenameSchema, CreateInSchema),
        (ReplaceView, ReplaceView),
        (ViewOfTable, Drop),
        (Drop, ViewOfTable),
        (ViewOfTable, Rename),
        (Rename, ViewOfTable),
        (DropViewToo, DropView),
        (DropView, DropView),
        (ReplaceView, DropViewToo),
        (Follow, DropViewToo),
    ] {
        assert!(!commutes(first, second).await, "{first:?} then {second:?}");
    }
}

#[tokio::test]
async fn both_of_two_who_write_a_view_anew_are_seen() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[(1, "a")]).await;
    let mut setup = begin(&lake).await;
    step(&mut setup, Step::ReplaceView, "base").await;
    setup.commit().await.unwrap();
    let (mut one, mut two) = (begin(&lake).await, begin(&lake).await);
    step(&mut one, Step::Follow, "first").await;
    step(&mut two, Step::Follow, "second").await;
    one.commit().await.unwrap();
    two.commit().await.unwrap();
    for state in [lake.current().await.unwrap(), open(&folder).await.current().await.unwrap()] {
        let Relation::View(view) = &state.schemas["main"].relations["w"] else { panic!() };
        assert_eq!(view.sql, "SELECT 'base', first, second");
    }
}
