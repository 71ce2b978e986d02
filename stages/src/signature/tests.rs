use super::*;

fn named(name: &str) -> Dimension {
    Dimension::Dynamic(Some(name.to_owned()))
}

fn spec(name: &str, datatype: Datatype, dimensions: &[Dimension]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype, dimensions: dimensions.to_vec() }
}

fn image_model() -> Signature {
    let fixed = Dimension::Fixed;
    Signature::new(
        vec![spec("image", Datatype::Fp32, &[named("batch"), fixed(1), fixed(8), fixed(8)])],
        vec![spec("logits", Datatype::Fp32, &[named("batch"), fixed(10)])],
    )
}

fn text_model() -> Signature {
    let tokens = |name: &str| spec(name, Datatype::Int64, &[named("batch"), named("sequence")]);
    Signature::new(
        vec![tokens("input_ids"), tokens("attention_mask")],
        vec![spec("out", Datatype::Fp32, &[named("batch"), named("sequence"), Dimension::Fixed(4)])],
    )
}

fn floats(name: &str, shape: &[u64]) -> Tensor {
    Tensor::from_elements(name, shape, &vec![0.0f32; shape.iter().product::<u64>() as usize]).unwrap()
}

fn ids(name: &str, shape: &[u64]) -> Tensor {
    Tensor::from_elements(name, shape, &vec![0i64; shape.iter().product::<u64>() as usize]).unwrap()
}

fn rows(signature: &Signature, tensors: Vec<Tensor>) -> Result<u64, String> {
    signature.fit(tensors).map(|fit| fit.rows).map_err(|fault| fault.message)
}

#[test]
fn the_batch_axis_follows_from_the_signature() {
    let check = |inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>, expect| {
        let signature = Signature::new(inputs, outputs);
        assert_eq!(signature.batch_axis(), expect, "{signature:?}");
    };
    let one = |dimensions: &[i64]| vec![TensorSpec::new("x", Datatype::Fp32, dimensions)];
    let two = |first: &str, second: &str| {
        vec![spec("a", Datatype::Fp32, &[named(first)]), spec("b", Datatype::Fp32, &[named(second)])]
    };
    check(one(&[-1, 3]), one(&[-1, 2]), Some(0));
    check(one(&[-1]), one(&[-1]), Some(0));
    check(one(&[4, 3]), one(&[4, 2]), None);
    check(one(&[-1, 3]), one(&[2]), None);
    check(one(&[-1, 3]), one(&[]), None);
    check(one(&[]), one(&[-1]), None);
    check(one(&[4, -1]), one(&[4, -1]), None);
    check(two("batch", "batch"), one(&[-1]), Some(0));
    check(two("batch", "queries"), one(&[-1]), None);
    check([one(&[-1]), two("batch", "batch")].concat(), one(&[-1]), Some(0));
    check(Vec::new(), one(&[-1]), None);
    // Exporters often name the first axis of an output as they please.
    check(two("batch", "batch"), vec![spec("y", Datatype::Fp32, &[named("unk__7")])], Some(0));
    assert_eq!(image_model().unbatched().batch_axis(), None);
}

#[test]
fn a_job_may_carry_several_rows() {
    assert_eq!(rows(&image_model(), vec![floats("image", &[1, 1, 8, 8])]), Ok(1));
    assert_eq!(rows(&image_model(), vec![floats("image", &[5, 1, 8, 8])]), Ok(5));
    assert_eq!(rows(&image_model().unbatched(), vec![floats("image", &[5, 1, 8, 8])]), Ok(1));
}

#[test]
fn what_does_not_fit_is_told_with_what_would() {
    let check = |tensors: Vec<Tensor>, expect: &str| {
        assert_eq!(rows(&image_model(), tensors), Err(expect.to_owned()));
    };
    check(
        vec![Tensor::from_elements("image", [8u64, 8], &[0u8; 64]).unwrap()],
        "input `image`: expected FP32 [batch, 1, 8, 8], got UINT8 [8, 8]",
    );
    check(
        vec![floats("image", &[1, 1, 8, 9])],
        "input `image`: expected FP32 [batch, 1, 8, 8], got FP32 [1, 1, 8, 9]",
    );
    check(vec![floats("image", &[64])], "input `image`: expected FP32 [batch, 1, 8, 8], got FP32 [64]");
    check(vec![], "input `image`: missing; expected FP32 [batch, 1, 8, 8]");
    check(
        vec![floats("image", &[1, 1, 8, 8]), floats("mask", &[1])],
        "input `mask`: the model has no such input; it takes `image` FP32 [batch, 1, 8, 8]",
    );
    check(vec![floats("image", &[1, 1, 8, 8]), floats("image", &[1, 1, 8, 8])], "input `image`: given twice");
    check(
        vec![floats("image", &[0, 1, 8, 8])],
        "input `image`: has no rows (FP32 [0, 1, 8, 8]); expected at least one",
    );
}

#[test]
fn axes_of_one_name_agree_within_a_job() {
    let check = |first: &[u64], second: &[u64], expect: Result<u64, &str>| {
        let job = vec![ids("input_ids", first), ids("attention_mask", second)];
        assert_eq!(rows(&text_model(), job), expect.map_err(str::to_owned));
    };
    check(&[2, 7], &[2, 7], Ok(2));
    check(
        &[1, 7],
        &[1, 8],
        Err("input `attention_mask`: axis `sequence` has size 8, but 7 in input `input_ids`"),
    );
    check(
        &[1, 7],
        &[2, 7],
        Err("input `attention_mask`: axis `batch` has size 2, but 1 in input `input_ids`"),
    );
}

#[test]
fn rows_agree_where_axes_have_no_names() {
    let input = |name: &str| TensorSpec::new(name, Datatype::Fp32, &[-1, 2]);
    let signature = Signature::new(vec![input("a"), input("b")], vec![input("y")]);
    let job = vec![floats("a", &[2, 2]), floats("b", &[3, 2])];
    assert_eq!(rows(&signature, job), Err("input `b`: has 3 rows, but input `a` has 2".to_owned()));
}

#[test]
fn strings_are_text() {
    let signature = Signature::new(
        vec![TensorSpec::new("text", Datatype::Bytes, &[-1])],
        vec![TensorSpec::new("y", Datatype::Fp32, &[-1])],
    );
    let check = |items: &[&[u8]], expect: Result<u64, &str>| {
        let text = Tensor::from_byte_strings("text", [items.len() as u64], items).unwrap();
        assert_eq!(rows(&signature, vec![text]), expect.map_err(str::to_owned));
    };
    check(&[b"", "gr\u{fc}\u{df}e".as_bytes()], Ok(2));
    let expect = "input `text`: element 1 is not UTF-8 without NUL, which the model's strings are";
    check(&[b"a", b"\xff"], Err(expect));
    check(&[b"a", b"b\0c"], Err(expect));
}

#[test]
fn inputs_come_in_the_order_of_the_model() {
    let fit = text_model().fit(vec![ids("attention_mask", &[1, 3]), ids("input_ids", &[1, 3])]).unwrap();
    assert_eq!(fit.inputs.iter().map(Tensor::name).collect::<Vec<_>>(), ["input_ids", "attention_mask"]);
}
