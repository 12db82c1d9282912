//! What kernels are told, field by field as `device.cu` has it, and how it becomes bytes.

#![allow(unsafe_code)]

/// Of a row: its length, and how far its half floats are from it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    pub length: f32,
    pub error: f32,
}

/// Of a query; `bounds` has the formula.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    pub scale: f32,
    pub square: f32,
    pub error: f32,
    pub length: f32,
    /// A shorter row is scored on the host.
    pub least: f32,
    pub cosine: u32,
}

/// The one argument of every kernel; addresses are the machine's.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Job {
    pub rows: u64,
    pub sizes: u64,
    pub visible: u64,
    pub queries: u64,
    pub terms: u64,
    pub products: u64,
    pub limits: u64,
    pub fresh: u64,
    pub found: u64,
    pub kept: u64,
    pub next: u64,
    pub held: u64,
    pub full: u64,
    pub units: u32,
    pub first: u32,
    pub end: u32,
    pub wanted: u32,
    pub room: u32,
    pub queries_count: u32,
    pub stride: u32,
    pub unused: u32,
}

/// Numbers without padding, of which any bits are a value.
pub trait Plain: Copy {}

impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for f32 {}
impl Plain for Size {}
impl Plain for Terms {}
impl Plain for Job {}

/// The memory of a slice.
pub fn bytes<T: Plain>(slice: &[T]) -> &[u8] {
    // SAFETY: `Plain` types have no padding, so all bytes are there; the length is the slice's.
    unsafe { std::slice::from_raw_parts(slice.as_ptr().cast(), size_of_val(slice)) }
}

/// The same, to be written.
pub fn bytes_mut<T: Plain>(slice: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and any bytes are a value of a `Plain` type.
    unsafe { std::slice::from_raw_parts_mut(slice.as_mut_ptr().cast(), size_of_val(slice)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_padded() {
        assert_eq!(size_of::<Job>(), 13 * 8 + 8 * 4);
        assert_eq!((size_of::<Size>(), size_of::<Terms>()), (8, 24));
        assert_eq!(bytes(&[1u16, 0x203]), [1, 0, 3, 2]);
    }
}
