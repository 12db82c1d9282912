//! INSERT, UPDATE, DELETE, MERGE, ON CONFLICT, with rows both inlined and in files.

use super::Db;

/// Seven rows: more than are inlined.
const TABLE: &str = "create table t (id int primary key, name text, n int default 7);
    insert into t values (1,'a',1),(2,'b',2),(3,'c',3),(4,'d',4),(5,'e',null);
    insert into t (id, name) values (6,'f'); insert into t values (7, 'g', default)";

async fn with_table() -> Db {
    let db = Db::open().await;
    db.run(TABLE).await.unwrap();
    db
}

#[tokio::test]
async fn insert_reads_back_from_files_and_catalog() {
    let db = with_table().await;
    let rows = db.run("select * from t order by id").await.unwrap();
    assert_eq!(rows, ["1|a|1", "2|b|2", "3|c|3", "4|d|4", "5|e|NULL", "6|f|7", "7|g|7"]);
    assert_eq!(db.run("select count(*), max(n) from t").await.unwrap(), ["7|7"]);
}

#[tokio::test]
async fn update_and_delete_reach_both_kinds_of_rows() {
    let db = with_table().await;
    assert_eq!(db.run("update t set n = n * 10 where id in (2, 6)").await.unwrap(), ["UPDATE 2"]);
    assert_eq!(db.run("delete from t where id in (1, 7)").await.unwrap(), ["DELETE 2"]);
    let rows = db.run("select id, n from t order by id").await.unwrap();
    assert_eq!(rows, ["2|20", "3|3", "4|4", "5|NULL", "6|70"]);
    assert_eq!(db.run("update t set n = 0").await.unwrap(), ["UPDATE 5"]);
    assert_eq!(db.run("select sum(n) from t").await.unwrap(), ["0"]);
    assert_eq!(db.run("delete from t").await.unwrap(), ["DELETE 5"]);
    assert_eq!(db.run("select count(*) from t").await.unwrap(), ["0"]);
}

#[tokio::test]
async fn returning_shows_new_rows_and_for_delete_old_ones() {
    let db = with_table().await;
    let rows = db.run("update t set n = 9 where id = 3 returning id, n + 1, *").await.unwrap();
    assert_eq!(rows, ["3|10|3|c|9"]);
    assert_eq!(db.run("delete from t where id = 4 returning name").await.unwrap(), ["d"]);
    assert_eq!(db.run("insert into t values (9,'z') returning *").await.unwrap(), ["9|z|7"]);
}

#[tokio::test]
async fn update_from_and_delete_using_join() {
    let db = with_table().await;
    db.run("create table s (k int, v int); insert into s values (1, 100), (2, 200)").await.unwrap();
    let tag = db.run("update t set n = s.v from s where s.k = t.id").await.unwrap();
    assert_eq!(tag, ["UPDATE 2"]);
    let rows = db.run("select id, n from t where id < 4 order by id").await.unwrap();
    assert_eq!(rows, ["1|100", "2|200", "3|3"]);
    assert_eq!(db.run("delete from t using s where s.k = t.id").await.unwrap(), ["DELETE 2"]);
}

#[tokio::test]
async fn on_conflict_inserts_updates_or_does_nothing() {
    let db = with_table().await;
    let sql = "insert into t values (1,'x',5),(8,'y',6) on conflict (id) do nothing";
    assert_eq!(db.run(sql).await.unwrap(), ["INSERT 0 1"]);
    let sql = "insert into t values (1,'x',5),(9,'z',6)
        on conflict (id) do update set n = t.n + excluded.n, name = excluded.name";
    assert_eq!(db.run(sql).await.unwrap(), ["INSERT 0 2"]);
    let rows = db.run("select * from t where id in (1, 8, 9) order by id").await.unwrap();
    assert_eq!(rows, ["1|x|6", "8|y|6", "9|z|6"]);
    // PostgreSQL 15: the first of two equal keys is inserted, the second does nothing.
    let sql = "insert into t values (10,'one'),(10,'two') on conflict do nothing returning name";
    assert_eq!(db.run(sql).await.unwrap(), ["one"]);
    let twice = "insert into t values (11,'one'),(11,'two') on conflict (id) do update set n = 1";
    assert_eq!(db.state(twice).await, "21000");
    let wrong = "insert into t values (1,'x') on conflict (name) do nothing";
    assert_eq!(db.state(wrong).await, "42P10");
}

#[tokio::test]
async fn merge_runs_the_first_clause_that_applies() {
    let db = with_table().await;
    db.run("create table s (id int, n int); insert into s values (1, 10), (2, 20), (20, 1)")
        .await
        .unwrap();
    let sql = "merge into t using s on t.id = s.id
        when matched and s.n > 15 then delete
        when matched then update set n = s.n
        when not matched then insert (id, name) values (id, 'new')
        when not matched by source and t.id = 7 then delete
        when not matched by source and t.id = 6 then do nothing
        returning merge_action(), t.id";
    let mut rows = db.run(sql).await.unwrap();
    rows.sort();
    assert_eq!(rows, ["DELETE|2", "DELETE|7", "INSERT|20", "UPDATE|1"]);
    let rows = db.run("select id, n from t order by id").await.unwrap();
    assert_eq!(rows, ["1|10", "3|3", "4|4", "5|NULL", "6|7", "20|7"]);
    db.run("insert into s values (1, 11)").await.unwrap();
    let twice = "merge into t using s on t.id = s.id when matched then update set n = s.n";
    assert_eq!(db.state(twice).await, "21000");
}

#[tokio::test]
async fn constraints_are_checked() {
    let db = Db::open().await;
    db.run("create table c (a int not null, b varchar(3), c int check (c > 0))").await.unwrap();
    assert_eq!(db.state("insert into c values (null, 'x', 1)").await, "23502");
    assert_eq!(db.state("insert into c values (1, 'long', 1)").await, "22001");
    assert_eq!(db.state("insert into c values (1, 'x', 0)").await, "23514");
    assert_eq!(db.run("insert into c values (1, 'x', null)").await.unwrap(), ["INSERT 0 1"]);
    assert_eq!(db.state("update c set c = -1").await, "23514");
    assert_eq!(db.state("insert into c values (1, 'x', 1, 2)").await, "42601");
    assert_eq!(db.state("insert into c (nope) values (1)").await, "42703");
    assert_eq!(db.state("insert into nope values (1)").await, "42P01");
}

#[tokio::test]
async fn own_changes_are_seen_before_commit_and_savepoints_undo() {
    let db = with_table().await;
    let mut lakes = db.begin().await;
    let script = crate::parse::parse(
        "insert into t values (8, 'h', 8); delete from t where id < 7; select id from t order by id",
    );
    let mut rows = Vec::new();
    lakes.main.savepoint("s");
    for statement in script.unwrap() {
        rows = db.step(&mut lakes, &statement).await.unwrap();
    }
    assert_eq!(rows, ["7", "8"]);
    lakes.main.rollback_to("s").unwrap();
    let count = crate::parse::parse("select count(*) from t").unwrap().remove(0);
    assert_eq!(db.step(&mut lakes, &count).await.unwrap(), ["7"]);
}

#[tokio::test]
async fn columns_may_be_added_renamed_dropped_and_widened() {
    let db = with_table().await;
    db.run("alter table t add column x int default 5; alter table t rename column name to title")
        .await
        .unwrap();
    let rows = db.run("select id, title, x from t where id in (1, 7) order by id").await.unwrap();
    assert_eq!(rows, ["1|a|5", "7|g|5"]);
    db.run("alter table t drop column x; alter table t add column x text").await.unwrap();
    assert_eq!(db.run("select x from t where id = 1").await.unwrap(), ["NULL"]);
    db.run("alter table t alter column n type bigint; insert into t values (99,'big',5000000000)")
        .await
        .unwrap();
    assert_eq!(db.run("select sum(n) from t where id in (1, 99)").await.unwrap(), ["5000000001"]);
    assert_eq!(db.state("alter table t alter column n type bool").await, "42804");
    let narrowed =
        "alter table t alter column n type int using n % 1000000; delete from t where n = 1";
    db.run(narrowed).await.unwrap();
    assert_eq!(db.run("select * from t where id in (1, 99)").await.unwrap(), ["99|big|0|NULL"]);
}

#[tokio::test]
async fn old_versions_can_be_read() {
    let db = with_table().await;
    let before = db.lake.current().await.unwrap().snapshot.id;
    db.run("delete from t; drop table t").await.unwrap();
    assert_eq!(db.state("select * from t").await, "42P01");
    let sql = format!("select count(*), sum(t.n) from t version as of {before}");
    assert_eq!(db.run(&sql).await.unwrap(), ["7|24"]);
    assert_eq!(db.state("select * from t version as of 9999").await, "22023");
}

#[tokio::test]
async fn views_follow_their_tables_and_guard_them() {
    let db = with_table().await;
    db.run("create view v as select id, n + 1 as m from t; create view w (k) as select id from v")
        .await
        .unwrap();
    assert_eq!(db.run("select m from v where id = 1").await.unwrap(), ["2"]);
    assert_eq!(db.run("select count(k) from w").await.unwrap(), ["7"]);
    assert_eq!(db.state("drop table t").await, "2BP01");
    assert_eq!(db.state("insert into v values (1, 2)").await, "55000");
    db.run("drop table t cascade").await.unwrap();
    assert_eq!(db.state("select * from w").await, "42P01");
}

// PostgreSQL 15: NaN is equal to itself and greater than every number.
#[tokio::test]
async fn filters_never_lose_rows_to_statistics() {
    let db = Db::open().await;
    db.run("create table f (x float8, y real, s text)").await.unwrap();
    db.run(
        "insert into f values (1, 1, 'a'), ('NaN', 'NaN', 'b'), (-0.0, 0.0, repeat('x', 300)), \
         ('-Infinity', 3, null), (null, null, repeat('x', 299) || 'y')",
    )
    .await
    .unwrap();
    let count = async |filter: &str| {
        let rows = db.run(&format!("select count(*) from f where {filter}")).await.unwrap();
        rows[0].clone()
    };
    assert_eq!(count("x > 5").await, "1");
    assert_eq!(count("y > 5").await, "1");
    assert_eq!(count("x = 'NaN'").await, "1");
    assert_eq!(count("x = 0").await, "1");
    assert_eq!(count("x < -5").await, "1");
    assert_eq!(count("s = repeat('x', 300)").await, "1");
    assert_eq!(count("s > repeat('x', 300)").await, "1");
    assert_eq!(count("s is null").await, "1");
}
