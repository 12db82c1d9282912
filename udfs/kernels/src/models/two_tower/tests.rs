//! The step against a naive oracle in double precision, and against values from PyTorch.

use std::collections::HashSet;

use super::batch::Batch;
use super::data::Data;
use super::layers::Layers;
use super::loss::exp;
use super::negatives::expected;
use super::step::{Given, Net, Step};
use super::{Column, Examples, Feature, Lists, LogQ, Options};
use crate::ann::Random;
use crate::models::nets::Token;
use crate::models::nets::rows::{Parameters, padded};
use crate::models::ragged::Ragged;
use crate::simd::level::Level;

/// Columns of a small training set with every kind of feature.
struct Sample {
    users: Vec<u64>,
    items: Vec<u64>,
    weights: Vec<f32>,
    numbers: Vec<f32>,
    categories: Vec<Option<u64>>,
    hashed: Vec<Option<u64>>,
    ends: Vec<usize>,
    keys: Vec<u64>,
}

impl Sample {
    fn new(rows: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut below = |end: usize| random.below(end) as u64;
        let users = (0..rows).map(|_| 100 + below(6)).collect();
        let items = (0..rows).map(|_| 200 + below(9)).collect();
        let weights = (0..rows).map(|_| below(4) as f32 * 0.5).collect();
        let numbers = (0..rows).map(|_| if below(5) == 0 { f32::NAN } else { below(50) as f32 });
        let numbers = numbers.collect();
        let categories = (0..rows).map(|_| below(4).checked_sub(1)).collect();
        let hashed = (0..rows).map(|_| Some(below(1000))).collect();
        let ends: Vec<usize> = (0..rows).map(|row| row * 2).collect();
        let keys = (0..rows * 2).map(|_| below(5)).collect();
        Self { users, items, weights, numbers, categories, hashed, ends, keys }
    }

    fn with<T>(&self, work: impl FnOnce(Examples<'_>) -> T) -> T {
        let lists = Lists { ends: &self.ends, keys: &self.keys };
        let feature = |name, column| Feature { name, buckets: None, column };
        let hashed = Column::Category(&self.hashed);
        let user_features = [
            feature("number", Column::Number(&self.numbers)),
            Feature { name: "hashed", buckets: Some(5), column: hashed },
        ];
        let item_features = [
            feature("category", Column::Category(&self.categories)),
            feature("list", Column::List(lists)),
        ];
        work(Examples {
            users: &self.users,
            items: &self.items,
            times: None,
            weights: Some(&self.weights),
            history: None,
            user_features: &user_features,
            item_features: &item_features,
        })
    }
}

fn random_net(data: &Data, options: &Options, seed: u64) -> Net {
    let mut random = Random::new(seed);
    let width = padded(options.dim);
    let mut number = || (random.number() >> 40) as f32 / 16_777_216.0 - 0.5;
    let mut table = vec![0.0; data.schema.rows * width];
    for row in table.chunks_exact_mut(width) {
        row[..options.dim].fill_with(&mut number);
    }
    let mut layers = || {
        let mut layers = Layers::new(options.dim, &options.layers, &mut Random::new(seed));
        for layer in &mut layers.0 {
            let inputs = layer.inputs;
            // The padding stays zero.
            let used = options.layers.first().copied().unwrap_or(0).max(options.dim);
            for row in layer.weights.values.chunks_exact_mut(inputs).take(layer.size[1]) {
                row[..options.dim.min(used).min(inputs)].fill_with(&mut number);
            }
            layer.biases.values[..layer.size[1]].fill_with(&mut number);
        }
        layers
    };
    let (user, item) = (layers(), layers());
    Net { dim: options.dim, width, table: Parameters::new(table), user, item }
}

/// A tower in double precision.
fn tower(net: &Net, layers: &Layers, tokens: &[Token]) -> Vec<f64> {
    let width = net.width;
    let mut sum = vec![0.0f64; width];
    for (row, share) in tokens {
        let row = &net.table.values[*row as usize * width..][..width];
        sum.iter_mut().zip(row).for_each(|(s, x)| *s += f64::from(*share) * f64::from(*x));
    }
    let mut now = sum.clone();
    for (place, layer) in layers.0.iter().enumerate() {
        let rows = layer.weights.values.chunks_exact(layer.inputs);
        let next = rows.zip(&layer.biases.values).map(|(row, bias)| {
            let dot: f64 = row.iter().zip(&now).map(|(w, x)| f64::from(*w) * x).sum();
            let out = dot + f64::from(*bias);
            if place + 1 < layers.0.len() { out.max(0.0) } else { out }
        });
        now = next.collect();
    }
    if !layers.0.is_empty() {
        sum.iter_mut().zip(&now).for_each(|(s, x)| *s += x);
    }
    let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    sum.iter().map(|x| x / length).collect()
}

/// The mean loss of a batch, with every rule spelled out.
fn naive(data: &Data, options: &Options, net: &Net, batch: &Batch, tokens: &[Vec<Token>]) -> f64 {
    let examples = batch.rows.len();
    let (users, items) = tokens.split_at(examples);
    let users: Vec<_> = users.iter().map(|tokens| tower(net, &net.user, tokens)).collect();
    let items: Vec<_> = items.iter().map(|tokens| tower(net, &net.item, tokens)).collect();
    let even = options.negatives.min(data.items.len());
    let (mut loss, mut weights) = (0.0, 0.0);
    for (place, row) in batch.rows.iter().enumerate() {
        let taken: HashSet<u32> =
            data.rows.iter().filter(|r| r.user == row.user).map(|r| r.item).collect();
        let own: f64 = data.rows.iter().filter(|r| r.item == row.item).count() as f64;
        let own = own / data.rows.len() as f64;
        let hard: HashSet<usize> = batch.single.row(place).iter().map(|x| x.0 as usize).collect();
        let mut logits = Vec::new();
        for (column, item) in batch.items.iter().enumerate() {
            let shared = column < examples + even;
            let seen = if shared { !taken.contains(item) } else { hard.contains(&column) };
            if column != place && !seen {
                continue;
            }
            let dot: f64 = users[place].iter().zip(&items[column]).map(|(a, b)| a * b).sum();
            let often = f64::from(expected(data, *item, examples, even));
            let bias = match options.logq {
                _ if !shared => 0.0,
                LogQ::Off => 0.0,
                LogQ::Full => -often.ln(),
                LogQ::Corrected if column == place => -(1.0 - own).ln(),
                LogQ::Corrected => -often.ln(),
            };
            logits.push((column, dot / f64::from(options.temperature) + bias));
        }
        let total: f64 = logits.iter().map(|(_, logit)| logit.exp()).sum();
        let positive = logits.iter().find(|(column, _)| *column == place).unwrap().1;
        loss += f64::from(row.weight) * (total.ln() - positive);
        weights += f64::from(row.weight);
    }
    loss / weights
}

fn all_tokens(step: &Step) -> Vec<Vec<Token>> {
    let parts = step.user_tokens.iter().chain(&step.item_tokens);
    parts.flat_map(|part| (0..part.len()).map(|row| part.row(row).to_vec())).collect()
}

fn variants() -> Vec<Options> {
    let base = Options { dim: 5, temperature: 0.3, batch_size: 16, ..Options::default() };
    let layers = vec![7, 4];
    vec![
        base.clone(),
        Options { logq: LogQ::Off, ..base.clone() },
        Options { logq: LogQ::Corrected, negatives: 3, ..base.clone() },
        Options { negatives: 4, hard_negatives: 2, history_limit: 2, ..base.clone() },
        Options { layers, id_dropout: 0.5, history_dropout: 0.5, ..base },
    ]
}

/// Every number that training moves, one after the other.
fn numbers(net: &mut Net) -> Vec<&mut f32> {
    let Net { table, user, item, .. } = net;
    let layers = user
        .0
        .iter_mut()
        .chain(&mut item.0)
        .flat_map(|layer| layer.weights.values.iter_mut().chain(&mut layer.biases.values));
    table.values.iter_mut().chain(layers).collect()
}

#[test]
fn gradients_are_those_of_the_naive_loss() {
    for (seed, options) in variants().into_iter().enumerate() {
        let seed = seed as u64;
        Sample::new(60, seed).with(|examples| {
            let data = Data::new(&examples, &examples.in_order()).unwrap();
            let mut net = random_net(&data, &options, seed);
            let given = Given { data: &data, options: &options, level: Level::best(), threads: 2 };
            let mut hard = Ragged::default();
            (0..data.users.len()).for_each(|user| hard.push([user as u32 % 3, 4, 5]));
            let (mut batch, mut step) = (Batch::default(), Step::default());
            let rows: Vec<u32> = (0..16).collect();
            batch.fill(&data, &options, &rows, Some(&hard), seed);
            step.forward(given, &net, &batch);
            let loss = step.loss(given, &net, &batch) / f64::from(batch.weight);
            let layers = step.backward(given, &net, &batch);
            let tokens = all_tokens(&step);
            let expected = naive(&data, &options, &net, &batch, &tokens);
            assert!((loss - expected).abs() < 1e-4 * expected.abs(), "{loss} {expected}");

            let width = net.width;
            let mut gradient = vec![0.0f64; net.table.values.len()];
            for (input, tokens) in tokens.iter().enumerate() {
                for (row, share) in tokens {
                    for at in 0..width {
                        gradient[*row as usize * width + at] +=
                            f64::from(share * step.gradients[input * width + at]);
                    }
                }
            }
            for layers in &layers {
                for (weights, biases) in layers.iter().rev() {
                    gradient.extend(weights.iter().chain(biases).map(|x| f64::from(*x)));
                }
            }
            let width = gradient.len();
            let step = (width / 150).max(1);
            for place in (0..width).step_by(step) {
                let at = |change: f32| {
                    let mut moved = net.clone();
                    let x = &mut *numbers(&mut moved)[place];
                    *x += change;
                    let x = f64::from(*x);
                    (naive(&data, &options, &moved, &batch, &tokens), x)
                };
                let ((high, right), (low, left)) = (at(1e-3), at(-1e-3));
                let slope = (high - low) / (right - left);
                // Padding is not moved, and a layer's cut at zero may lie between.
                let near = (slope - gradient[place]).abs() < 2e-4 + 5e-3 * slope.abs();
                let is_padding = *numbers(&mut net)[place] == 0.0;
                assert!(near || is_padding, "{place}: {slope} {}", gradient[place]);
            }
        });
    }
}

#[test]
fn masks_are_what_the_user_took_but_the_own_column() {
    let options = Options { negatives: 5, ..Options::default() };
    Sample::new(80, 9).with(|examples| {
        let data = Data::new(&examples, &examples.in_order()).unwrap();
        let mut batch = Batch::default();
        for first in [0, 20] {
            let rows: Vec<u32> = (first..first + 20).collect();
            batch.fill(&data, &options, &rows, None, 3);
            let mut masked = Vec::new();
            for (place, row) in batch.rows.iter().enumerate() {
                batch.masked(&data, place, &mut masked);
                masked.sort_unstable();
                let takes =
                    |item: u32| data.rows.iter().any(|r| (r.user, r.item) == (row.user, item));
                let columns = 0..batch.items.len() as u32;
                let naive: Vec<u32> = columns
                    .filter(|c| *c as usize != place && takes(batch.items[*c as usize]))
                    .collect();
                assert_eq!(masked, naive);
            }
        }
    });
}

#[test]
fn exponentials_are_near_to_those_of_double_precision() {
    for place in 0..200_000 {
        let x = -(place as f32) * 87.0 / 200_000.0;
        let exact = f64::from(x).exp();
        assert!((f64::from(exp(x)) - exact).abs() < 2.5e-7 * exact, "{x}");
    }
    assert_eq!((exp(0.0), exp(-88.0), exp(-1e30), exp(f32::NAN)), (1.0, 0.0, 0.0, 0.0));
}

#[test]
fn rows_held_out_are_the_last_of_each_user() {
    let (users, items) = ([1, 1, 1, 1, 2, 2, 1], [10, 11, 12, 13, 10, 11, 14]);
    let times = [5, 4, 3, 2, 1, 1, 1];
    let weights = [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    let examples = Examples {
        users: &users,
        items: &items,
        times: Some(&times),
        weights: Some(&weights),
        history: None,
        user_features: &[],
        item_features: &[],
    };
    // User 1 has four rows that count, in order 6, 3, 2, 0; user 2 has too few.
    let options = Options { test_fraction: 0.3, ..Options::default() };
    assert_eq!(examples.split(&options), (vec![4, 5, 6, 3, 1], vec![2, 0]));
    let none = Options { test_fraction: 0.0, ..Options::default() };
    assert_eq!(examples.split(&none).1, Vec::<u32>::new());
}

/// A line of the reference: `tests/reference/retrieval.py` made it with PyTorch.
fn reference(name: &str) -> Vec<f64> {
    let text = include_str!("../../../tests/reference/retrieval.txt");
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, numbers) = lines.find(|(found, _)| *found == name).unwrap();
    numbers.split(' ').map(|x| x.parse().unwrap()).collect()
}

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    let users = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3];
    let items = [0, 1, 2, 1, 3, 0, 3, 4, 5, 1];
    let weights = [1.0, 2.0, 1.0, 0.5, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0];
    let examples = Examples {
        users: &users,
        items: &items,
        times: None,
        weights: Some(&weights),
        history: None,
        user_features: &[],
        item_features: &[],
    };
    for (name, logq) in [("full", LogQ::Full), ("corrected", LogQ::Corrected)] {
        let (history_dropout, id_dropout) = (0.0, 0.0);
        let options = Options { dim: 5, logq, history_dropout, id_dropout, ..Options::default() };
        let data = Data::new(&examples, &examples.in_order()).unwrap();
        let mut table = vec![0.0f32; data.schema.rows * 16];
        for (row, values) in table.chunks_exact_mut(16).enumerate() {
            for (column, x) in values[..5].iter_mut().enumerate() {
                *x = (1.0 + 7.0 * row as f64 + column as f64).sin() as f32;
            }
        }
        let table = Parameters::new(table);
        let net = Net { dim: 5, width: 16, table, ..Net::default() };
        for level in Level::all() {
            let given = Given { data: &data, options: &options, level, threads: 1 };
            let (mut batch, mut step) = (Batch::default(), Step::default());
            let rows: Vec<u32> = (0..10).collect();
            batch.fill(&data, &options, &rows, None, 1);
            step.forward(given, &net, &batch);
            let loss = step.loss(given, &net, &batch) / f64::from(batch.weight);
            step.backward(given, &net, &batch);
            let mut gradient = vec![0.0f64; data.schema.rows * 5];
            for (input, tokens) in all_tokens(&step).iter().enumerate() {
                for (row, share) in tokens {
                    for at in 0..5 {
                        let part = f64::from(share * step.gradients[input * 16 + at]);
                        gradient[*row as usize * 5 + at] += part;
                    }
                }
            }
            let expected = reference(&format!("two_tower_{name}_loss"))[0];
            assert!((loss - expected).abs() < 1e-5 * expected, "{loss} {expected}");
            let expected = reference(&format!("two_tower_{name}_gradient"));
            for (found, expected) in gradient.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
        }
    }
}
