//! Each kind of change of what exists: done, committed, and the same after reopening.

use serde_json::json;

use super::*;

/// Everything a state says, as text; a state loaded afresh must say the same.
fn text(state: &State) -> String {
    format!("{:#?}\n{:#?}", state.schemas, state.definitions)
}

/// Commits, checks that the cached state is what the database says, and gives the latter.
async fn commit(folder: &TempDir, transaction: Transaction, lake: &Arc<Lake>) -> Arc<State> {
    transaction.commit().await.unwrap();
    let cached = lake.current().await.unwrap();
    let fresh = open(folder).await;
    let state = fresh.current().await.unwrap();
    assert_eq!(text(&cached), text(&state));
    fresh.close().await;
    state
}

#[tokio::test]
async fn schemas_are_made_renamed_and_dropped() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder).await;
    let mut transaction = begin(&lake).await;
    transaction.create_schema("s").unwrap();
    transaction.create_table("s", pairs("t")).unwrap();
    let comment = Some("staging".to_owned());
    let target = CommentTarget::Schema { name: "s".into() };
    transaction.set_comment(target, comment.clone()).unwrap();
    assert_eq!(transaction.create_schema("s").unwrap_err().sqlstate(), "42P06");
    assert_eq!(transaction.drop_schema("s", false).unwrap_err().sqlstate(), "2BP01");
    let state = commit(&folder, transaction, &lake).await;
    assert_eq!(state.schemas["s"].comment, comment);
    assert_eq!(state.schemas["s"].path, "s/");

    let mut transaction = begin(&lake).await;
    transaction.rename_schema("s", "s2").unwrap();
    transaction.create_schema("s").unwrap();
    let state = commit(&folder, transaction, &lake).await;
    let renamed = &state.schemas["s2"];
    let t = renamed.relations["t"].as_table().unwrap();
    assert_eq!(t.folder(renamed), "s/t/");
    assert!(state.schemas["s"].relations.is_empty());

    let mut transaction = begin(&lake).await;
    transaction.drop_schema("s2", true).unwrap();
    let state = commit(&folder, transaction, &lake).await;
    assert_eq!(state.schemas.keys().collect::<Vec<_>>(), ["main", "s"]);
}

#[tokio::test]
async fn columns_of_nested_types_are_numbered_depth_first() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder).await;
    let element = Arc::new(Field::new("element", DataType::Float32, true));
    let vector = DataType::FixedSizeList(Arc::clone(&element), 3);
    let vector = Field::new("e", vector, true)
        .with_metadata([(TYPE_KEY.to_owned(), "vector(3)".to_owned())].into());
    let short = Field::new("s", DataType::Utf8, true)
        .with_metadata([(TYPE_KEY.to_owned(), "varchar(20)".to_owned())].into());
    let parts = vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)];
    let new = |name: &str, field: Field| NewColumn { field, ..column(name, DataType::Null) };
    let mut transaction = begin(&lake).await;
    let columns = vec![
        column("l", DataType::List(element)),
        new("e", vector),
        column("p", DataType::Struct(parts.into())),
        new("s", short),
    ];
    let table = NewTable { name: "n".to_owned(), columns, ..NewTable::default() };
    assert_eq!(table.column_ids(), [1, 3, 5, 8]);
    let made = transaction.create_table("main", table).unwrap();
    let ids: Vec<i64> = made.columns.iter().map(|c| c.id).collect();
    assert_eq!(ids, [1, 3, 5, 8]);
    let state = commit(&folder, transaction, &lake).await;
    let loaded = super::table(&state, "n");
    assert_eq!(loaded.columns, made.columns);
    assert_eq!(loaded.columns[1].field.metadata()[TYPE_KEY], "vector(3)");
    assert_eq!(loaded.columns[3].field.metadata()[TYPE_KEY], "varchar(20)");
}

#[tokio::test]
async fn tables_are_altered() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[(1, "a")]).await;
    let mut transaction = begin(&lake).await;
    let mut alter = |change| transaction.alter_table("main", "t", change).unwrap();
    let added = NewColumn { default: Some("7".to_owned()), ..column("n", DataType::Int32) };
    alter(TableChange::AddColumn(added));
    alter(TableChange::RenameColumn { name: "v".into(), to: "w".into() });
    alter(TableChange::SetDefault { name: "w".into(), default: Some("'it''s'".into()) });
    alter(TableChange::WidenColumn {
        name: "n".into(),
        field: Field::new("n", DataType::Int64, true),
    });
    alter(TableChange::SetNotNull { name: "k".into(), not_null: true });
    alter(TableChange::SetColumnComment { name: "k".into(), comment: Some("key".into()) });
    alter(TableChange::SetComment(Some("pairs".into())));
    alter(TableChange::SetPartitionedBy(vec![("k".into(), "identity".into())]));
    let key = SortKey { column: "k".into(), descending: true, nulls_first: false };
    alter(TableChange::SetSortedBy(vec![key.clone()]));
    let primary = Constraint::Unique { name: "t_pkey".into(), columns: vec![1], primary: true };
    alter(TableChange::AddConstraint(primary.clone()));
    let state = commit(&folder, transaction, &lake).await;
    let t = table(&state, "t");
    assert_eq!(t.comment.as_deref(), Some("pairs"));
    assert_eq!((t.sort_by.clone(), t.constraints.clone()), (vec![key], vec![primary]));
    assert_eq!(t.partition_by[0].column_id, 1);
    let names: Vec<_> = t.columns.iter().map(|c| (c.id, c.name.as_str())).collect();
    assert_eq!(names, [(1, "k"), (2, "w"), (3, "n")]);
    assert_eq!(t.columns[1].default.as_deref(), Some("'it''s'"));
    assert!(!t.columns[0].nullable);
    let found = lake.rows(&state, &t).await.unwrap();
    let n = found.inlined[0].batch.column(2).as_primitive::<Int64Type>().value(0);
    assert_eq!(n, 7);
}

#[tokio::test]
async fn dropped_columns_take_their_constraints_and_leave_their_id() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[(1, "a")]).await;
    let mut transaction = begin(&lake).await;
    let mut alter = |change| transaction.alter_table("main", "t", change).unwrap();
    alter(TableChange::AddColumn(column("n", DataType::Int32)));
    alter(TableChange::AddConstraint(Constraint::Unique {
        name: "t_pkey".into(),
        columns: vec![1],
        primary: true,
    }));
    alter(TableChange::SetPartitionedBy(vec![("k".into(), "identity".into())]));
    commit(&folder, transaction, &lake).await;
    let mut transaction = begin(&lake).await;
    let mut alter = |change| transaction.alter_table("main", "t", change);
    alter(TableChange::DropColumn { name: "n".into() }).unwrap();
    alter(TableChange::DropColumn { name: "k".into() }).unwrap();
    alter(TableChange::AddColumn(column("n", DataType::Utf8))).unwrap();
    let error = alter(TableChange::DropColumn { name: "x".into() }).unwrap_err();
    assert_eq!(error.sqlstate(), "42703");
    let error = alter(TableChange::AddColumn(column("v", DataType::Utf8))).unwrap_err();
    assert_eq!(error.sqlstate(), "42701");
    let state = commit(&folder, transaction, &lake).await;
    let t = table(&state, "t");
    assert_eq!(t.columns.iter().map(|c| c.id).collect::<Vec<_>>(), [2, 4]);
    assert!(t.constraints.is_empty() && t.partition_by.is_empty() && t.sort_by.is_empty());
    let found = lake.rows(&state, &t).await.unwrap();
    assert!(found.inlined[0].batch.column(1).is_null(0));
}

#[tokio::test]
async fn columns_may_have_the_names_of_the_format() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder).await;
    let mut transaction = begin(&lake).await;
    let odd = NewTable {
        name: "t".to_owned(),
        columns: vec![column("row_id", DataType::Int64), column("End_Snapshot", DataType::Utf8)],
        ..NewTable::default()
    };
    assert!(!transaction.create_table("main", odd).unwrap().can_inline());
    insert(&mut transaction, "t", &[(5, "x")]).await;
    commit(&folder, transaction, &lake).await;
    let mut transaction = begin(&lake).await;
    insert(&mut transaction, "t", &[(6, "y")]).await;
    let change = TableChange::RenameColumn { name: "row_id".into(), to: "begin_snapshot".into() };
    transaction.alter_table("main", "t", change).unwrap();
    commit(&folder, transaction, &lake).await;
    let lake = open(&folder).await;
    assert_eq!(committed(&lake, "t").await, rows(&[(5, "x"), (6, "y")]));
}

#[tokio::test]
async fn relations_are_renamed_and_moved_with_their_rows() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[(1, "a")]).await;
    let mut transaction = begin(&lake).await;
    transaction.create_schema("s").unwrap();
    transaction.rename_relation("main", "t", "old").unwrap();
    transaction.create_table("main", pairs("t")).unwrap();
    insert(&mut transaction, "t", &[(2, "b")]).await;
    transaction.move_relation("main", "old", "s").unwrap();
    let state = commit(&folder, transaction, &lake).await;
    let s = &state.schemas["s"];
    let old = s.relations["old"].as_table().unwrap();
    assert_eq!(old.folder(s), "main/t/");
    assert_eq!(contents(&lake.rows(&state, old).await.unwrap()), rows(&[(1, "a")]));
    assert_eq!(committed(&lake, "t").await, rows(&[(2, "b")]));
    let snapshots = lake.snapshots().await.unwrap();
    let changes = &snapshots.last().unwrap().changes;
    assert!(changes.contains("created_table:\"s\".\"old\""), "{changes}");
}

#[tokio::test]
async fn views_keep_text_path_and_columns() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder).await;
    let view = |sql: &str| NewView {
        name: "w".to_owned(),
        sql: sql.to_owned(),
        search_path: vec!["main".to_owned(), "x".to_owned()],
        columns: vec![Arc::new(Field::new("c", DataType::Int64, true))],
        comment: None,
    };
    let mut transaction = begin(&lake).await;
    transaction.create_view("main", view("SELECT 1 AS c"), false).unwrap();
    let target =
        CommentTarget::ViewColumn { schema: "main".into(), name: "w".into(), column: "c".into() };
    transaction.set_comment(target, Some("one".into())).unwrap();
    let state = commit(&folder, transaction, &lake).await;
    let Relation::View(loaded) = &state.schemas["main"].relations["w"] else {
        panic!("not a view");
    };
    assert_eq!(loaded.sql, "SELECT 1 AS c");
    assert_eq!(loaded.search_path, ["main", "x"]);
    assert_eq!(loaded.columns[0].name(), "c");
    assert_eq!(loaded.column_comments["c"], "one");

    let mut transaction = begin(&lake).await;
    let error = transaction.create_view("main", view("SELECT 2 AS c"), false).unwrap_err();
    assert_eq!(error.sqlstate(), "42P07");
    transaction.create_view("main", view("SELECT 2 AS c"), true).unwrap();
    transaction.rename_relation("main", "w", "w2").unwrap();
    let state = commit(&folder, transaction, &lake).await;
    assert!(state.schemas["main"].relations.contains_key("w2"));
    let mut transaction = begin(&lake).await;
    transaction.drop_relation("main", "w2").unwrap();
    let state = commit(&folder, transaction, &lake).await;
    assert!(state.schemas["main"].relations.is_empty());
}

#[tokio::test]
async fn definitions_are_kept() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder).await;
    let mut transaction = begin(&lake).await;
    transaction.define("tag", "v1", json!({"snapshot": 3}), false).unwrap();
    let error = transaction.define("tag", "v1", json!(1), false).unwrap_err();
    assert_eq!(error.sqlstate(), "42710");
    commit(&folder, transaction, &lake).await;
    let mut transaction = begin(&lake).await;
    transaction.define("tag", "v1", json!({"snapshot": 4}), true).unwrap();
    let state = commit(&folder, transaction, &lake).await;
    let key = ("tag".to_owned(), "v1".to_owned());
    assert_eq!(state.definitions[&key].body, json!({"snapshot": 4}));
    let mut transaction = begin(&lake).await;
    transaction.undefine("tag", "v1").unwrap();
    assert_eq!(transaction.undefine("tag", "v1").unwrap_err().sqlstate(), "42704");
    let state = commit(&folder, transaction, &lake).await;
    assert!(state.definitions.is_empty());
}

#[tokio::test]
async fn a_thousand_tables_load() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder).await;
    let mut transaction = begin(&lake).await;
    for index in 0..1000 {
        transaction.create_table("main", pairs(&format!("t{index}"))).unwrap();
    }
    transaction.commit().await.unwrap();
    lake.close().await;
    let lake = open(&folder).await;
    let started = std::time::Instant::now();
    let state = lake.at_snapshot(1).await.unwrap();
    println!("cached: {:?}", started.elapsed());
    assert_eq!(state.schemas["main"].relations.len(), 1000);
    let started = std::time::Instant::now();
    let mut session = lake.database.read().await.unwrap();
    let loaded = crate::metadata::load::state(&mut session, state.snapshot, &[]).await;
    println!("loaded: {:?}", started.elapsed());
    assert_eq!(loaded.unwrap().schemas["main"].relations.len(), 1000);
}
