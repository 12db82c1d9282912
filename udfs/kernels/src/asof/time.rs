//! Times as i64: integers and instants as they are, floats in an order-preserving form.
//!
//! A float's bits, read as an integer, ascend with it while it is positive and descend while it is
//! negative; flipping the lower bits of negative ones makes one ascending line:
//!
//! ```text
//!   -inf … -1.0 … 0.0 … 1.0 … inf, NaN        NaN is last and equal to itself, -0.0 is 0.0
//! ```

/// What the distance of two times is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Of numbers and instants.
    Integer,
    /// Of floats in the form of `time_of_float`.
    Float,
}

impl Axis {
    /// Whether `a` is no further from `t` than `b` is; `a` is at or before `t`, `b` at or after.
    pub fn is_nearer(self, t: i64, a: i64, b: i64) -> bool {
        match self {
            Self::Integer => t.abs_diff(a) <= t.abs_diff(b),
            Self::Float => distance(a, t) <= distance(t, b),
        }
    }

    /// `t` less `by`, no lower than the axis goes.
    pub fn before(self, t: i64, by: i64) -> i64 {
        match self {
            Self::Integer => t.saturating_sub(by),
            Self::Float => time_of_float(float_of(t) - float_of(by)),
        }
    }

    /// `t` and `by` together, no higher than the axis goes.
    pub fn after(self, t: i64, by: i64) -> i64 {
        match self {
            Self::Integer => t.saturating_add(by),
            Self::Float => time_of_float(float_of(t) + float_of(by)),
        }
    }
}

/// How far apart two floats are; infinite ones that are equal are not apart.
fn distance(low: i64, high: i64) -> f64 {
    if low == high { 0.0 } else { float_of(high) - float_of(low) }
}

/// A float's place on the line of times.
pub fn time_of_float(value: f64) -> i64 {
    let value = match value {
        v if v.is_nan() => f64::NAN.abs(),
        0.0 => 0.0,
        v => v,
    };
    flip(value.to_bits() as i64)
}

/// The float at a place; see `time_of_float`.
pub fn float_of(time: i64) -> f64 {
    f64::from_bits(flip(time) as u64)
}

fn flip(bits: i64) -> i64 {
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_keep_their_order() {
        let floats = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.5,
            -f64::MIN_POSITIVE,
            0.0,
            5e-324,
            1.0,
            1.5,
            f64::MAX,
            f64::INFINITY,
            f64::NAN,
        ];
        let times: Vec<i64> = floats.iter().map(|f| time_of_float(*f)).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        let again: Vec<i64> = times.iter().map(|t| time_of_float(float_of(*t))).collect();
        assert_eq!(again, times);
        assert_eq!(time_of_float(-0.0), time_of_float(0.0));
        assert_eq!(time_of_float(-f64::NAN), time_of_float(f64::NAN));
    }

    #[test]
    fn the_nearer_is_nearer_on_each_axis() {
        assert!(Axis::Integer.is_nearer(10, 8, 12));
        assert!(!Axis::Integer.is_nearer(10, 7, 12));
        assert!(!Axis::Integer.is_nearer(i64::MAX, i64::MIN, i64::MAX));
        let [t, a, b] = [1.0, 0.25, 1.5].map(time_of_float);
        assert!(!Axis::Float.is_nearer(t, a, b));
        // Between -inf and 1 all is infinitely far from -inf.
        let low = time_of_float(f64::NEG_INFINITY);
        assert!(!Axis::Float.is_nearer(t, low, b));
        assert!(Axis::Float.is_nearer(low, low, b));
    }
}
