//! The loop of boosting.

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::bins::Binned;
use super::grow::Grower;
use super::quantised::Quantised;
use super::{Error, Feature, Parameters, Part};
use crate::ann::Random;
use crate::models::refused::check_rows;
use crate::models::trees::{Forest, Tree};

/// How far training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Iterations done.
    pub iteration: usize,
    pub iterations: usize,
    /// Leaves of the tree that grows; 0 between trees.
    pub leaves: usize,
    /// Loss of the validation part after the last iteration: mean square, logistic loss, softmax
    /// loss, or 1 - NDCG.
    pub validation: Option<f64>,
}

/// Threads to train with, and whom to tell; `Break` ends it with `Cancelled`.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub threads: usize,
    /// Asked at each column that is binned, each split, and after each iteration.
    pub progress: &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync),
}

/// What an iteration reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    pub iteration: usize,
    pub validation: f64,
}

/// A trained forest and its history.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// Up to the best iteration where early stopping is on; features are named `Column_0` and on.
    pub forest: Forest,
    pub rounds: Vec<Round>,
    /// Iterations that the forest holds.
    pub best_iteration: usize,
}

/// Bytes that training holds beside the columns it is given.
pub fn memory_bytes(
    rows: usize,
    validation_rows: usize,
    features: usize,
    threads: usize,
    parameters: &Parameters,
) -> usize {
    let outputs = parameters.objective.outputs();
    let histogram = features.next_multiple_of(super::bins::LANES) * 256 * 16;
    let bins = rows * features.next_multiple_of(super::bins::LANES);
    // Scores and gradients of each output; cells twice, row numbers twice, the bag.
    let row = outputs * (8 + 16) + 2 * 16 + 3 * 4;
    let sample = threads.min(features) * rows.min(parameters.bin_construct_sample_cnt) * 8;
    bins + rows * row
        + validation_rows * outputs * 8
        + histogram * (parameters.num_leaves + 1)
        + sample
}

/// Trains; the same bytes for the same input, parameters and seed, whatever the threads.
///
/// Validation rows, if given, have the same features in the same order.
pub fn train(
    parameters: &Parameters,
    training: &Part<'_>,
    validation: Option<&Part<'_>>,
    run: &Run<'_>,
) -> Result<Trained, Error> {
    parameters.check()?;
    check(parameters, training, training.features.len(), true)?;
    if let Some(part) = validation {
        check(parameters, part, training.features.len(), false)?;
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(run.threads.max(1)).build();
    match pool {
        Ok(pool) => pool.install(|| {
            let start = Progress {
                iteration: 0,
                iterations: parameters.num_iterations,
                leaves: 0,
                validation: None,
            };
            let go_on = || (run.progress)(start).is_continue();
            let binned = Binned::new(training.features, training.labels.len(), parameters, &go_on);
            let binned = binned.ok_or(Error::Cancelled)?;
            Boosting::new(parameters, training, validation).run(&binned, start, run)
        }),
        Err(_) => Err(Error::Threads),
    }
}

fn check(
    parameters: &Parameters,
    part: &Part<'_>,
    features: usize,
    training: bool,
) -> Result<(), Error> {
    let rows = part.labels.len();
    if part.features.len() != features {
        let found = part.features.len();
        return Err(Error::Lengths { what: "features", found, rows });
    }
    check_rows(part.features.iter().map(|feature| feature.values().len()), rows, part.weights)?;
    parameters.objective.check_groups(part)?;
    parameters.objective.check_labels(part, training)
}

struct Boosting<'a> {
    parameters: &'a Parameters,
    training: &'a Part<'a>,
    validation: Option<&'a Part<'a>>,
    random: Random,
    /// Of each output, before any tree.
    start: Vec<f64>,
    /// By output.
    scores: Vec<Vec<f64>>,
    validation_scores: Vec<Vec<f64>>,
    trees: Vec<Tree>,
    bag: Option<Vec<u32>>,
}

impl<'a> Boosting<'a> {
    fn new(
        parameters: &'a Parameters,
        training: &'a Part<'a>,
        validation: Option<&'a Part<'a>>,
    ) -> Self {
        let start = parameters.objective.start(training);
        let scores =
            |part: &Part<'_>| start.iter().map(|start| vec![*start; part.labels.len()]).collect();
        Self {
            parameters,
            training,
            validation,
            random: Random::new(parameters.seed),
            scores: scores(training),
            validation_scores: validation.map(scores).unwrap_or_default(),
            start,
            trees: Vec::new(),
            bag: None,
        }
    }

    fn run(
        mut self,
        binned: &Binned,
        mut progress: Progress,
        run: &Run<'_>,
    ) -> Result<Trained, Error> {
        let parameters = self.parameters;
        let outputs = parameters.objective.outputs();
        let (mut rounds, mut best) = (Vec::new(), (0, f64::INFINITY));
        let mut gradients = vec![vec![[0.0; 2]; binned.rows]; outputs];
        let mut quantised = Quantised::default();
        let mut grower = Grower::new(binned, parameters);
        for iteration in 0..parameters.num_iterations {
            self.draw_bag(iteration);
            parameters.objective.gradients(self.training, &self.scores, &mut gradients);
            let mut splits = 0;
            for (output, gradients) in gradients.iter().enumerate() {
                quantised.fill(gradients);
                let used = self.draw_features(binned);
                let go_on = |leaves| (run.progress)(Progress { leaves, ..progress }).is_continue();
                let tree = grower.grow(&quantised, self.bag.as_deref(), &used, go_on);
                let tree = tree.ok_or(Error::Cancelled)?;
                splits += tree.nodes.len();
                self.add(Tree { output, ..tree }, &grower, iteration == 0);
            }
            if splits == 0 && iteration > 0 {
                self.trees.truncate(iteration * outputs);
                break;
            }
            progress.iteration = iteration + 1;
            if let Some(part) = self.validation {
                let loss = parameters.objective.loss(part, &self.validation_scores);
                rounds.push(Round { iteration: iteration + 1, validation: loss });
                progress.validation = Some(loss);
                if loss < best.1 {
                    best = (iteration + 1, loss);
                }
            }
            if (run.progress)(progress).is_break() {
                return Err(Error::Cancelled);
            }
            let since = (iteration + 1).saturating_sub(best.0);
            let patience = parameters.early_stopping_rounds;
            if splits == 0 || self.validation.is_some() && patience > 0 && since >= patience {
                break;
            }
        }
        if self.validation.is_some() && parameters.early_stopping_rounds > 0 && best.0 > 0 {
            self.trees.truncate(best.0 * outputs);
        }
        let best_iteration = self.trees.len() / outputs;
        Ok(Trained { forest: self.forest(outputs), rounds, best_iteration })
    }

    fn forest(self, outputs: usize) -> Forest {
        let names = (0..self.training.features.len()).map(|number| format!("Column_{number}"));
        Forest {
            features: names.collect(),
            trees: self.trees,
            base: vec![0.0; outputs],
            average: false,
            link: self.parameters.objective.link(),
            single: false,
        }
    }

    /// Rows for the next trees, if it is their turn.
    fn draw_bag(&mut self, iteration: usize) {
        let (share, every) = (self.parameters.bagging_fraction, self.parameters.bagging_freq);
        if every == 0 || share >= 1.0 || !iteration.is_multiple_of(every) {
            return;
        }
        let limit = (share * u64::MAX as f64) as u64;
        let rows = 0..self.training.labels.len() as u32;
        let random = &mut self.random;
        self.bag = Some(rows.filter(|_| random.number() <= limit).collect());
    }

    /// Features for the next tree: a share of those that tell rows apart.
    fn draw_features(&mut self, binned: &Binned) -> Vec<bool> {
        let mut used: Vec<bool> = binned.bins.iter().map(|bins| bins.count() > 1).collect();
        let mut left = used.iter().filter(|used| **used).count();
        let mut wanted = (left as f64 * self.parameters.feature_fraction).round().max(1.0) as usize;
        for used in used.iter_mut().filter(|used| **used) {
            *used = self.random.below(left) < wanted;
            wanted -= usize::from(*used);
            left -= 1;
        }
        used
    }

    /// Adds a tree to the forest, and its values to the scores.
    fn add(&mut self, mut tree: Tree, grower: &Grower<'_>, first: bool) {
        let output = tree.output;
        let scores = &mut self.scores[output];
        match &self.bag {
            Some(_) => add_walked(&tree, self.training.features, scores),
            None => {
                for (rows, leaf) in grower.rows().zip(&tree.leaves) {
                    rows.iter().for_each(|row| scores[*row as usize] += leaf.value);
                }
            }
        }
        if let Some(part) = self.validation {
            add_walked(&tree, part.features, &mut self.validation_scores[output]);
        }
        if first {
            // The first trees carry where boosting started.
            let start = self.start[output];
            tree.leaves.iter_mut().for_each(|leaf| leaf.value += start);
        }
        self.trees.push(tree);
    }
}

fn add_walked(tree: &Tree, features: &[Feature<'_>], scores: &mut [f64]) {
    const CHUNK: usize = 4096;
    scores.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, scores)| {
        for (place, score) in scores.iter_mut().enumerate() {
            let row = chunk * CHUNK + place;
            *score += tree.leaves[tree.leaf(|feature| features[feature].values()[row])].value;
        }
    });
}
