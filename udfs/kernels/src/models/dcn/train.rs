//! Training: passes over the rows, and early stopping on a validation part.

use super::data::{Data, fields};
use super::model::Model;
use super::net::{Net, Pass, Shape};
use super::options::Options;
use super::{Error, Feature, Progress, Work};
use crate::ann::Random;
use crate::models::nets::rows::Adam;
use crate::models::nets::unit;
use crate::models::parallel::with_threads;

/// Epochs in a row that need not be better than the best so far.
const PATIENCE: usize = 3;
/// Rows of the validation part that are measured between two looks at whether somebody waits.
const BLOCK: usize = 1024;

/// Rows to learn from or to validate with.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// NaN is a missing value.
    pub features: &'a [Feature<'a>],
    /// 0 or 1 (binary), any number (regression).
    pub labels: &'a [f64],
    /// At least 0; all 1 if absent.
    pub weights: Option<&'a [f64]>,
}

/// A trained model and how it came about.
#[derive(Debug)]
pub struct Training {
    pub model: Model,
    /// The epoch whose weights the model has, from 1.
    pub epochs: usize,
    /// Mean losses of all epochs, without penalties.
    pub losses: Vec<f32>,
    /// Those of the validation part; empty without early stopping.
    pub held: Vec<f64>,
}

/// Bytes that a training needs at most at once beside the columns it is given.
pub fn memory_bytes(training: &Rows<'_>, held: usize, options: &Options) -> usize {
    let rows = training.labels.len();
    // Codes are taken to be all there.
    let codes = |feature: &Feature<'_>| match feature {
        Feature::Numeric(_) => 2,
        Feature::Categorical(values) => {
            let greatest = values.iter().copied().fold(0.0, f64::max);
            rows.min(greatest as usize).saturating_add(2)
        }
    };
    let slots: Vec<usize> = training.features.iter().map(codes).collect();
    let n = slots.iter().map(|rows| (*rows).min(options.dim)).sum();
    let shape = Shape {
        dim: options.dim,
        cross_layers: options.cross_layers,
        rank: options.rank,
        layers: options.layers.clone(),
        rows: slots.iter().sum(),
        slots: vec![super::net::Slot { start: 0, length: n }],
    };
    // Values, two moments, the best so far; gradients and packed weights are of layers only.
    let parameters = shape.parameters().saturating_mul(6 * 4);
    let fields = slots.len();
    let tokens = (rows + held).saturating_mul(fields * 8 + 16);
    let wide: usize = options.layers.iter().sum::<usize>() + options.rank * options.cross_layers;
    let row =
        fields * (shape.width() * 2 + 8) + (n + 16) * (options.cross_layers * 2 + 8) + wide * 3;
    let step = options.batch_size.max(BLOCK).saturating_mul(row * 4);
    parameters.saturating_add(tokens).saturating_add(step).saturating_add(rows * 4)
}

/// Trains; validation rows, if given, have the same features in the same order.
///
/// # Errors
/// `Parameter`; those of rows that nothing can be learned from; `Cancelled` when `work` says so.
pub fn train(
    options: &Options,
    training: &Rows<'_>,
    validation: Option<&Rows<'_>>,
    work: &Work<'_>,
) -> Result<Training, Error> {
    options.check()?;
    training.check(options.objective)?;
    if let Some(held) = validation {
        held.check(options.objective)?;
        let (found, rows) = (held.features.len(), training.features.len());
        if found != rows {
            return Err(Error::Lengths { what: "features", found, rows });
        }
    }
    with_threads(work.threads, || {
        let fields = fields(training.features)?;
        let scale = training.scale(options.objective)?;
        let data = Data::new(&fields, training, scale);
        let held = validation.filter(|_| options.early_stop);
        let held = held.map(|held| Data::new(&fields, held, scale));
        let held = held.filter(|held| held.weights.iter().any(|weight| *weight > 0.0));
        let mut random = Random::new(options.seed);
        let net = Net::new(Shape::new(options, &fields), &fields, &mut random);
        let categories = fields.iter().map(|field| field.is_category().then_some(field.first));
        let mut course = Course {
            options,
            work,
            data: &data,
            held: held.as_ref(),
            categories: categories.collect(),
            order: Vec::new(),
            steps: 0,
            pass: Pass::default(),
            random,
        };
        let counted = 0..data.labels.len() as u32;
        course.order = counted.filter(|row| data.weights[*row as usize] > 0.0).collect();
        let (net, epochs, losses, held) = course.run(net)?;
        Ok(Training {
            model: Model::new(options.objective, fields, scale, net),
            epochs,
            losses,
            held,
        })
    })
}

/// A training under way.
struct Course<'a> {
    options: &'a Options,
    work: &'a Work<'a>,
    data: &'a Data,
    held: Option<&'a Data>,
    /// Of each field that is a category, its row for unknown ones.
    categories: Vec<Option<u32>>,
    order: Vec<u32>,
    /// Steps so far.
    steps: usize,
    pass: Pass,
    random: Random,
}

impl Course<'_> {
    /// The best epoch's net, its number, and the losses of all.
    fn run(&mut self, mut net: Net) -> Result<(Net, usize, Vec<f32>, Vec<f64>), Error> {
        let (mut losses, mut held) = (Vec::new(), Vec::new());
        let (mut best, mut kept) = (f64::INFINITY, None);
        for epoch in 1..=self.options.epochs {
            let loss = self.epoch(&mut net, epoch)?;
            losses.push(loss);
            let Some(data) = self.held else { continue };
            let loss = self.measure(&net, data, (epoch, loss))?;
            held.push(loss);
            if loss < best || kept.is_none() {
                let mut net = net.clone();
                net.forget();
                (best, kept) = (loss, Some((net, epoch)));
            }
            let at = kept.as_ref().map_or(epoch, |(_, epoch)| *epoch);
            if epoch - at == PATIENCE {
                break;
            }
        }
        let (net, epochs) = kept.unwrap_or((net, losses.len()));
        Ok((net, epochs, losses, held))
    }

    /// One pass over the rows in a new order; the mean loss.
    fn epoch(&mut self, net: &mut Net, epoch: usize) -> Result<f32, Error> {
        let Options { batch_size, epochs, .. } = *self.options;
        for place in (1..self.order.len()).rev() {
            self.order.swap(place, self.random.below(place + 1));
        }
        let order = std::mem::take(&mut self.order);
        let (mut loss, mut weight, mut done) = (0.0, 0.0, 0);
        let all = epochs * order.len().div_ceil(batch_size);
        for rows in order.chunks(batch_size) {
            let left = 1.0 - self.steps as f32 / all as f32;
            self.steps += 1;
            let adam = Adam::new(self.options.learning_rate * left, self.steps);
            let (of_rows, weights) = self.step(net, rows, adam.with_l2(self.options.l2));
            loss += of_rows;
            weight += weights;
            done += rows.len();
            self.tell(epoch, (done, order.len()), Some((loss / weight) as f32))?;
        }
        self.order = order;
        Ok((loss / weight) as f32)
    }

    /// The sum of losses of some rows, and of their weights; the net moves against the gradient of
    /// the mean.
    fn step(&mut self, net: &mut Net, rows: &[u32], adam: Adam) -> (f64, f64) {
        let work = (self.work.level, self.work.threads.max(1));
        let Self { data, categories, options, .. } = self;
        let (seed, fields) = (self.random.number(), categories.len());
        let token = |row: usize, field: usize| match categories[field] {
            Some(unknown) if unit(dice(seed, row * fields + field)) < options.category_dropout => {
                (unknown, 1.0)
            }
            _ => data.tokens[rows[row] as usize * fields + field],
        };
        self.pass.forward(work, (net, &net.packed()), rows.len(), &token);
        let of = |row: &u32| (data.labels[*row as usize], data.weights[*row as usize]);
        let weights: f64 = rows.iter().map(|row| of(row).1).sum();
        let (mut loss, mut slopes) = (0.0, Vec::with_capacity(rows.len()));
        for ((label, weight), score) in rows.iter().map(of).zip(&self.pass.scores) {
            let (off, slope) = options.objective.loss(f64::from(*score), label);
            loss += weight * off;
            slopes.push((slope * weight / weights) as f32);
        }
        let gradients = self.pass.backward(work, net, &slopes);
        self.pass.step(work, net, &gradients, adam);
        (loss, weights)
    }

    /// The mean loss of a part; `at` is told, the epoch and its loss.
    fn measure(&mut self, net: &Net, data: &Data, at: (usize, f32)) -> Result<f64, Error> {
        let work = (self.work.level, self.work.threads.max(1));
        let (packed, fields) = (net.packed(), self.categories.len());
        let (rows, mut loss, mut weights) = (data.labels.len(), 0.0, 0.0);
        for start in (0..rows).step_by(BLOCK) {
            let count = BLOCK.min(rows - start);
            let token = |row: usize, field: usize| data.tokens[(start + row) * fields + field];
            self.pass.forward(work, (net, &packed), count, &token);
            for (row, score) in (start..).zip(&self.pass.scores) {
                let (off, _) = self.options.objective.loss(f64::from(*score), data.labels[row]);
                loss += data.weights[row] * off;
                weights += data.weights[row];
            }
            self.tell(at.0, (self.order.len(), self.order.len()), Some(at.1))?;
        }
        Ok(loss / weights)
    }

    fn tell(
        &self,
        epoch: usize,
        (examples, of): (usize, usize),
        loss: Option<f32>,
    ) -> Result<(), Error> {
        let (held_out, epochs) = (self.held.is_some(), self.options.epochs);
        let progress = Progress { held_out, epoch, epochs, examples, of, loss };
        match (self.work.watch)(progress).is_break() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }
}

/// A random word for each place of a step.
fn dice(seed: u64, place: usize) -> u64 {
    Random::new(seed ^ place as u64).number()
}
