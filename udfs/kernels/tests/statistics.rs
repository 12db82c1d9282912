//! Statistics against values that other programs computed; `reference/` holds the values and what
//! made them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::type_complexity)]

mod statistics {
    mod calibration;
    mod divergences;
    mod experiments;
    mod kll;
    mod moments;
    mod ranks;
    mod reference;
    mod tails;
}
