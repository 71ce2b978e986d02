//! Tensors in a few words: small ones by value, large ones by datatype and shape.

use schemas::{Datatype, Element, Tensor};

/// Tensors of more elements are shown by their shape.
const MAX_ELEMENTS: u64 = 4;
/// Byte strings that are longer are shown by their length.
const MAX_CHARACTERS: usize = 40;

/// `label=seven score=0.98 embedding=FP32[1,384]`
pub(super) fn summary_of(tensors: &[Tensor]) -> String {
    tensors.iter().map(of_tensor).collect::<Vec<_>>().join(" ")
}

fn of_tensor(tensor: &Tensor) -> String {
    let values = if tensor.element_count() <= MAX_ELEMENTS { values(tensor) } else { None };
    let name = printable(tensor.name());
    match values {
        Some(values) if !values.is_empty() => format!("{name}={}", values.join(",")),
        _ => {
            let shape: Vec<String> = tensor.shape().iter().map(ToString::to_string).collect();
            format!("{name}={}[{}]", tensor.datatype(), shape.join(","))
        }
    }
}

/// The elements as text; `None` where Rust has no type for them.
fn values(tensor: &Tensor) -> Option<Vec<String>> {
    match tensor.datatype() {
        Datatype::Bool => texts::<bool>(tensor),
        Datatype::Uint8 => texts::<u8>(tensor),
        Datatype::Uint16 => texts::<u16>(tensor),
        Datatype::Uint32 => texts::<u32>(tensor),
        Datatype::Uint64 => texts::<u64>(tensor),
        Datatype::Int8 => texts::<i8>(tensor),
        Datatype::Int16 => texts::<i16>(tensor),
        Datatype::Int32 => texts::<i32>(tensor),
        Datatype::Int64 => texts::<i64>(tensor),
        Datatype::Fp32 => {
            tensor.elements::<f32>().ok().map(|all| all.into_iter().map(|x| number(x.into())).collect())
        }
        Datatype::Fp64 => tensor.elements::<f64>().ok().map(|all| all.into_iter().map(number).collect()),
        Datatype::Bytes => tensor.byte_strings().ok().map(|all| all.map(byte_string).collect()),
        Datatype::Fp16 | Datatype::Bf16 => None,
    }
}

fn texts<T: Element + ToString>(tensor: &Tensor) -> Option<Vec<String>> {
    tensor.elements::<T>().ok().map(|all| all.iter().map(ToString::to_string).collect())
}

/// Four digits after the point are enough to compare scores; what is very large or small is written with an exponent.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || !value.is_finite() {
        value.to_string()
    } else if (1e-3..1e9).contains(&magnitude) {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.3e}")
    }
}

fn byte_string(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().count() <= MAX_CHARACTERS => printable(text),
        _ => format!("<{} bytes>", bytes.len()),
    }
}

/// Text from outside for a terminal: control characters, which could move the cursor or worse, are escaped.
pub(in crate::commands) fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let escape = |character: char| {
        if character.is_control() { character.escape_default().to_string() } else { character.to_string() }
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tensor: Tensor, expect: &str) {
        assert_eq!(summary_of(&[tensor]), expect);
    }

    #[test]
    fn small_tensors_by_value() {
        check(Tensor::from_byte_strings("label", [1], ["seven"]).unwrap(), "label=seven");
        check(Tensor::from_elements("score", [1], &[0.98_f32]).unwrap(), "score=0.98");
        check(Tensor::from_elements("score", [1, 2], &[0.5_f64, 1e-9]).unwrap(), "score=0.5,1.000e-9");
        check(Tensor::from_elements("index", [2], &[7_i64, -1]).unwrap(), "index=7,-1");
        check(Tensor::from_elements("yes", [1], &[true]).unwrap(), "yes=true");
        check(Tensor::from_elements("x", [1], &[f32::NAN]).unwrap(), "x=NaN");
        check(Tensor::from_elements("x", [], &[12_345_u64]).unwrap(), "x=12345");
    }

    #[test]
    fn others_by_shape() {
        check(Tensor::from_elements("logits", [1, 5], &[0.0_f32; 5]).unwrap(), "logits=FP32[1,5]");
        check(Tensor::from_elements("none", [0], &[0.0_f32; 0]).unwrap(), "none=FP32[0]");
        check(Tensor::new("half", Datatype::Fp16, [1], vec![0, 0]).unwrap(), "half=FP16[1]");
    }

    #[test]
    fn terminals_are_safe() {
        check(Tensor::from_byte_strings("a", [1], ["\u{1b}[2J"]).unwrap(), "a=\\u{1b}[2J");
        check(Tensor::from_byte_strings("a", [1], [[0xff_u8, 0xfe]]).unwrap(), "a=<2 bytes>");
        check(Tensor::from_byte_strings("a", [1], ["x".repeat(41)]).unwrap(), "a=<41 bytes>");
        assert_eq!(printable("zwölf\n"), "zwölf\\n");
    }

    #[test]
    fn several() {
        let label = Tensor::from_byte_strings("label", [1], ["seven"]).unwrap();
        let score = Tensor::from_elements("score", [1], &[0.9812_f32]).unwrap();
        assert_eq!(summary_of(&[label, score]), "label=seven score=0.9812");
        assert_eq!(summary_of(&[]), "");
    }
}
