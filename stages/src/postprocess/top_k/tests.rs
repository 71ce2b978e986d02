use std::path::Path;

use proptest::prelude::*;

use super::*;

fn top_k(k: u32, tensor: Tensor) -> Result<Vec<Tensor>, Fault> {
    TopK { tensor: None, k }.build(None).unwrap().apply(vec![tensor])
}

#[test]
fn as_numpy_computes_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/numbers.json");
    let reference: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let flat = |key: &str| -> Vec<f64> {
        let rows = reference[key].as_array().unwrap();
        rows.iter().flat_map(|row| row.as_array().unwrap()).map(|value| value.as_f64().unwrap()).collect()
    };
    let logits: Vec<f32> = flat("logits").into_iter().map(|value| value as f32).collect();
    let rows = logits.len() as u64 / 10;
    let outputs = top_k(3, Tensor::from_elements("x", [rows, 10], &logits).unwrap()).unwrap();
    let scores: Vec<f32> = flat("top_3_scores").into_iter().map(|value| value as f32).collect();
    let classes: Vec<i64> = flat("top_3").into_iter().map(|value| value as i64).collect();
    assert_eq!(outputs.iter().map(Tensor::name).collect::<Vec<_>>(), ["score", "index"]);
    assert!(outputs.iter().all(|output| output.shape() == [rows, 3]));
    assert_eq!(outputs[0].elements::<f32>().unwrap(), scores);
    assert_eq!(outputs[1].elements::<i64>().unwrap(), classes);
}

#[test]
fn fewer_classes_than_asked_for_are_all_of_them() {
    let outputs = top_k(5, Tensor::from_elements("x", [1u64, 2], &[1.0f32, 2.0]).unwrap()).unwrap();
    assert_eq!(outputs[1].elements::<i64>().unwrap(), [1, 0]);
    assert_eq!(outputs[1].shape(), [1, 2]);
}

#[test]
fn other_tensors_keep_their_place() {
    let other = |name: &str| Tensor::from_elements(name, [1u64], &[1u8]).unwrap();
    let scores = Tensor::from_elements("x", [1u64, 2], &[1.0f32, 2.0]).unwrap();
    let step = TopK { tensor: Some("x".to_owned()), k: 1 }.build(None).unwrap();
    let outputs = step.apply(vec![other("a"), scores, other("b")]).unwrap();
    assert_eq!(outputs.iter().map(Tensor::name).collect::<Vec<_>>(), ["a", "score", "index", "b"]);
}

proptest! {
    #[test]
    fn the_first_of_a_stable_sort(row in prop::collection::vec(-5i8..5, 1..20), k in 1u32..25) {
        let tensor = Tensor::from_elements("x", [1u64, row.len() as u64], &row).unwrap();
        let found = top_k(k, tensor).unwrap()[1].elements::<i64>().unwrap();
        let mut expect: Vec<i64> = (0..row.len() as i64).collect();
        expect.sort_by_key(|class| -row[*class as usize]);
        expect.truncate(k as usize);
        prop_assert_eq!(found, expect);
    }
}
