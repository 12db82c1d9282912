//! The process dies in the middle of a commit, or the disk does not take part.

use std::process::Command;

use super::*;

/// Set for the process that is to die.
const VICTIM: &str = "SEXTANT_TEST_VICTIM";

/// Runs only as the process that `killed_at` starts.
#[tokio::test]
async fn victim() {
    let Ok(path) = std::env::var(VICTIM) else {
        return;
    };
    let lake = Lake::open(LakeOptions::new(path)).await.unwrap();
    let mut transaction = begin(&lake).await;
    insert(&mut transaction, "t", &[(2, "b")]).await;
    delete(&mut transaction, "t", &[1]).await;
    transaction.create_table("main", pairs("u")).unwrap();
    transaction.commit().await.unwrap();
}

async fn killed_at(step: &str) -> (Rows, usize) {
    let folder = TempDir::new().unwrap();
    let options = LakeOptions::new(folder.path().display().to_string());
    let lake = Lake::open(options.clone()).await.unwrap();
    let mut transaction = begin(&lake).await;
    transaction.create_table("main", pairs("t")).unwrap();
    insert(&mut transaction, "t", &[(1, "a")]).await;
    transaction.commit().await.unwrap();
    lake.close().await;
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::failures::victim"])
        .env(VICTIM, folder.path())
        .env("SEXTANT_FAULT", step)
        .output()
        .unwrap();
    assert!(!done.status.success(), "it was to die at {step}");
    let lake = Lake::open(options).await.unwrap();
    let tables = lake.current().await.unwrap().schemas["main"].relations.len();
    (committed(&lake, "t").await, tables)
}

#[tokio::test]
async fn a_killed_commit_is_there_whole_or_not_at_all() {
    for step in ["before-begin", "before-commit"] {
        assert_eq!(killed_at(step).await, (rows(&[(1, "a")]), 1), "{step}");
    }
    assert_eq!(killed_at("after-commit").await, (rows(&[(2, "b")]), 2));
}

/// Runs only as the process that `upkeep_killed_at` starts.
#[tokio::test]
async fn upkeep_victim() {
    let Ok(path) = std::env::var(VICTIM) else {
        return;
    };
    let lake = Lake::open(LakeOptions::new(path)).await.unwrap();
    let id = table(&lake.current().await.unwrap(), "t").id;
    lake.flush(id).await.unwrap();
}

/// Rows kept in the catalog, files, and rows in all after a flush was killed.
async fn upkeep_killed_at(step: &str) -> (u64, usize, u64) {
    let folder = TempDir::new().unwrap();
    let options = LakeOptions::new(folder.path().display().to_string());
    let lake = lake_with(&folder, &[(1, "a"), (2, "b")]).await;
    lake.close().await;
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::failures::upkeep_victim"])
        .env(VICTIM, folder.path())
        .env("SEXTANT_FAULT", format!("upkeep-{step}"))
        .output()
        .unwrap();
    assert!(!done.status.success(), "it was to die at {step}");
    let lake = Lake::open(options).await.unwrap();
    let kept = lake.kept().await.unwrap().iter().map(|kept| kept.rows).sum();
    let state = lake.current().await.unwrap();
    let found = lake.rows(&state, &table(&state, "t")).await.unwrap();
    let (files, count) = (found.files.len(), found.count());
    // What the dead process has left blocks nothing.
    lake.flush(table(&state, "t").id).await.unwrap();
    (kept, files, count)
}

#[tokio::test]
async fn a_killed_flush_is_done_whole_or_not_at_all() {
    if std::env::var(super::POSTGRES).is_ok() {
        return; // The victim opens the SQLite file of the folder.
    }
    for step in ["before-begin", "before-commit"] {
        assert_eq!(upkeep_killed_at(step).await, (2, 0, 2), "{step}");
    }
    assert_eq!(upkeep_killed_at("after-commit").await, (0, 1, 2));
}

#[tokio::test]
async fn orphans_are_removed_when_they_are_old_and_nothing_else_is() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[(1, "a")]).await;
    let id = table(&lake.current().await.unwrap(), "t").id;
    lake.flush(id).await.unwrap();
    let t = folder.path().join("main/t");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 24 * 3600);
    for entry in std::fs::read_dir(&t).unwrap() {
        let file = std::fs::File::open(entry.unwrap().path()).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    for (name, old) in [
        ("ducklake-old.parquet", true),
        ("ducklake-new.parquet", false),
        ("of-somebody-else.parquet", true),
    ] {
        let file = std::fs::File::create(t.join(name)).unwrap();
        if old {
            file.set_modified(long_ago).unwrap();
        }
    }
    let removed = lake.clean_up(std::time::Duration::ZERO).await.unwrap();
    assert_eq!(removed, Removed { files: 0, orphans: 1 });
    assert!(!t.join("ducklake-old.parquet").exists());
    assert!(t.join("ducklake-new.parquet").exists());
    assert!(t.join("of-somebody-else.parquet").exists());
    assert_eq!(
        lake.rows(&lake.current().await.unwrap(), &table(&lake.current().await.unwrap(), "t"))
            .await
            .unwrap()
            .count(),
        1
    );
}

#[tokio::test]
async fn a_data_path_that_cannot_be_used_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("lake").display().to_string();
    let error = Lake::open(LakeOptions::new(below)).await.unwrap_err();
    assert_eq!(error.sqlstate(), "58030");
    let error = Lake::open(LakeOptions::new("ftp://host/x")).await.unwrap_err();
    assert_eq!(error.sqlstate(), "22023");
    let options = LakeOptions {
        catalog: Some(file.join("c.sqlite").display().to_string()),
        ..LakeOptions::new(folder.path().display().to_string())
    };
    let error = Lake::open(options).await.unwrap_err();
    assert!(error.to_string().contains("c.sqlite"), "{error}");
    let error = Lake::open(LakeOptions::new("s3://bucket/x")).await.unwrap_err();
    assert!(error.to_string().contains("needs a catalog database"), "{error}");
}

#[tokio::test]
async fn a_full_disk_fails_one_commit_and_not_the_next() {
    let folder = TempDir::new().unwrap();
    let options = LakeOptions::new(folder.path().display().to_string());
    let lake = Lake::open(options).await.unwrap();
    let mut transaction = begin(&lake).await;
    transaction.create_table("main", pairs("t")).unwrap();
    transaction.commit().await.unwrap();
    // The database may not grow: for SQLite the same as a disk without space.
    let mut session = lake.database.write().await.unwrap();
    session.query("PRAGMA max_page_count = 1", &[]).await.unwrap();
    session.commit().await.unwrap();
    let many: Vec<(i64, &str)> = (0..1000).map(|key| (key, "a long enough value")).collect();
    let mut transaction = begin(&lake).await;
    insert(&mut transaction, "t", &many).await;
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.sqlstate(), "53100", "{error}");
    assert_eq!(committed(&lake, "t").await, rows(&[]));
    let mut transaction = begin(&lake).await;
    insert(&mut transaction, "t", &many).await;
    transaction.commit().await.unwrap();
    assert_eq!(committed(&lake, "t").await, rows(&many));
}
