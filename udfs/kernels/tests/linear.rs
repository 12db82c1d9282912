//! Linear models, against scikit-learn (`reference/linear.py`) and against their own conditions.

#![allow(clippy::unwrap_used, clippy::panic)]

mod linear {
    mod conditions;
    mod parity;
    mod reference;
}
