//! Named arrays as bytes, in the safetensors format: eight bytes with the length of a JSON header,
//! the header, the arrays. <https://huggingface.co/docs/safetensors>
//!
//! The header's `__metadata__` holds a JSON description of ours, and the CRC-32 of all bytes after
//! the length, with zeros in its own place. Numbers are little-endian.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Elements that an array can have.
pub(super) trait Element: Copy + Sized {
    const NAME: &'static str;
    fn write(self, out: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! element {
    ($type:ty, $name:literal) => {
        impl Element for $type {
            const NAME: &'static str = $name;

            fn write(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn read(bytes: &[u8]) -> Vec<Self> {
                let (words, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                words.iter().map(|word| <$type>::from_le_bytes(*word)).collect()
            }
        }
    };
}

element!(f32, "F32");
element!(u32, "U32");
element!(u64, "U64");
element!(f64, "F64");

/// Arrays on their way to bytes.
#[derive(Debug, Default)]
pub(super) struct Writer {
    header: Map<String, Value>,
    data: Vec<u8>,
}

impl Writer {
    /// Adds an array; its shape's product is the number of elements.
    pub fn add<T: Element>(&mut self, name: &str, shape: &[usize], all: impl Iterator<Item = T>) {
        let start = self.data.len();
        all.for_each(|x| x.write(&mut self.data));
        let offsets = [start, self.data.len()];
        let tensor = json!({ "dtype": T::NAME, "shape": shape, "data_offsets": offsets });
        self.header.insert(name.to_string(), tensor);
    }

    /// Adds an array of one dimension.
    pub fn list<T: Element>(&mut self, name: &str, all: &[T]) {
        self.add(name, &[all.len()], all.iter().copied());
    }

    pub fn finish(mut self, description: &Value) -> Vec<u8> {
        let metadata = json!({ "description": description.to_string(), "crc32": NOT_YET });
        self.header.insert("__metadata__".to_string(), metadata);
        let mut header = Value::Object(self.header).to_string();
        // So that arrays of words are aligned.
        header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
        let check = checksum(&header, &self.data);
        let header = header.replacen(&place(NOT_YET), &place(&format!("{check:08x}")), 1);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.append(&mut self.data);
        bytes
    }
}

/// What stands in the place of the checksum while it is computed.
const NOT_YET: &str = "00000000";

fn place(check: &str) -> String {
    format!("\"crc32\":\"{check}\"")
}

fn checksum(header: &str, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header.as_bytes());
    hasher.update(data);
    hasher.finalize()
}

/// Arrays read back.
#[derive(Debug)]
pub(super) struct File<'a> {
    pub description: Value,
    tensors: BTreeMap<String, (String, &'a [u8])>,
}

impl<'a> File<'a> {
    /// `None` when the bytes are not what `Writer` wrote.
    pub fn open(bytes: &'a [u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (header, data) = rest.split_at_checked(length)?;
        let text = std::str::from_utf8(header).ok()?;
        let mut header: Map<String, Value> = serde_json::from_str(text).ok()?;
        let metadata = header.remove("__metadata__")?;
        let (description, given) =
            (metadata.get("description")?.as_str()?, metadata.get("crc32")?.as_str()?);
        let blank = text.replacen(&place(given), &place(NOT_YET), 1);
        if given != format!("{:08x}", checksum(&blank, data)) {
            return None;
        }
        let mut tensors = BTreeMap::new();
        for (name, tensor) in header {
            let kind = tensor.get("dtype")?.as_str()?.to_string();
            let offset = |place: usize| {
                usize::try_from(tensor.get("data_offsets")?.get(place)?.as_u64()?).ok()
            };
            tensors.insert(name, (kind, data.get(offset(0)?..offset(1)?)?));
        }
        Some(Self { description: serde_json::from_str(description).ok()?, tensors })
    }

    /// An array by name, when it is there with these elements.
    pub fn list<T: Element>(&self, name: &str) -> Option<Vec<T>> {
        let (kind, bytes) = self.tensors.get(name)?;
        (kind == T::NAME).then(|| T::read(bytes))
    }
}
