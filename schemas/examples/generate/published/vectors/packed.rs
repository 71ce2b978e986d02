//! MessagePack spelled out value by value, for bytes that the crate itself would never write.

/// A value, or bytes as they are.
#[derive(Clone)]
pub(crate) enum Packed {
    Nil,
    Bool(bool),
    Uint(u64),
    Int(i64),
    F32(f32),
    F64(f64),
    Str(&'static str),
    Bin(Vec<u8>),
    Array(Vec<Packed>),
    Map(Vec<(&'static str, Packed)>),
    Bytes(Vec<u8>),
}

pub(crate) use Packed::{Array, Bin, Bool, Bytes, F32, F64, Int, Map, Nil, Str, Uint};

impl Packed {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, to: &mut Vec<u8>) {
        const NEVER: &str = "a vector takes every byte";
        match self {
            Nil => rmp::encode::write_nil(to).expect(NEVER),
            Bool(value) => rmp::encode::write_bool(to, *value).expect(NEVER),
            Uint(value) => drop(rmp::encode::write_uint(to, *value).expect(NEVER)),
            Int(value) => drop(rmp::encode::write_sint(to, *value).expect(NEVER)),
            F32(value) => rmp::encode::write_f32(to, *value).expect(NEVER),
            F64(value) => rmp::encode::write_f64(to, *value).expect(NEVER),
            Str(value) => rmp::encode::write_str(to, value).expect(NEVER),
            Bin(value) => rmp::encode::write_bin(to, value).expect(NEVER),
            Array(items) => {
                rmp::encode::write_array_len(to, u32::try_from(items.len()).expect("few")).expect(NEVER);
                items.iter().for_each(|item| item.write(to));
            }
            Map(entries) => {
                rmp::encode::write_map_len(to, u32::try_from(entries.len()).expect("few")).expect(NEVER);
                for (key, value) in entries {
                    Str(key).write(to);
                    value.write(to);
                }
            }
            Bytes(bytes) => to.extend_from_slice(bytes),
        }
    }
}

/// A tensor `x`: FP32, shape [2], data 1.0 and -2.0.
pub(crate) fn tensor() -> Vec<(&'static str, Packed)> {
    vec![
        ("name", Str("x")),
        ("datatype", Str("FP32")),
        ("shape", Array(vec![Uint(2)])),
        ("data", Bin(vec![0, 0, 128, 63, 0, 0, 0, 192])),
    ]
}

/// The same tensor with another value under one of its keys.
pub(crate) fn tensor_with(key: &str, value: Packed) -> Packed {
    let mut tensor = tensor();
    tensor.iter_mut().find(|(name, _)| *name == key).expect("a key of a tensor").1 = value;
    Map(tensor)
}

/// A job of these inputs.
pub(crate) fn job(inputs: Vec<Packed>) -> Packed {
    Map(vec![("inputs", Array(inputs))])
}

/// A job of one tensor and this entry beside it.
pub(crate) fn job_beside(key: &'static str, value: Packed) -> Packed {
    Map(vec![("inputs", Array(vec![Map(tensor())])), (key, value)])
}
