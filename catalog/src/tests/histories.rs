//! Random histories of concurrent transactions against a naive model.
//!
//! The model keeps whole copies: a transaction works on a copy of the committed tables and commits
//! when nothing it touched has changed. What it says must be what the lake does: which commits
//! fail, what each transaction reads, what is there afterwards, and what old snapshots hold.

use std::collections::BTreeSet;

use super::*;

const LAKES: u64 = 8;
const HISTORIES: u64 = 250;
const NAMES: [&str; 3] = ["a", "b", "c"];

type Row = BTreeMap<String, i64>;

#[derive(Debug, Clone, PartialEq)]
struct ModelTable {
    uid: u64,
    /// Added columns and what older rows read as.
    columns: Vec<(String, i64)>,
    rows: BTreeMap<i64, Row>,
}

type Tables = BTreeMap<String, ModelTable>;

#[derive(Debug, Clone)]
enum Ddl {
    Create(String, u64),
    Rename(u64, String),
    Drop(u64),
    Add(u64, String, i64),
}

#[derive(Debug, Clone, Default)]
struct Dml {
    deleted: BTreeSet<i64>,
    inserted: BTreeSet<i64>,
    appended: bool,
    truncated: bool,
    depends: bool,
}

#[derive(Debug, Clone)]
struct Copy {
    tables: Tables,
    ddl: Vec<Ddl>,
    dml: BTreeMap<u64, Dml>,
}

struct Open {
    real: Transaction,
    base: Tables,
    /// Commits that were there when it began.
    began: usize,
    copy: Copy,
    savepoints: Vec<Copy>,
}

/// The committed tables and, per commit, whose rows it changed.
#[derive(Default)]
struct Model {
    tables: Tables,
    log: Vec<BTreeSet<u64>>,
    past: Vec<(SnapshotId, Tables)>,
}

struct Random(u64);

impl Random {
    /// xorshift64*.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

fn by_uid(tables: &Tables, uid: u64) -> Option<(&String, &ModelTable)> {
    tables.iter().find(|(_, table)| table.uid == uid)
}

fn definition(tables: &Tables, uid: u64) -> Option<(&String, &Vec<(String, i64)>)> {
    by_uid(tables, uid).map(|(name, table)| (name, &table.columns))
}

/// False: a name is taken or the table is gone.
fn apply(tables: &mut Tables, ddl: &Ddl) -> bool {
    let name_of = |tables: &Tables, uid| by_uid(tables, uid).map(|(name, _)| name.clone());
    match ddl {
        Ddl::Create(name, uid) => {
            let table = ModelTable { uid: *uid, columns: Vec::new(), rows: BTreeMap::new() };
            !tables.contains_key(name) && tables.insert(name.clone(), table).is_none()
        }
        Ddl::Rename(uid, to) => {
            let Some(name) = name_of(tables, *uid) else {
                return false;
            };
            let table = tables.remove(&name).unwrap();
            !tables.contains_key(to) && tables.insert(to.clone(), table).is_none()
        }
        Ddl::Drop(uid) => name_of(tables, *uid).is_some_and(|name| tables.remove(&name).is_some()),
        Ddl::Add(uid, column, default) => {
            let Some(name) = name_of(tables, *uid) else {
                return false;
            };
            let table = tables.get_mut(&name).unwrap();
            table.columns.push((column.clone(), *default));
            for row in table.rows.values_mut() {
                row.insert(column.clone(), *default);
            }
            true
        }
    }
}

impl Copy {
    fn is_empty(&self) -> bool {
        let nothing = |dml: &Dml| !dml.truncated && !dml.appended && dml.deleted.is_empty();
        self.ddl.is_empty() && self.dml.values().all(nothing)
    }
}

impl Model {
    /// The tables after a commit; None: it conflicts.
    fn commit(&self, open: &Open) -> Option<(Tables, BTreeSet<u64>)> {
        let (base, copy) = (&open.base, &open.copy);
        let since: BTreeSet<u64> = self.log[open.began..].iter().flatten().copied().collect();
        let altered = |uid: u64| {
            let old = definition(base, uid);
            old.is_some() && old != definition(&self.tables, uid)
        };
        let mut next = self.tables.clone();
        for ddl in &copy.ddl {
            let touched = match ddl {
                Ddl::Create(..) => None,
                Ddl::Rename(uid, _) | Ddl::Drop(uid) | Ddl::Add(uid, ..) => Some(*uid),
            };
            if touched.is_some_and(altered) || !apply(&mut next, ddl) {
                return None;
            }
        }
        let mut changed = BTreeSet::new();
        for (uid, dml) in &copy.dml {
            let empty = !dml.truncated && !dml.appended && dml.deleted.is_empty();
            if empty && !dml.depends {
                continue;
            }
            if altered(*uid) || (since.contains(uid) && (dml.truncated || dml.depends)) {
                return None;
            }
            let (name, work) = by_uid(&copy.tables, *uid)?;
            let table = next.get_mut(name)?;
            if dml.truncated {
                table.rows.clear();
                changed.insert(*uid);
            }
            for key in &dml.deleted {
                table.rows.remove(key)?;
                changed.insert(*uid);
            }
            for key in &dml.inserted {
                if let Some(row) = work.rows.get(key) {
                    table.rows.insert(*key, row.clone());
                    changed.insert(*uid);
                }
            }
        }
        Some((next, changed))
    }
}

fn real_batch(table: &Table, rows: &[(i64, Row)]) -> RecordBatch {
    let keys = Int64Array::from_iter_values(rows.iter().map(|(k, _)| *k));
    let mut arrays: Vec<Arc<dyn Array>> = vec![Arc::new(keys)];
    for column in &table.columns[1..] {
        let values = rows.iter().map(|(_, row)| row[&column.name]);
        arrays.push(Arc::new(Int64Array::from_iter_values(values)));
    }
    RecordBatch::try_new(table.arrow_schema(), arrays).unwrap()
}

fn real_rows(table: &Table, rows: &TableRows) -> BTreeMap<i64, Row> {
    let mut found = BTreeMap::new();
    for chunk in &rows.inlined {
        let array = |index| chunk.batch.column(index).as_primitive::<Int64Type>();
        for row in 0..chunk.batch.num_rows() {
            let named = table.columns.iter().enumerate().skip(1);
            let values = named.map(|(i, column)| (column.name.clone(), array(i).value(row)));
            let before = found.insert(array(0).value(row), values.collect());
            assert!(before.is_none(), "a row is there twice");
        }
    }
    found
}

/// All tables of a state as the model writes them, less the uids.
async fn compare(lake: &Lake, state: &State, tables: &Tables) {
    let relations = &state.schemas["main"].relations;
    assert_eq!(relations.keys().collect::<Vec<_>>(), tables.keys().collect::<Vec<_>>());
    for (name, table) in tables {
        let real = relations[name].as_table().unwrap();
        let rows = lake.rows(state, real).await.unwrap();
        assert_eq!(real_rows(real, &rows), table.rows, "rows of {name}");
    }
}

struct Driver {
    random: Random,
    next: i64,
}

impl Driver {
    fn fresh(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    fn pick(&mut self, open: &Open) -> Option<(String, u64)> {
        let names: Vec<_> = open.copy.tables.iter().map(|(n, t)| (n.clone(), t.uid)).collect();
        let bound = names.len() as u64;
        (bound > 0).then(|| names[self.random.below(bound) as usize].clone())
    }

    async fn step(&mut self, open: &mut Open) {
        match self.random.below(16) {
            0..=5 => self.insert(open),
            6..=8 => self.delete(open).await,
            9 => self.ddl(open),
            10 => self.mark(open),
            11 => {
                open.real.savepoint("s");
                open.savepoints.push(open.copy.clone());
            }
            12 => {
                if let Some(copy) = open.savepoints.last() {
                    open.real.rollback_to("s").unwrap();
                    open.copy = copy.clone();
                }
            }
            _ => self.read(open).await,
        }
    }

    fn insert(&mut self, open: &mut Open) {
        let Some((name, uid)) = self.pick(open) else {
            return;
        };
        let columns = open.copy.tables[&name].columns.clone();
        let mut rows = Vec::new();
        for _ in 0..=self.random.below(3) {
            let key = self.fresh();
            let row: Row = columns.iter().map(|(c, _)| (c.clone(), self.fresh())).collect();
            rows.push((key, row));
        }
        let real = table(open.real.state(), &name);
        open.real.append_rows(real.id, real_batch(&real, &rows));
        let dml = open.copy.dml.entry(uid).or_default();
        dml.appended = true;
        dml.inserted.extend(rows.iter().map(|(key, _)| *key));
        open.copy.tables.get_mut(&name).unwrap().rows.extend(rows);
    }

    async fn delete(&mut self, open: &mut Open) {
        let Some((name, uid)) = self.pick(open) else {
            return;
        };
        let keys: Vec<i64> = open.copy.tables[&name].rows.keys().copied().collect();
        let keep = 1 + self.random.below(4);
        let keys: Vec<i64> = keys.into_iter().filter(|_| self.random.below(keep) == 0).collect();
        let deleted = super::delete(&mut open.real, &name, &keys).await;
        assert_eq!(deleted, keys.len() as u64);
        let dml = open.copy.dml.entry(uid).or_default();
        for key in keys {
            open.copy.tables.get_mut(&name).unwrap().rows.remove(&key);
            if !dml.inserted.contains(&key) {
                dml.deleted.insert(key);
            }
        }
    }

    fn mark(&mut self, open: &mut Open) {
        let Some((name, uid)) = self.pick(open) else {
            return;
        };
        let id = table(open.real.state(), &name).id;
        let dml = open.copy.dml.entry(uid).or_default();
        if self.random.below(2) == 0 {
            open.real.depends_on(id);
            dml.depends = true;
            return;
        }
        open.real.truncate(id);
        let depends = dml.depends;
        *dml = Dml { truncated: true, depends, ..Dml::default() };
        open.copy.tables.get_mut(&name).unwrap().rows.clear();
    }

    fn ddl(&mut self, open: &mut Open) {
        let to = NAMES[self.random.below(3) as usize].to_owned();
        let picked = self.pick(open);
        let ddl = match (self.random.below(8), picked) {
            (0, Some((name, uid))) => {
                open.real.drop_relation("main", &name).unwrap();
                open.copy.dml.remove(&uid);
                Ddl::Drop(uid)
            }
            (1..=2, Some((name, uid))) if !open.copy.tables.contains_key(&to) => {
                open.real.rename_relation("main", &name, &to).unwrap();
                Ddl::Rename(uid, to)
            }
            (3, Some((name, uid))) => {
                let default = self.fresh();
                let added = NewColumn {
                    default: Some(default.to_string()),
                    ..column(&format!("c{default}"), DataType::Int64)
                };
                let change = TableChange::AddColumn(added);
                open.real.alter_table("main", &name, change).unwrap();
                Ddl::Add(uid, format!("c{default}"), default)
            }
            _ if !open.copy.tables.contains_key(&to) => {
                let new = NewTable {
                    name: to.clone(),
                    columns: vec![column("k", DataType::Int64)],
                    ..NewTable::default()
                };
                open.real.create_table("main", new).unwrap();
                Ddl::Create(to, self.fresh() as u64)
            }
            _ => return,
        };
        assert!(apply(&mut open.copy.tables, &ddl));
        open.copy.ddl.push(ddl);
    }

    async fn read(&mut self, open: &Open) {
        let Some((name, _)) = self.pick(open) else {
            return;
        };
        let real = table(open.real.state(), &name);
        let rows = open.real.rows(&real).await.unwrap();
        assert_eq!(real_rows(&real, &rows), open.copy.tables[&name].rows, "own view of {name}");
    }

    /// Two or three transactions that take turns, then commit in some order.
    async fn history(&mut self, lake: &Arc<Lake>, model: &mut Model) {
        let mut opened = Vec::new();
        for _ in 0..2 + self.random.below(2) {
            opened.push(Open {
                real: begin(lake).await,
                base: model.tables.clone(),
                began: model.log.len(),
                copy: Copy { tables: model.tables.clone(), ddl: Vec::new(), dml: BTreeMap::new() },
                savepoints: Vec::new(),
            });
        }
        for _ in 0..self.random.below(14) {
            let index = self.random.below(opened.len() as u64) as usize;
            self.step(&mut opened[index]).await;
        }
        while !opened.is_empty() {
            let index = self.random.below(opened.len() as u64) as usize;
            let open = opened.remove(index);
            if !open.copy.is_empty() {
                finish(lake, model, open).await;
            }
        }
        compare(lake, &lake.current().await.unwrap(), &model.tables).await;
    }
}

async fn finish(lake: &Arc<Lake>, model: &mut Model, open: Open) {
    let expected = model.commit(&open);
    let copy = open.copy;
    match (open.real.commit().await, expected) {
        (Ok(snapshot), Some((tables, changed))) => {
            model.past.push((snapshot, tables.clone()));
            model.tables = tables;
            model.log.push(changed);
        }
        (Err(error), None) => assert_eq!(error.sqlstate(), "40001", "{error}"),
        (real, expected) => panic!("{real:?}, model: {expected:?}\n{copy:#?}"),
    }
    compare(lake, &lake.current().await.unwrap(), &model.tables).await;
}

#[tokio::test]
async fn histories_agree_with_the_model() {
    for seed in 1..=LAKES {
        let folder = TempDir::new().unwrap();
        let lake = open(&folder).await;
        let mut model = Model::default();
        let mut driver =
            Driver { random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), next: 0 };
        for _ in 0..HISTORIES {
            driver.history(&lake, &mut model).await;
        }
        lake.close().await;
        let lake = open(&folder).await;
        compare(&lake, &lake.current().await.unwrap(), &model.tables).await;
        for (snapshot, tables) in model.past.iter().step_by(7) {
            let state = lake.at_snapshot(*snapshot).await.unwrap();
            compare(&lake, &state, tables).await;
        }
    }
}
