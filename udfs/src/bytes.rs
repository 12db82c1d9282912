//! States as bytes: little endian, lengths before what they measure.

use kernels::statistics::double::Double;

/// Eight bytes as a number, off the front.
pub fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*first))
}

/// A slice whose length stands before it, off the front.
pub fn take_slice<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_u64(bytes)?).ok()?;
    let (first, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(first)
}

/// A slice with its length before it.
pub fn put_slice(bytes: &mut Vec<u8>, slice: &[u8]) {
    bytes.extend((slice.len() as u64).to_le_bytes());
    bytes.extend(slice);
}

/// What `put` adds, as a slice with its length before it.
pub fn put_with(bytes: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.extend([0; size_of::<u64>()]);
    put(bytes);
    let length = (bytes.len() - start - size_of::<u64>()) as u64;
    bytes[start..start + size_of::<u64>()].copy_from_slice(&length.to_le_bytes());
}

/// Sums with all their bits.
pub fn put_doubles(bytes: &mut Vec<u8>, sums: &[Double]) {
    let numbers = sums.iter().flat_map(|sum| [sum.hi, sum.lo]);
    numbers.for_each(|number| bytes.extend(number.to_le_bytes()));
}

/// As many sums, off the front.
pub fn take_doubles<const N: usize>(bytes: &mut &[u8]) -> Option<[Double; N]> {
    let mut sums = [Double::default(); N];
    for sum in &mut sums {
        let mut number = || take_u64(bytes).map(f64::from_bits);
        *sum = Double { hi: number()?, lo: number()? };
    }
    Some(sums)
}

/// Numbers to the end of the bytes.
pub fn take_numbers(bytes: &[u8]) -> Option<impl Iterator<Item = u64> + '_> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    rest.is_empty().then(|| chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)))
}
