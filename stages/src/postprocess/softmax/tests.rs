use std::path::Path;

use proptest::prelude::*;
use schemas::Datatype;

use super::*;

fn softmax(tensor: Tensor) -> Result<Tensor, Fault> {
    Ok(Softmax::default().build().unwrap().apply(vec![tensor])?.remove(0))
}

fn reference(key: &str) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/numbers.json");
    let reference: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rows = reference[key].as_array().unwrap();
    rows.iter().flat_map(|row| row.as_array().unwrap()).map(|value| value.as_f64().unwrap() as f32).collect()
}

#[test]
fn as_numpy_computes_it() {
    let logits = reference("logits");
    let expect = reference("softmax");
    let tensor = Tensor::from_elements("logits", [logits.len() as u64 / 10, 10], &logits).unwrap();
    let probabilities = softmax(tensor).unwrap();
    assert_eq!((probabilities.name(), probabilities.datatype()), ("logits", Datatype::Fp32));
    for (got, expect) in probabilities.elements::<f32>().unwrap().into_iter().zip(expect) {
        assert!((got - expect).abs() <= 1e-7, "{got} is not {expect}");
    }
}

#[test]
fn every_float_type_becomes_fp32() {
    for (datatype, data) in [
        (Datatype::Fp16, vec![0x00, 0x3c, 0x00, 0x3c]),
        (Datatype::Bf16, vec![0x80, 0x3f, 0x80, 0x3f]),
        (Datatype::Fp64, [1.0f64.to_le_bytes(), 1.0f64.to_le_bytes()].concat()),
    ] {
        let probabilities = softmax(Tensor::new("x", datatype, [2u64], data).unwrap()).unwrap();
        assert_eq!(probabilities.elements::<f32>().unwrap(), [0.5, 0.5], "{datatype}");
    }
}

#[test]
fn minus_infinity_has_no_chance_and_plus_infinity_no_meaning() {
    let of = |values: &[f32]| softmax(Tensor::from_elements("x", [1u64, 2], values).unwrap());
    assert_eq!(of(&[f32::NEG_INFINITY, 3.0]).unwrap().elements::<f32>().unwrap(), [0.0, 1.0]);
    let expect = "tensor `x`: the scores of row 0 are infinite, which no probability follows from";
    assert_eq!(of(&[f32::INFINITY, 3.0]).unwrap_err().message, expect);
    assert_eq!(of(&[f32::NEG_INFINITY; 2]).unwrap_err().message, expect);
}

proptest! {
    #[test]
    fn probabilities_add_up_and_keep_the_order(row in prop::collection::vec(-1e30f32..1e30, 1..20)) {
        let tensor = Tensor::from_elements("x", [1u64, row.len() as u64], &row).unwrap();
        let probabilities = softmax(tensor).unwrap().elements::<f32>().unwrap();
        prop_assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        for a in 0..row.len() {
            for b in 0..row.len() {
                prop_assert!(row[a] < row[b] || probabilities[a] >= probabilities[b]);
            }
        }
    }
}
