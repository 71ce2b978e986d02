//! Which Rust types are elements of which datatype, and their little-endian bytes.

use crate::Datatype;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that is the element of one datatype. FP16 and BF16 have none in the standard library; their bytes are
/// in [`Tensor::data`](crate::Tensor::data).
pub trait Element: sealed::Sealed + Copy + 'static {
    /// The datatype of a tensor of these.
    const DATATYPE: Datatype;

    /// Appends the elements' little-endian bytes.
    #[doc(hidden)]
    fn extend(elements: &[Self], out: &mut Vec<u8>);

    /// Reads little-endian bytes whose length is a whole number of elements.
    #[doc(hidden)]
    fn read(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! number {
    ($($type:ty => $datatype:ident),* $(,)?) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DATATYPE: Datatype = Datatype::$datatype;

            fn extend(elements: &[Self], out: &mut Vec<u8>) {
                out.extend(elements.iter().flat_map(|element| element.to_le_bytes()));
            }

            fn read(bytes: &[u8]) -> Vec<Self> {
                let (elements, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                elements.iter().map(|element| Self::from_le_bytes(*element)).collect()
            }
        }
    )*};
}

number! {
    u8 => Uint8, u16 => Uint16, u32 => Uint32, u64 => Uint64,
    i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    f32 => Fp32, f64 => Fp64,
}

impl sealed::Sealed for bool {}
impl Element for bool {
    const DATATYPE: Datatype = Datatype::Bool;

    fn extend(elements: &[Self], out: &mut Vec<u8>) {
        out.extend(elements.iter().map(|&element| u8::from(element)));
    }

    fn read(bytes: &[u8]) -> Vec<Self> {
        bytes.iter().map(|&byte| byte != 0).collect()
    }
}
