//! `ab_ttest_clustered(y, variant, cluster, …)`: a difference of means whose rows come in clusters.

use std::collections::BTreeMap;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::clusters::{Cluster, Correction, Part, clustered};
use kernels::statistics::comparison::{Comparison, Options, Status};
use kernels::statistics::double::Double;

use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Shape, Type};
use crate::two_sample::{
    ClusterSums, Pair, TwoSample, arm_arguments, comparison_shape, options, test_arguments, write,
};

/// The aggregate.
#[derive(Debug, Clone, Default)]
pub struct Clustered;

/// How to test.
#[derive(Debug)]
pub struct ClusterOptions {
    test: Options,
    correction: Correction,
}

impl TwoSample for Clustered {
    type Side = ClusterSums;
    type Options = ClusterOptions;
    type Batch<'a> = (&'a Float64Array, &'a StringArray);
    const ARM: usize = 1;
    const EACH: &'static str = "ab_ttest_clustered_each";

    fn call() -> Call {
        let mut arguments = vec![
            required("y", Kind::Number, "the metric, any number of rows per cluster"),
            required("variant", Kind::Arm, "the arm of the row"),
            required("cluster", Kind::Text, "what was randomised: a user, a shop, a block of time"),
        ];
        arguments.extend(arm_arguments());
        arguments.extend(test_arguments());
        arguments.push(option("correction", Kind::Text, "'cr1' (default) or 'cr0'"));
        Call { name: "ab_ttest_clustered", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        let mut shape = comparison_shape();
        shape.push(("n_clusters", Type::Count));
        shape
    }

    fn options(given: &Given) -> EngineResult<ClusterOptions> {
        let choices = [("cr1", Correction::Cr1), ("cr0", Correction::Cr0)];
        Ok(ClusterOptions {
            test: options(given)?,
            correction: given.choice("correction", &choices)?,
        })
    }

    fn batch<'a>(
        columns: &'a [ArrayRef],
        _: &ClusterOptions,
    ) -> EngineResult<(&'a Float64Array, &'a StringArray)> {
        Ok((columns[0].as_primitive::<Float64Type>(), columns[2].as_string::<i32>()))
    }

    fn push(
        side: &mut ClusterSums,
        (values, clusters): &(&Float64Array, &StringArray),
        rows: &[u32],
    ) -> u64 {
        let mut nulls = 0;
        for row in rows.iter().map(|row| *row as usize) {
            if values.is_null(row) || clusters.is_null(row) {
                nulls += 1;
            } else if values.value(row).is_finite() {
                let sum = Double::from(values.value(row));
                side.add(clusters.value(row), Part { count: 1, sum });
            } else {
                side.not_finite += 1;
            }
        }
        nulls
    }

    fn finish(pair: &Pair<'_, Self>, options: &ClusterOptions, output: &mut Output) {
        // In the order of their names, so that sums do not depend on how the rows came.
        let mut clusters: BTreeMap<&str, Cluster> = BTreeMap::new();
        for (arm, side) in [pair.control, pair.treatment].into_iter().enumerate() {
            for (name, part) in &side.parts {
                clusters.entry(name).or_default().parts[arm] = *part;
            }
        }
        let clusters: Vec<Cluster> = clusters.into_values().collect();
        let mut row = clustered(&clusters, options.correction, &options.test);
        let not_finite = pair.control.not_finite + pair.treatment.not_finite;
        if not_finite > 0 {
            row = Comparison::without(Status::NonFinite, row.control, row.treatment);
        }
        write(&row, pair.nulls, not_finite, pair.ambiguous, output);
        output.count(clusters.len() as u64);
    }
}

const DOC: Doc = Doc {
    summary: "Test of a difference of means with cluster-robust errors (Liang & Zeger 1986): CR1 \
              as in Stata and statsmodels, clusters - 1 degrees of freedom. A cluster may lie in \
              one arm or in both. Rows with a NULL are counted in n_null and left out.",
    example: (
        "SELECT (ab_ttest_clustered(y, arm, shop)).df FROM (VALUES (1, 'control', 'a'), (2, 'control', 'b'), \
         (3, 'treatment', 'c'), (5, 'treatment', 'd')) t(y, arm, shop)",
        "3",
    ),
};
