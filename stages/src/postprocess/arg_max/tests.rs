use std::path::Path;

use proptest::prelude::*;

use super::*;

fn arg_max(tensor: Tensor) -> Result<Vec<Tensor>, Fault> {
    ArgMax::default().build(None).unwrap().apply(vec![tensor])
}

#[test]
fn as_numpy_computes_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/numbers.json");
    let reference: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rows = reference["logits"].as_array().unwrap();
    let logits: Vec<f32> = rows
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|value| value.as_f64().unwrap() as f32)
        .collect();
    let expect: Vec<i64> =
        reference["arg_max"].as_array().unwrap().iter().map(|value| value.as_i64().unwrap()).collect();
    let outputs = arg_max(Tensor::from_elements("x", [rows.len() as u64, 10], &logits).unwrap()).unwrap();
    assert_eq!(outputs.len(), 1);
    assert_eq!((outputs[0].name(), outputs[0].shape()), ("index", &[rows.len() as u64][..]));
    assert_eq!(outputs[0].elements::<i64>().unwrap(), expect);
}

#[test]
fn integers_have_a_highest_too() {
    let outputs = arg_max(Tensor::from_elements("x", [3u64], &[3i32, 9, 9]).unwrap()).unwrap();
    assert_eq!((outputs[0].shape().len(), outputs[0].elements::<i64>().unwrap()), (0, vec![1]));
}

proptest! {
    #[test]
    fn no_score_is_higher_and_none_before_it_equal(row in prop::collection::vec(-5i8..5, 1..20)) {
        let tensor = Tensor::from_elements("x", [1u64, row.len() as u64], &row).unwrap();
        let found = arg_max(tensor).unwrap()[0].elements::<i64>().unwrap()[0] as usize;
        prop_assert!(row.iter().all(|score| *score <= row[found]));
        prop_assert!(row[..found].iter().all(|score| *score < row[found]));
    }
}
