//! Measures of predictions, against scikit-learn (`reference/metrics.py`) and against definitions.

#![allow(clippy::unwrap_used, clippy::panic)]

mod metrics {
    mod lists;
    mod merged;
    mod reference;
    mod rows;
}
