//! Gradients against differences of a naive loss in double precision, and scores against NumPy's.

use super::data::{Data, Field, Kind, fields};
use super::model::Model;
use super::net::{Net, Pass, Shape};
use super::{Feature, Objective, Options, Rows};
use crate::ann::Random;
use crate::models::nets::even;
use crate::models::nets::layers::Layer;
use crate::models::nets::rows::{Adam, Parameters};
use crate::simd::level::Level;

/// Numbers with and without NULLs, two categories, labels of either kind, weights.
struct Sample {
    columns: Vec<Vec<f64>>,
    labels: Vec<f64>,
    weights: Vec<f64>,
}

impl Sample {
    fn new(rows: usize, seed: u64, objective: Objective) -> Self {
        let mut random = Random::new(seed);
        let mut below = |end: usize| random.below(end) as f64;
        let all = (0..rows).map(|_| below(50) - 20.0).collect();
        let some = (0..rows).map(|_| if below(4) == 0.0 { f64::NAN } else { below(9) }).collect();
        let few = (0..rows).map(|_| below(3)).collect();
        let code = |below: f64| if below == 0.0 { f64::NAN } else { 10.0 + 2.0 * below };
        let codes = (0..rows).map(|_| code(below(10))).collect();
        let columns = vec![all, some, few, codes];
        let end = if objective == Objective::Binary { 2 } else { 100 };
        let labels = (0..rows).map(|_| below(end)).collect();
        let weights = (0..rows).map(|_| 0.5 + below(3)).collect();
        Self { columns, labels, weights }
    }

    fn features(&self) -> [Feature<'_>; 4] {
        let [a, b, c, d] = &self.columns[..] else { panic!() };
        [Feature::Numeric(a), Feature::Numeric(b), Feature::Categorical(c), Feature::Categorical(d)]
    }
}

fn variants() -> Vec<Options> {
    let base = Options { dim: 5, layers: vec![7, 4], ..Options::new(Objective::Binary) };
    vec![
        base.clone(),
        Options { rank: 3, layers: vec![6], cross_layers: 3, ..base.clone() },
        Options { layers: Vec::new(), objective: Objective::Regression, ..base.clone() },
        Options { cross_layers: 0, dim: 18, ..base },
    ]
}

/// A row's score in double precision, with every rule spelled out.
fn naive(net: &Net, tokens: &[(u32, f32)]) -> f64 {
    let (shape, width) = (&net.shape, net.shape.width());
    let (mut first, mut linear) = (Vec::new(), 0.0);
    for ((row, share), slot) in tokens.iter().zip(&shape.slots) {
        let row = &net.table.values[*row as usize * width..][..width];
        let times = |x: &f32| f64::from(*share) * f64::from(*x);
        first.extend(row[..slot.length].iter().map(times));
        linear += times(&row[shape.dim]);
    }
    let apply = |layer: &Layer, x: &[f64]| -> Vec<f64> {
        let output = |place: usize| {
            let row = &layer.weights.values[place * layer.inputs..][..layer.size[0]];
            let dot: f64 = row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum();
            dot + layer.biases.values.get(place).map_or(0.0, |bias| f64::from(*bias))
        };
        (0..layer.size[1]).map(output).collect()
    };
    let mut layers = net.layers.iter();
    let mut x = first.clone();
    for _ in 0..shape.cross_layers {
        let mut z = apply(layers.next().unwrap(), &x);
        if shape.rank > 0 {
            z = apply(layers.next().unwrap(), &z);
        }
        x = first.iter().zip(&x).zip(&z).map(|((first, x), z)| first * z + x).collect();
    }
    let mut hidden = first;
    for _ in &shape.layers {
        hidden = apply(layers.next().unwrap(), &hidden);
        hidden.iter_mut().for_each(|x| *x = x.max(0.0));
    }
    if !shape.layers.is_empty() {
        x.extend(hidden);
    }
    apply(layers.next().unwrap(), &x)[0] + linear
}

fn mean_loss(objective: Objective, net: &Net, data: &Data) -> f64 {
    let rows = data.tokens.chunks_exact(net.shape.slots.len()).zip(&data.labels);
    let losses = rows.zip(&data.weights).map(|((tokens, label), weight)| {
        let score = naive(net, tokens);
        weight
            * match objective {
                Objective::Regression => 0.5 * (score - label) * (score - label),
                Objective::Binary => score.exp().ln_1p() - label * score,
            }
    });
    losses.sum::<f64>() / data.weights.iter().sum::<f64>()
}

/// Every number that training moves, the table first, then weights and biases of each layer.
fn numbers(net: &mut Net) -> Vec<&mut f32> {
    let layers = net.layers.iter_mut();
    let layers =
        layers.flat_map(|layer| layer.weights.values.iter_mut().chain(&mut layer.biases.values));
    net.table.values.iter_mut().chain(layers).collect()
}

#[test]
fn gradients_are_differences_of_the_naive_loss() {
    for (seed, options) in variants().into_iter().enumerate() {
        let sample = Sample::new(40, seed as u64, options.objective);
        let features = sample.features();
        let rows =
            Rows { features: &features, labels: &sample.labels, weights: Some(&sample.weights) };
        let fields = fields(&features).unwrap();
        let data = Data::new(&fields, &rows, rows.scale(options.objective).unwrap());
        let mut random = Random::new(seed as u64);
        let mut net = Net::new(Shape::new(&options, &fields), &fields, &mut random);
        for row in net.table.values.chunks_exact_mut(options.dim.next_multiple_of(16)) {
            row.iter_mut().filter(|x| **x != 0.0).for_each(|x| *x += even(&mut random) / 2.0);
        }
        for layer in &mut net.layers {
            let biases = layer.biases.values.iter_mut().take(layer.size[1]);
            biases.for_each(|bias| *bias = even(&mut random) / 2.0);
        }
        let (work, mut pass) = ((Level::best(), 2), Pass::default());
        let token = |row: usize, field: usize| data.tokens[row * fields.len() + field];
        pass.forward(work, (&net, &net.packed()), sample.labels.len(), &token);
        let total: f64 = data.weights.iter().sum();
        let mut slopes = Vec::new();
        for (row, score) in pass.scores.iter().enumerate() {
            let tokens = &data.tokens[row * fields.len()..][..fields.len()];
            assert!((f64::from(*score) - naive(&net, tokens)).abs() < 1e-4, "{row}");
            let (_, slope) = options.objective.loss(f64::from(*score), data.labels[row]);
            slopes.push((slope * data.weights[row] / total) as f32);
        }
        let layers = pass.backward(work, &net, &slopes);
        let width = net.shape.width();
        let mut gradient = vec![0.0_f64; net.table.values.len()];
        for ((row, share), sum) in pass.by_tokens() {
            let own = &mut gradient[*row as usize * width..][..width];
            own.iter_mut().zip(sum).for_each(|(g, x)| *g += f64::from(share * x));
        }
        for (weights, biases) in layers.iter().rev() {
            gradient.extend(weights.iter().chain(biases).map(|x| f64::from(*x)));
        }
        let all = numbers(&mut net).len();
        assert_eq!(gradient.len(), all);
        let mut moved = 0;
        for place in (0..all).step_by((all / 300).max(1)) {
            let at = |change: f32| {
                let mut net = net.clone();
                let x = &mut *numbers(&mut net)[place];
                *x += change;
                let x = f64::from(*x);
                (mean_loss(options.objective, &net, &data), x)
            };
            // So near that a layer's cut at zero hardly ever lies between.
            let ((high, right), (low, left)) = (at(1e-4), at(-1e-4));
            let slope = (high - low) / (right - left);
            let near = (slope - gradient[place]).abs() < 2e-5 + 2e-3 * slope.abs();
            assert!(near, "{seed}, {place}: {slope} {}", gradient[place]);
            moved += usize::from(slope != 0.0);
        }
        assert!(moved > 40, "{moved} of {all}");
    }
}

#[test]
fn a_penalty_is_a_gradient_to_zero() {
    let start = || Parameters::new(vec![3.0, -2.0, 0.0]);
    let (mut penal, mut plain) = (start(), start());
    for step in 1..4 {
        let adam = Adam::new(0.1, step);
        let gradient: Vec<f32> = plain.values.iter().map(|x| 0.5 + 0.25 * x).collect();
        penal.step(Level::best(), adam.with_l2(0.25), &[0.5; 3]);
        plain.step(Level::best(), adam, &gradient);
    }
    for (a, b) in penal.values.iter().zip(&plain.values) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

/// As `reference/dcn.py` has it.
fn wave(start: f64, rows: usize, columns: usize) -> Vec<f32> {
    let at = |row: usize, column: usize| (start + 7.0 * row as f64 + column as f64).sin() / 2.0;
    (0..rows).flat_map(|row| (0..columns).map(move |column| at(row, column) as f32)).collect()
}

fn planted(objective: Objective, rank: usize, widths: &[usize]) -> Model {
    let number = |mean, deviation, missing| Kind::Number { mean, deviation, missing };
    let fields = vec![
        Field { first: 0, kind: number(3.0, 2.0, false) },
        Field { first: 1, kind: number(-20.0, 8.0, true) },
        Field { first: 3, kind: Kind::Category { codes: vec![2, 5, 9] } },
    ];
    let options = Options { dim: 3, rank, layers: widths.to_vec(), ..Options::new(objective) };
    let mut net = Net::new(Shape::new(&options, &fields), &fields, &mut Random::new(1));
    let copy = |out: &mut [f32], width: usize, start: f64, [rows, columns]: [usize; 2]| {
        let values = wave(start, rows, columns);
        for (out, row) in out.chunks_exact_mut(width).zip(values.chunks_exact(columns)) {
            out[..columns].copy_from_slice(row);
        }
    };
    copy(&mut net.table.values, 16, 0.3, [7, 4]);
    let names = net.shape.layers().into_iter();
    for ((name, [inputs, outputs], _), layer) in names.zip(&mut net.layers) {
        let place = name.split('.').nth(1).map_or(0.0, |place| place.parse().unwrap());
        let (weights, biases) = match name.split('.').next().unwrap() {
            "cross" if name.ends_with("down") => (3.0, 0.0),
            "cross" if name.ends_with("up") => (4.0, 2.0),
            "cross" => (1.0, 2.0),
            "deep" => (5.0, 6.0),
            _ => (8.0, 9.0),
        };
        let stride = layer.inputs;
        copy(&mut layer.weights.values, stride, weights + place, [outputs, inputs]);
        if !layer.biases.values.is_empty() {
            layer.biases.values[..outputs].copy_from_slice(&wave(biases + place, 1, outputs));
        }
    }
    let scale = match objective {
        Objective::Regression => (1.5, 4.0),
        Objective::Binary => (0.0, 1.0),
    };
    Model::new(objective, fields, scale, net)
}

#[test]
fn scores_are_those_of_numpy() {
    let text = include_str!("../../../tests/reference/dcn.txt");
    let nan = f64::NAN;
    let columns: [&[f64]; 3] = [
        &[1.0, 5.0, nan, 4.5, 3.0, 0.0],
        &[-20.0, nan, -4.0, 100.0, -25.0, 0.0],
        &[2.0, 9.0, 5.0, 7.0, nan, 5.0],
    ];
    let kinds = [("numbers", Objective::Regression), ("probabilities", Objective::Binary)];
    for (name, rank, widths) in
        [("full", 0, &[4, 3][..]), ("low_rank", 2, &[5][..]), ("no_deep", 0, &[][..])]
    {
        for (kind, objective) in kinds {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            let (_, expected) =
                lines.find(|(found, _)| *found == format!("{name}_{kind}")).unwrap();
            let expected: Vec<f64> = expected.split(' ').map(|x| x.parse().unwrap()).collect();
            let model = planted(objective, rank, widths);
            for level in Level::all() {
                let mut found = [0.0; 6];
                model.predict(level, &columns, &mut found).unwrap();
                for (found, expected) in found.iter().zip(&expected) {
                    let off = (found - expected).abs();
                    assert!(off < 2e-6 * (1.0 + expected.abs()), "{name} {found} {expected}");
                }
            }
            assert_eq!(Model::from_bytes(&model.to_bytes()).unwrap(), model);
        }
    }
}
