//! One writer: what is committed is there, also after reopening; what is not, is not.

use super::*;

#[tokio::test]
async fn an_empty_lake_is_made_and_opened_again() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder).await;
    assert_eq!(lake.current().await.unwrap().snapshot.id, 0);
    lake.close().await;
    let lake = open(&folder).await;
    let state = lake.current().await.unwrap();
    assert_eq!(state.schemas.keys().collect::<Vec<_>>(), ["main"]);
    let snapshots = lake.snapshots().await.unwrap();
    assert_eq!(snapshots[0].changes, "created_schema:\"main\"");
}

#[tokio::test]
async fn own_changes_are_seen_before_and_by_all_after_commit() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[(1, "a"), (2, "b")]).await;
    let mut transaction = begin(&lake).await;
    insert(&mut transaction, "t", &[(3, "c"), (4, "d")]).await;
    assert_eq!(delete(&mut transaction, "t", &[1, 4]).await, 2);
    assert_eq!(seen(&transaction, "t").await, rows(&[(2, "b"), (3, "c")]));
    assert_eq!(committed(&lake, "t").await, rows(&[(1, "a"), (2, "b")]));
    transaction.commit().await.unwrap();
    assert_eq!(committed(&lake, "t").await, rows(&[(2, "b"), (3, "c")]));
    lake.close().await;
    let lake = open(&folder).await;
    assert_eq!(committed(&lake, "t").await, rows(&[(2, "b"), (3, "c")]));
}

#[tokio::test]
async fn savepoints_undo_rows_and_objects() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[(1, "a")]).await;
    let mut transaction = begin(&lake).await;
    insert(&mut transaction, "t", &[(2, "b")]).await;
    transaction.savepoint("s");
    insert(&mut transaction, "t", &[(3, "c")]).await;
    delete(&mut transaction, "t", &[1, 2]).await;
    transaction.create_table("main", pairs("u")).unwrap();
    assert_eq!(seen(&transaction, "t").await, rows(&[(3, "c")]));
    transaction.rollback_to("s").unwrap();
    assert_eq!(seen(&transaction, "t").await, rows(&[(1, "a"), (2, "b")]));
    assert!(!transaction.state().schemas["main"].relations.contains_key("u"));
    transaction.rollback_to("s").unwrap();
    transaction.release("s").unwrap();
    let error = transaction.release("s").unwrap_err();
    assert_eq!(error.sqlstate(), "3B001");
    transaction.commit().await.unwrap();
    assert_eq!(committed(&lake, "t").await, rows(&[(1, "a"), (2, "b")]));
}

#[tokio::test]
async fn old_snapshots_can_be_read() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[(1, "a")]).await;
    let first = lake.current().await.unwrap();
    let mut transaction = begin(&lake).await;
    delete(&mut transaction, "t", &[1]).await;
    insert(&mut transaction, "t", &[(1, "z")]).await;
    transaction.commit().await.unwrap();
    let mut transaction = begin(&lake).await;
    transaction.drop_relation("main", "t").unwrap();
    transaction.commit().await.unwrap();
    lake.close().await;
    let lake = open(&folder).await;
    let old = lake.at_snapshot(first.snapshot.id).await.unwrap();
    let found = lake.rows(&old, &table(&old, "t")).await.unwrap();
    assert_eq!(contents(&found), rows(&[(1, "a")]));
    let at = lake.at_time(first.snapshot.time_us).await.unwrap();
    assert_eq!(at.snapshot.id, first.snapshot.id);
    let error = lake.at_snapshot(99).await.unwrap_err();
    assert!(matches!(error, Error::UndefinedSnapshot { id: 99 }));
    let error = lake.at_time(0).await.unwrap_err();
    assert_eq!(error.sqlstate(), "22023");
    let state = lake.current().await.unwrap();
    assert!(state.schemas["main"].relations.is_empty());
}

#[tokio::test]
async fn truncate_clears_committed_and_own_rows() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[(1, "a"), (2, "b")]).await;
    let mut transaction = begin(&lake).await;
    insert(&mut transaction, "t", &[(3, "c")]).await;
    let id = table(transaction.state(), "t").id;
    transaction.truncate(id);
    assert_eq!(seen(&transaction, "t").await, rows(&[]));
    insert(&mut transaction, "t", &[(4, "d")]).await;
    assert_eq!(seen(&transaction, "t").await, rows(&[(4, "d")]));
    transaction.commit().await.unwrap();
    assert_eq!(committed(&lake, "t").await, rows(&[(4, "d")]));
    lake.close().await;
    assert_eq!(committed(&*open(&folder).await, "t").await, rows(&[(4, "d")]));
}

#[tokio::test]
async fn many_small_inserts_stay_a_few_batches() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[]).await;
    for key in 0..200 {
        let mut transaction = begin(&lake).await;
        insert(&mut transaction, "t", &[(key, "x")]).await;
        transaction.commit().await.unwrap();
    }
    let state = lake.current().await.unwrap();
    let found = lake.rows(&state, &table(&state, "t")).await.unwrap();
    assert_eq!(found.count(), 200);
    assert!(found.inlined.len() <= 9, "{} batches", found.inlined.len());
}

/// A file that is registered but never opened here.
fn file(name: &str, rows: u64) -> NewFile {
    let stats = ColumnStats {
        size: 10,
        values: rows,
        nulls: 0,
        min: Some("5".to_owned()),
        max: Some("50".to_owned()),
        contains_nan: None,
    };
    NewFile {
        name: name.to_owned(),
        size: 1000,
        footer_size: 100,
        rows,
        partition_values: Vec::new(),
        stats: [(1, stats)].into_iter().collect(),
    }
}

fn positions(range: std::ops::Range<u64>) -> RoaringTreemap {
    range.collect()
}

#[tokio::test]
async fn files_and_their_deletions_survive() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[]).await;
    let mut transaction = begin(&lake).await;
    let t = table(transaction.state(), "t");
    transaction.append_files(t.id, vec![file("a.parquet", 5000), file("b.parquet", 10)]);
    let own = transaction.rows(&t).await.unwrap();
    assert_eq!(own.count(), 5010);
    transaction.delete(t.id, &BTreeMap::from([(own.files[0].id, positions(0..3))]));
    assert_eq!(transaction.rows(&t).await.unwrap().count(), 5007);
    transaction.commit().await.unwrap();

    // Few: in the database. Many: a delete file. All: the file goes.
    for (file, range, left) in [(0, 3..5, 5005), (0, 100..3000, 2105), (1, 0..10, 2095)] {
        let mut transaction = begin(&lake).await;
        let found = transaction.rows(&t).await.unwrap();
        let id = found.files[file].id;
        transaction.delete(t.id, &BTreeMap::from([(id, positions(range))]));
        assert_eq!(transaction.rows(&t).await.unwrap().count(), left);
        transaction.commit().await.unwrap();
        let state = lake.current().await.unwrap();
        assert_eq!(lake.rows(&state, &t).await.unwrap().count(), left);
        let fresh = open(&folder).await;
        let state = fresh.current().await.unwrap();
        let found = fresh.rows(&state, &t).await.unwrap();
        assert_eq!(found.count(), left);
        assert_eq!(found.files[0].path, "main/t/a.parquet");
        assert_eq!(found.files[0].row_id_start, Some(0));
        assert_eq!(found.files[0].stats[&1].max.as_deref(), Some("50"));
        fresh.close().await;
    }
}

#[tokio::test]
async fn nothing_to_do_makes_no_snapshot() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[]).await;
    let before = lake.current().await.unwrap().snapshot.id;
    let transaction = begin(&lake).await;
    assert!(transaction.is_empty());
    assert_eq!(transaction.commit().await.unwrap(), before);
    assert_eq!(lake.current().await.unwrap().snapshot.id, before);
}

#[tokio::test]
async fn another_catalog_version_is_refused() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder).await;
    let mut session = lake.database.write().await.unwrap();
    let sql = "UPDATE ducklake_metadata SET value = '0.3' WHERE key = 'version'";
    session.execute(sql, &[]).await.unwrap();
    session.commit().await.unwrap();
    lake.close().await;
    let error = Lake::open(options(&folder).await).await.unwrap_err();
    assert_eq!(error.sqlstate(), "55000");
}

#[tokio::test]
async fn other_processes_commits_are_seen_and_not_lost() {
    let folder = TempDir::new().unwrap();
    let one = lake_with(&folder, &[]).await;
    let two = open(&folder).await;
    for key in 0..20 {
        let lake = if key % 3 == 0 { &two } else { &one };
        let mut transaction = begin(lake).await;
        insert(&mut transaction, "t", &[(key, "x")]).await;
        transaction.commit().await.unwrap();
    }
    let (mut left, mut right) = (begin(&one).await, begin(&two).await);
    insert(&mut left, "t", &[(20, "x")]).await;
    insert(&mut right, "t", &[(21, "x")]).await;
    left.commit().await.unwrap();
    right.commit().await.unwrap();
    let keys: Vec<i64> = committed(&one, "t").await.iter().map(|(k, _)| *k).collect();
    assert_eq!(keys, (0..22).collect::<Vec<_>>());
    assert_eq!(committed(&one, "t").await, committed(&two, "t").await);
}

#[tokio::test]
async fn sessions_may_commit_at_the_same_time() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[]).await;
    let sessions = (0..8).map(|session| {
        let lake = Arc::clone(&lake);
        tokio::spawn(async move {
            for key in 0..10 {
                let mut transaction = begin(&lake).await;
                insert(&mut transaction, "t", &[(session * 10 + key, "x")]).await;
                transaction.commit().await.unwrap();
            }
        })
    });
    for session in sessions.collect::<Vec<_>>() {
        session.await.unwrap();
    }
    let keys: Vec<i64> = committed(&lake, "t").await.iter().map(|(k, _)| *k).collect();
    assert_eq!(keys, (0..80).collect::<Vec<_>>());
    let fresh = open(&folder).await;
    assert_eq!(committed(&fresh, "t").await, committed(&lake, "t").await);
}

#[tokio::test]
async fn what_another_commits_is_seen_at_once() {
    let folder = TempDir::new().unwrap();
    let (ours, theirs) = (lake_with(&folder, &[(1, "a")]).await, open(&folder).await);
    for n in 2..20 {
        let (writer, reader) = if n % 2 == 0 { (&theirs, &ours) } else { (&ours, &theirs) };
        let before = reader.current().await.unwrap();
        let again = reader.current().await.unwrap();
        assert!(Arc::ptr_eq(&before, &again));
        let mut transaction = begin(writer).await;
        insert(&mut transaction, "t", &[(n, "b")]).await;
        transaction.commit().await.unwrap();
        assert_eq!(reader.current().await.unwrap().snapshot.id, before.snapshot.id + 1);
        assert_eq!(committed(reader, "t").await.len() as i64, n);
    }
}
