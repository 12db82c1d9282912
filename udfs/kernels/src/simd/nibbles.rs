//! Fast scan: sums of table look-ups by 4-bit codes, 32 rows at a time, the tables in registers.
//!
//! ```text
//!   a block: 32 rows, `pairs` stretches of 32 bytes; byte r of stretch p is row r's code 2p in the
//!   low half and code 2p + 1 in the high half
//!   sum[r] = Σ_g tables[g][code of row r in g]
//! ```
//!
//! A table's entries are at most `ENTRY`, so that the two of a byte add without a carry; 16-bit
//! sums hold as long as the greatest entries of all tables add to at most 65535. Levels agree bit
//! for bit.

#![allow(unsafe_code)]

use super::level::{Level, Unit};

/// Rows of a block.
pub const BLOCK: usize = 32;

/// The greatest entry of a table.
pub const ENTRY: u8 = 127;

/// Groups come in fours: a 64-byte register holds two stretches.
pub const GROUPS: usize = 4;

/// Tables as registers want them: for two stretches the low halves' tables, then the high
/// halves', each twice in a row.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    wide: Vec<[u8; 128]>,
}

impl Tables {
    /// Lays out one table of sixteen entries for each group; missing groups of the last four are
    /// zeros.
    pub fn fill(&mut self, tables: &[[u8; 16]]) {
        self.wide.clear();
        for four in tables.chunks(GROUPS) {
            let mut wide = [0; 128];
            for (group, table) in four.iter().enumerate() {
                let start = (group % 2) * 64 + (group / 2) * 32;
                wide[start..start + 16].copy_from_slice(table);
                wide[start + 16..start + 32].copy_from_slice(table);
            }
            self.wide.push(wide);
        }
    }

    /// Bytes of a block for these tables.
    pub fn block_bytes(&self) -> usize {
        self.wide.len() * 2 * BLOCK
    }
}

/// Sums for whole blocks, as many as `codes` and `sums` both have room for, and for each block a
/// bit for each row whose sum is at least `least`; where there is none, the sums may be left
/// unwritten. `ahead` is asked for meanwhile: what will be read next.
pub fn scan(
    level: Level,
    tables: &Tables,
    (codes, ahead): (&[u8], &[u8]),
    least: u16,
    out: (&mut [[u16; BLOCK]], &mut [u32]),
) {
    if tables.wide.is_empty() {
        out.0.fill([0; BLOCK]);
        out.1.fill(if least == 0 { u32::MAX } else { 0 });
        return;
    }
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the features.
        Unit::Avx512 => unsafe { scan_avx512(tables, (codes, ahead), least, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Unit::Avx2 => unsafe { scan_avx2(tables, (codes, ahead), least, out) },
        #[cfg(target_arch = "aarch64")]
        Unit::Neon => blocks(tables, (codes, ahead), out, |codes, sums| {
            // SAFETY: every aarch64 processor has NEON.
            unsafe { block_neon(&tables.wide, codes, sums) };
            at_least(sums, least)
        }),
        Unit::Plain => blocks(tables, (codes, ahead), out, |codes, sums| {
            block_plain(&tables.wide, codes, sums);
            at_least(sums, least)
        }),
    }
}

/// Each block in turn, and of what comes ahead as many bytes.
#[inline(always)]
fn blocks(
    tables: &Tables,
    (codes, ahead): (&[u8], &[u8]),
    (sums, masks): (&mut [[u16; BLOCK]], &mut [u32]),
    block: impl Fn(&[u8], &mut [u16; BLOCK]) -> u32,
) {
    let step = tables.block_bytes();
    let mut ahead = ahead.chunks(step);
    for ((codes, sums), mask) in codes.chunks_exact(step).zip(sums).zip(masks) {
        if let Some(next) = ahead.next() {
            super::level::prefetch(next);
        }
        *mask = block(codes, sums);
    }
}

fn at_least(sums: &[u16; BLOCK], least: u16) -> u32 {
    let rows = sums.iter().enumerate();
    rows.fold(0, |mask, (row, sum)| mask | u32::from(*sum >= least) << row)
}

fn block_plain(tables: &[[u8; 128]], codes: &[u8], sums: &mut [u16; BLOCK]) {
    *sums = [0; BLOCK];
    for (tables, codes) in tables.iter().zip(codes.chunks_exact(64)) {
        for (half, stretch) in codes.chunks_exact(BLOCK).enumerate() {
            for (sum, code) in sums.iter_mut().zip(stretch) {
                let low = tables[half * 32 + usize::from(code & 15)];
                let high = tables[64 + half * 32 + usize::from(code >> 4)];
                *sum += u16::from(low) + u16::from(high);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2")]
fn scan_avx512(
    tables: &Tables,
    codes: (&[u8], &[u8]),
    least: u16,
    out: (&mut [[u16; BLOCK]], &mut [u32]),
) {
    use std::arch::x86_64::*;
    let low_half = _mm512_set1_epi8(15);
    let least = _mm512_set1_epi16(least.cast_signed());
    // SAFETY, of all blocks: this function has the features. A chunk of codes is 64 bytes, a table
    // of four groups twice that; 32 sums of 16 bits are 64 bytes.
    blocks(tables, codes, out, |codes, sums| unsafe {
        // 16-bit sums of bytes with what their neighbour carries in, and of the neighbours alone.
        let (mut both, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        for (tables, codes) in tables.wide.iter().zip(codes.as_chunks::<64>().0) {
            let codes = _mm512_loadu_si512(codes.as_ptr().cast());
            let low = _mm512_loadu_si512(tables.as_ptr().cast());
            let high = _mm512_loadu_si512(tables.as_ptr().add(64).cast());
            let low = _mm512_shuffle_epi8(low, _mm512_and_si512(codes, low_half));
            let codes = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), low_half);
            let sum = _mm512_add_epi8(low, _mm512_shuffle_epi8(high, codes));
            both = _mm512_add_epi16(both, sum);
            odd = _mm512_add_epi16(odd, _mm512_srli_epi16::<8>(sum));
        }
        let even = _mm512_sub_epi16(both, _mm512_slli_epi16::<8>(odd));
        let fold =
            |x| _mm256_add_epi16(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64::<1>(x));
        let (even, odd) = (fold(even), fold(odd));
        let low = _mm256_unpacklo_epi16(even, odd);
        let high = _mm256_unpackhi_epi16(even, odd);
        let first = _mm256_permute2x128_si256::<0x20>(low, high);
        let second = _mm256_permute2x128_si256::<0x31>(low, high);
        let all = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second);
        let mask = _mm512_cmpge_epu16_mask(all, least);
        if mask != 0 {
            _mm512_storeu_si512(sums.as_mut_ptr().cast(), all);
        }
        mask
    });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn scan_avx2(
    tables: &Tables,
    codes: (&[u8], &[u8]),
    least: u16,
    out: (&mut [[u16; BLOCK]], &mut [u32]),
) {
    use std::arch::x86_64::*;
    let low_half = _mm256_set1_epi8(15);
    let least = _mm256_set1_epi16(least.cast_signed());
    // SAFETY, of all blocks: this function has the features. Codes are 64 bytes, tables 128; `half`
    // is 0 or 32; 32 sums of 16 bits are two registers of 32 bytes.
    blocks(tables, codes, out, |codes, sums| unsafe {
        let (mut both, mut odd) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for (tables, codes) in tables.wide.iter().zip(codes.as_chunks::<64>().0) {
            for half in [0, 32] {
                let codes = _mm256_loadu_si256(codes.as_ptr().add(half).cast());
                let low = _mm256_loadu_si256(tables.as_ptr().add(half).cast());
                let high = _mm256_loadu_si256(tables.as_ptr().add(64 + half).cast());
                let low = _mm256_shuffle_epi8(low, _mm256_and_si256(codes, low_half));
                let codes = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), low_half);
                let sum = _mm256_add_epi8(low, _mm256_shuffle_epi8(high, codes));
                both = _mm256_add_epi16(both, sum);
                odd = _mm256_add_epi16(odd, _mm256_srli_epi16::<8>(sum));
            }
        }
        let even = _mm256_sub_epi16(both, _mm256_slli_epi16::<8>(odd));
        let low = _mm256_unpacklo_epi16(even, odd);
        let high = _mm256_unpackhi_epi16(even, odd);
        let first = _mm256_permute2x128_si256::<0x20>(low, high);
        let second = _mm256_permute2x128_si256::<0x31>(low, high);
        _mm256_storeu_si256(sums.as_mut_ptr().cast(), first);
        _mm256_storeu_si256(sums.as_mut_ptr().add(16).cast(), second);
        // A sum reaches the least where it is the greater of both; packed, a byte for each row.
        let reach = |x| _mm256_cmpeq_epi16(_mm256_max_epu16(x, least), x);
        let packed = _mm256_packs_epi16(reach(first), reach(second));
        let rows = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
        _mm256_movemask_epi8(rows).cast_unsigned()
    });
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn block_neon(tables: &[[u8; 128]], codes: &[u8], sums: &mut [u16; BLOCK]) {
    use std::arch::aarch64::*;
    let low_half = vdupq_n_u8(15);
    let mut totals = [vdupq_n_u16(0); 4];
    for (tables, codes) in tables.iter().zip(codes.as_chunks::<64>().0) {
        for half in [0, 32] {
            // SAFETY: a table is 128 bytes and a stretch of it starts at 0, 32, 64 or 96.
            let (low, high) = unsafe {
                (vld1q_u8(tables.as_ptr().add(half)), vld1q_u8(tables.as_ptr().add(64 + half)))
            };
            for part in 0..2 {
                // SAFETY: codes are 64 bytes; `half` is 0 or 32 and a part is 16 bytes.
                let codes = unsafe { vld1q_u8(codes.as_ptr().add(half + part * 16)) };
                let sum = vaddq_u8(
                    vqtbl1q_u8(low, vandq_u8(codes, low_half)),
                    vqtbl1q_u8(high, vshrq_n_u8::<4>(codes)),
                );
                totals[part * 2] = vaddw_u8(totals[part * 2], vget_low_u8(sum));
                totals[part * 2 + 1] = vaddw_u8(totals[part * 2 + 1], vget_high_u8(sum));
            }
        }
    }
    for (eight, total) in sums.chunks_exact_mut(8).zip(totals) {
        // SAFETY: eight sums of 16 bits are one register.
        unsafe { vst1q_u16(eight.as_mut_ptr(), total) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_gives_the_same_sums() {
        for groups in [4, 8, 12, 64, 260, 512] {
            // As the limit of 16 bits demands: 512 tables of at most 127 add to 65024.
            let tables: Vec<[u8; 16]> = (0..groups)
                .map(|g| std::array::from_fn(|c| ((g * 31 + c * 53) % 128) as u8))
                .collect();
            let mut wide = Tables::default();
            wide.fill(&tables);
            let codes: Vec<u8> =
                (0..5 * wide.block_bytes()).map(|i| (i * 7919 % 256) as u8).collect();
            let naive: Vec<[u16; BLOCK]> = (0..5)
                .map(|block| std::array::from_fn(|row| naive_sum(&tables, &codes, block, row)))
                .collect();
            for level in Level::all() {
                for least in [0, 1, 900, 5000, u16::MAX] {
                    let (mut sums, mut masks) = (vec![[0; BLOCK]; 5], vec![7; 5]);
                    scan(level, &wide, (&codes, &codes[..7]), least, (&mut sums, &mut masks));
                    for ((sums, mask), naive) in sums.iter().zip(&masks).zip(&naive) {
                        assert_eq!(*mask, at_least(naive, least), "{} {least}", level.name());
                        assert!(*mask == 0 || sums == naive, "{}", level.name());
                    }
                }
            }
        }
    }

    fn naive_sum(tables: &[[u8; 16]], codes: &[u8], block: usize, row: usize) -> u16 {
        let stretches = codes.chunks_exact(BLOCK).skip(block * tables.len() / 2);
        let pairs = tables.chunks_exact(2).zip(stretches);
        pairs
            .map(|(pair, stretch)| {
                let code = usize::from(stretch[row]);
                u16::from(pair[0][code & 15]) + u16::from(pair[1][code >> 4])
            })
            .sum()
    }
}
