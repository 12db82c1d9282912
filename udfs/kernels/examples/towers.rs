//! Trains retrieval models on arrays from files; `benches/peers/two_tower.py` makes them and asks
//! the peers.
//!
//! ```text
//!   cargo run --release -p kernels --example towers -- FOLDER MODEL THREADS [option=value …]
//! ```
//!
//! MODEL is `two_tower`, `als` or `popularity`. FOLDER holds raw little-endian arrays:
//! `train.users`, `train.items` (u64), `train.times` (i64), `test.users`, `test.items`, and
//! `catalogue.items`, every item that is ranked. Features are named in `features`, one `TOWER KIND
//! NAME` a line: `train.NAME` of a category are u64, of a number f32, of a list `train.NAME.ends`
//! and `train.NAME.keys` u64; `catalogue.NAME` of an item's. The largest u64 is NULL. Each line of
//! the output is one JSON object.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kernels::models::als;
use kernels::models::ranking_eval::{Metrics, Ranking, evaluate};
use kernels::models::two_tower::{
    Column, Examples, Feature, Lists, LogQ, Options, Progress, Split, Value, Work, memory_bytes,
    train,
};
use kernels::simd::level::Level;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const KS: [usize; 3] = [20, 50, 100];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, model, threads, options @ ..] = &words[..] else {
        return Err("FOLDER MODEL THREADS [option=value …]".into());
    };
    let (input, threads) = (Input::read(Path::new(folder))?, threads.parse()?);
    match model.as_str() {
        "two_tower" => two_tower(&input, threads, options),
        "als" => als(&input, threads, options),
        "popularity" => popularity(&input, threads),
        other => Err(format!("no model {other}").into()),
    }
}

/// A feature's values in the rows of the training or of the catalogue.
enum Values {
    Category(Vec<Option<u64>>),
    Number(Vec<f32>),
    List { ends: Vec<usize>, keys: Vec<u64> },
}

impl Values {
    fn read(kind: &str, path: &dyn Fn(&str) -> PathBuf) -> Result<Self> {
        Ok(match kind {
            "category" => {
                let keys = words(&path(""), u64::from_le_bytes)?.into_iter();
                Self::Category(keys.map(|key| (key != u64::MAX).then_some(key)).collect())
            }
            "number" => Self::Number(words(&path(""), f32::from_le_bytes)?),
            "list" => {
                let ends = words(&path(".ends"), u64::from_le_bytes)?.into_iter();
                let keys = words(&path(".keys"), u64::from_le_bytes)?;
                Self::List { ends: ends.map(|end| end as usize).collect(), keys }
            }
            other => return Err(format!("no kind {other}").into()),
        })
    }

    fn column(&self) -> Column<'_> {
        match self {
            Self::Category(values) => Column::Category(values),
            Self::Number(values) => Column::Number(values),
            Self::List { ends, keys } => Column::List(Lists { ends, keys }),
        }
    }

    fn value(&self, row: usize) -> Value<'_> {
        match self {
            Self::Category(values) => Value::Category(values[row]),
            Self::Number(values) => Value::Number(values[row]),
            Self::List { ends, keys } => Value::List(Lists { ends, keys }.row(row)),
        }
    }
}

struct Input {
    users: Vec<u64>,
    items: Vec<u64>,
    times: Vec<i64>,
    catalogue: Vec<u64>,
    user_features: Vec<(String, Values)>,
    item_features: Vec<(String, Values)>,
    /// Of the items above, those of the catalogue.
    catalogue_features: Vec<Values>,
    /// Users with rows in the test, and numbers in the catalogue of what they took then and before.
    asked: Vec<u64>,
    relevant: Vec<Vec<u32>>,
    seen: Vec<Vec<u32>>,
}

impl Input {
    fn read(folder: &Path) -> Result<Self> {
        let keys = |name: &str| words(&folder.join(name), u64::from_le_bytes);
        let (users, items) = (keys("train.users")?, keys("train.items")?);
        let catalogue = keys("catalogue.items")?;
        let number: HashMap<u64, u32> = catalogue.iter().copied().zip(0..).collect();
        let mut taken: HashMap<u64, Vec<u32>> = HashMap::new();
        for (user, item) in users.iter().zip(&items) {
            taken.entry(*user).or_default().extend(number.get(item));
        }
        let mut wanted: HashMap<u64, Vec<u32>> = HashMap::new();
        for (user, item) in keys("test.users")?.iter().zip(keys("test.items")?) {
            wanted.entry(*user).or_default().extend(number.get(&item));
        }
        let mut asked: Vec<u64> = wanted.keys().copied().collect();
        asked.sort_unstable();
        let of = |from: &HashMap<u64, Vec<u32>>| -> Vec<Vec<u32>> {
            asked.iter().map(|user| from.get(user).cloned().unwrap_or_default()).collect()
        };
        let (relevant, seen) = (of(&wanted), of(&taken));
        let mut input = Self {
            users,
            items,
            times: words(&folder.join("train.times"), i64::from_le_bytes)?,
            catalogue,
            user_features: Vec::new(),
            item_features: Vec::new(),
            catalogue_features: Vec::new(),
            asked,
            relevant,
            seen,
        };
        input.read_features(folder)?;
        Ok(input)
    }

    fn read_features(&mut self, folder: &Path) -> Result<()> {
        for line in fs::read_to_string(folder.join("features")).unwrap_or_default().lines() {
            let mut parts = line.splitn(3, ' ');
            let (Some(tower), Some(kind), Some(name)) = (parts.next(), parts.next(), parts.next())
            else {
                return Err(format!("no feature: {line}").into());
            };
            let path = |part: &str, end: &str| folder.join(format!("{part}.{name}{end}"));
            let values = Values::read(kind, &|end| path("train", end))?;
            if tower == "user" {
                self.user_features.push((name.to_string(), values));
                continue;
            }
            self.item_features.push((name.to_string(), values));
            self.catalogue_features.push(Values::read(kind, &|end| path("catalogue", end))?);
        }
        Ok(())
    }

    fn evaluate(&self, threads: usize, users: &[f32], items: &[f32], dimension: usize) -> Metrics {
        let ranking =
            Ranking { users, items, dimension, relevant: &self.relevant, seen: &self.seen };
        evaluate(Level::best(), threads, &ranking, &KS)
    }
}

fn words<T, const N: usize>(path: &Path, word: fn([u8; N]) -> T) -> Result<Vec<T>> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes.as_chunks::<N>().0.iter().map(|bytes| word(*bytes)).collect())
}

fn print(model: &str, metrics: &Metrics, more: &str) {
    let mut text = format!("{{\"model\": \"{model}\", \"users\": {}", metrics.users);
    for (place, k) in KS.iter().enumerate() {
        text += &format!(", \"recall@{k}\": {:.4}", metrics.recall[place]);
        text += &format!(", \"ndcg@{k}\": {:.4}", metrics.ndcg[place]);
    }
    println!("{text}{more}}}");
}

fn popularity(input: &Input, threads: usize) -> Result<()> {
    let mut counts: HashMap<u64, f32> = HashMap::new();
    for item in &input.items {
        *counts.entry(*item).or_default() += 1.0;
    }
    let items: Vec<f32> =
        input.catalogue.iter().map(|item| counts.get(item).copied().unwrap_or(0.0)).collect();
    let users = vec![1.0; input.asked.len()];
    print("popularity", &input.evaluate(threads, &users, &items, 1), "");
    Ok(())
}

fn two_tower(input: &Input, threads: usize, words: &[String]) -> Result<()> {
    let options = options(words)?;
    let examples = Examples {
        users: &input.users,
        items: &input.items,
        times: Some(&input.times),
        weights: None,
        history: None,
        user_features: &features(&input.user_features),
        item_features: &features(&input.item_features),
    };
    let memory = memory_bytes(&examples, &options);
    let start = Instant::now();
    let watch = |_: Progress| ControlFlow::Continue(());
    let work = Work { threads, watch: &watch, ..Work::alone() };
    let training = train(&examples, &options, &work)?;
    let seconds = start.elapsed().as_secs_f64();
    for (epoch, held) in training.held.iter().enumerate() {
        println!(
            "{{\"epoch\": {}, \"loss\": {:.4}, \"recall@100\": {:.4}, \"ndcg@100\": {:.4}}}",
            epoch + 1,
            held.loss,
            held.recall_at_100,
            held.ndcg_at_100
        );
    }
    let passes = training.epochs + training.held.len();
    let model = training.model;
    let (mut users, mut items) = (Vec::new(), Vec::new());
    for user in &input.asked {
        // Whom the training does not know has no history.
        let none = model.users().binary_search(user).is_err().then_some(&[][..]);
        users.extend(model.embed_user(work.level, Some(*user), None, none)?);
    }
    for (row, item) in input.catalogue.iter().enumerate() {
        let values: Vec<_> = input.catalogue_features.iter().map(|all| all.value(row)).collect();
        items.extend(model.embed_item(work.level, Some(*item), Some(&values))?);
    }
    let metrics = input.evaluate(threads, &users, &items, model.dim());
    let speed = (input.users.len() * passes) as f64 / seconds;
    let more = format!(
        ", \"epochs\": {}, \"passes\": {passes}, \"train_s\": {seconds:.2}, \
         \"examples_per_s\": {speed:.0}, \"estimate_mb\": {:.0}, \"model_mb\": {:.1}",
        training.epochs,
        memory as f64 / 1e6,
        model.to_bytes().len() as f64 / 1e6
    );
    print("two_tower", &metrics, &more);
    Ok(())
}

fn als(input: &Input, threads: usize, words: &[String]) -> Result<()> {
    let mut options = als::Options::default();
    for word in words {
        match word.split_once('=').ok_or("option=value")? {
            ("dim", value) => options.dim = value.parse()?,
            ("regularisation", value) => options.regularisation = value.parse()?,
            ("unobserved_weight", value) => options.unobserved_weight = value.parse()?,
            ("sweeps", value) => options.sweeps = value.parse()?,
            ("seed", value) => options.seed = value.parse()?,
            (other, _) => return Err(format!("no option {other}").into()),
        }
    }
    let interactions =
        als::Interactions { users: &input.users, items: &input.items, weights: None };
    let work = Work { threads, ..Work::alone() };
    let start = Instant::now();
    let model = als::train(&interactions, &options, &work)?;
    let seconds = start.elapsed().as_secs_f64();
    // What the training did not see has no vector, and comes last.
    let zeros = vec![0.0; model.dim()];
    let users = input.asked.iter().flat_map(|user| model.embed_user(*user).unwrap_or(&zeros));
    let items = input.catalogue.iter().flat_map(|item| model.embed_item(*item).unwrap_or(&zeros));
    let (users, items): (Vec<f32>, Vec<f32>) = (users.copied().collect(), items.copied().collect());
    let metrics = input.evaluate(threads, &users, &items, model.dim());
    print("als", &metrics, &format!(", \"train_s\": {seconds:.2}"));
    Ok(())
}

fn features(all: &[(String, Values)]) -> Vec<Feature<'_>> {
    let features = all.iter().map(|(name, values)| (name, values.column()));
    features.map(|(name, column)| Feature { name, buckets: None, column }).collect()
}

fn options(words: &[String]) -> Result<Options> {
    let mut options = Options::default();
    for word in words {
        let (name, value) = word.split_once('=').ok_or("option=value")?;
        match name {
            "dim" => options.dim = value.parse()?,
            "temperature" => options.temperature = value.parse()?,
            "logq" => {
                options.logq = match value {
                    "false" => LogQ::Off,
                    "true" => LogQ::Full,
                    "corrected" => LogQ::Corrected,
                    other => return Err(format!("no logq {other}").into()),
                }
            }
            "epochs" => options.epochs = value.parse()?,
            "batch_size" => options.batch_size = value.parse()?,
            "learning_rate" => options.learning_rate = value.parse()?,
            "layers" => {
                let widths = value.split(',').map(str::parse);
                options.layers = widths.collect::<std::result::Result<_, _>>()?;
            }
            "negatives" => options.negatives = value.parse()?,
            "hard_negatives" => options.hard_negatives = value.parse()?,
            "split" if value == "random" => options.split = Split::Random,
            "split" if value == "last" => options.split = Split::Last,
            "test_fraction" => options.test_fraction = value.parse()?,
            "early_stop" => options.early_stop = value.parse()?,
            "history_limit" => options.history_limit = value.parse()?,
            "history_dropout" => options.history_dropout = value.parse()?,
            "id_dropout" => options.id_dropout = value.parse()?,
            "seed" => options.seed = value.parse()?,
            other => return Err(format!("no option {other}").into()),
        }
    }
    Ok(options)
}
