//! Half floats and back, without a branch, so that loops over them become vectors everywhere.

/// The exact value of a half float; infinities and NaNs stay what they are.
#[inline(always)]
pub fn widen(half: u16) -> f32 {
    let bits = u32::from(half);
    // The exponent's bias differs by 112; a product moves it, and makes subnormals normal.
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(magnitude.to_bits() | special | ((bits & 0x8000) << 16))
}

/// The nearest half float, ties to even. What is too great becomes infinite: pgvector calls that
/// an error, and so can the caller by asking `is_infinite` of `widen`.
#[inline(always)]
pub fn narrow(value: f32) -> u16 {
    const OVERFLOW: u32 = (127 + 16) << 23;
    const LEAST_NORMAL: u32 = (127 - 14) << 23;
    // Adding this puts a subnormal half's bits at the end of the sum's.
    const SHIFT: u32 = (127 - 15 + 23 - 10 + 1) << 23;
    let sign = value.to_bits() & 0x8000_0000;
    let bits = value.to_bits() ^ sign;
    let subnormal = (f32::from_bits(bits) + f32::from_bits(SHIFT)).to_bits().wrapping_sub(SHIFT);
    let odd = (bits >> 13) & 1;
    let normal = bits.wrapping_sub((127 - 15) << 23).wrapping_add(0xfff + odd) >> 13;
    let special = if bits > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    let half = if bits < LEAST_NORMAL { subnormal } else { normal };
    let half = if bits >= OVERFLOW { special } else { half };
    // At most 0x7fff, and the sign is one bit.
    ((half | (sign >> 16)) & 0xffff) as u16
}

/// `widen` for a slice; the shorter length counts.
pub fn widen_all(halves: &[u16], out: &mut [f32]) {
    out.iter_mut().zip(halves).for_each(|(out, half)| *out = widen(*half));
}

/// `narrow` for a slice; the shorter length counts.
pub fn narrow_all(values: &[f32], out: &mut [u16]) {
    out.iter_mut().zip(values).for_each(|(out, value)| *out = narrow(*value));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition in IEEE 754, for all 65536.
    #[test]
    fn widens_every_half() {
        for bits in 0..=u16::MAX {
            let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
            let magnitude = match exponent {
                0 => fraction * 2f64.powi(-24),
                31 if fraction > 0.0 => f64::NAN,
                31 => f64::INFINITY,
                _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
            };
            let expected = if bits >> 15 == 1 { -magnitude } else { magnitude };
            let value = f64::from(widen(bits));
            assert!(value == expected || value.is_nan() && expected.is_nan(), "{bits:04x}");
            if !value.is_nan() {
                assert_eq!(narrow(widen(bits)), bits);
            }
        }
    }

    /// Half-way values go to the even neighbour, others to the nearer.
    #[test]
    fn narrows_to_the_nearest() {
        for low in (0..0x7bff_u16).chain(0x8000..0xfbff) {
            let (a, b) = (widen(low), widen(low + 1));
            let middle = (a + b) / 2.0;
            let even = if low % 2 == 0 { low } else { low + 1 };
            assert_eq!(narrow(middle), even, "{low:04x}");
            let step = (b - a).abs() * 0.01;
            assert_eq!(narrow(middle - step.copysign(middle)), low);
            assert_eq!(narrow(middle + step.copysign(middle)), low + 1);
        }
        assert_eq!(narrow(65519.0), 0x7bff);
        assert_eq!(narrow(65520.0), 0x7c00);
        assert_eq!(narrow(f32::NEG_INFINITY), 0xfc00);
        assert!(widen(narrow(f32::NAN)).is_nan());
        assert_eq!(narrow(1e-10), 0);
    }
}
