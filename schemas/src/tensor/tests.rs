use super::*;

#[expect(clippy::needless_pass_by_value, reason = "cases read better without a borrow each")]
fn check(datatype: Datatype, shape: &[u64], data: &[u8], expect: Result<u64, TensorError>) {
    let tensor = Tensor::new("x", datatype, shape, data.to_vec());
    assert_eq!(tensor.map(|tensor| tensor.element_count()), expect, "{datatype} {shape:?}");
}

#[test]
fn data_agrees_with_shape() {
    check(Datatype::Fp32, &[], &[0; 4], Ok(1));
    check(Datatype::Fp32, &[2, 3], &[0; 24], Ok(6));
    check(Datatype::Fp32, &[0], &[], Ok(0));
    check(Datatype::Fp64, &[3, 0, 2], &[], Ok(0));
    check(Datatype::Int8, &[1; 8], &[0], Ok(1));
    check(Datatype::Fp32, &[2], &[0; 7], Err(TensorError::Length { expected: 8, actual: 7 }));
    check(Datatype::Fp32, &[], &[], Err(TensorError::Length { expected: 4, actual: 0 }));
    check(Datatype::Int8, &[1; 9], &[0], Err(TensorError::Rank { rank: 9 }));
}

#[test]
fn shapes_that_overflow() {
    check(Datatype::Uint8, &[u64::MAX, 2], &[], Err(TensorError::Overflow));
    check(Datatype::Uint8, &[u64::MAX], &[], Err(TensorError::Overflow));
    check(Datatype::Fp64, &[1 << 62], &[], Err(TensorError::Overflow));
    check(Datatype::Bytes, &[1 << 32, 1 << 32], &[], Err(TensorError::Overflow));
    check(Datatype::Uint8, &[0, 1 << 32, 1 << 32], &[], Err(TensorError::Overflow));
}

#[test]
fn bools_are_zero_or_one() {
    check(Datatype::Bool, &[3], &[0, 1, 1], Ok(3));
    check(Datatype::Bool, &[3], &[0, 1, 2], Err(TensorError::Bool { index: 2 }));
}

#[test]
fn byte_strings_are_walked() {
    let fault = |expected, found| Err(TensorError::ByteStrings { expected, found });
    check(Datatype::Bytes, &[2], &[1, 0, 0, 0, 0xff, 0, 0, 0, 0], Ok(2));
    check(Datatype::Bytes, &[0], &[], Ok(0));
    check(Datatype::Bytes, &[1], &[], fault(1, ByteStringsFault::EndsInElement(0)));
    check(Datatype::Bytes, &[1], &[1, 0, 0], fault(1, ByteStringsFault::EndsInElement(0)));
    check(Datatype::Bytes, &[1], &[2, 0, 0, 0, 1], fault(1, ByteStringsFault::EndsInElement(0)));
    check(Datatype::Bytes, &[1], &[0xff; 8], fault(1, ByteStringsFault::EndsInElement(0)));
    check(Datatype::Bytes, &[1], &[0, 0, 0, 0, 9], fault(1, ByteStringsFault::LeftOver(1)));
    check(Datatype::Bytes, &[1 << 50], &[0; 8], fault(1 << 50, ByteStringsFault::EndsInElement(2)));
}

#[test]
fn elements_read_back() {
    fn check<T: Element + PartialEq + std::fmt::Debug>(elements: &[T]) {
        let tensor = Tensor::from_elements("x", [elements.len() as u64], elements).unwrap();
        assert_eq!(tensor.elements::<T>().unwrap(), elements);
        assert!(tensor.byte_strings().is_err());
    }
    check(&[true, false]);
    check(&[0_u8, 255]);
    check(&[u16::MAX, 1]);
    check(&[u32::MAX, 1]);
    check(&[u64::MAX, 1]);
    check(&[i8::MIN, 1]);
    check(&[i16::MIN, 1]);
    check(&[i32::MIN, 1]);
    check(&[i64::MIN, 1]);
    check(&[f32::MIN_POSITIVE, f32::INFINITY]);
    check(&[f64::MIN_POSITIVE, -0.0]);
    let tensor = Tensor::from_elements("x", [1], &[1.0_f32]).unwrap();
    let error = tensor.elements::<f64>().unwrap_err();
    assert_eq!(error.to_string(), "is FP32, not FP64");
}

#[test]
fn byte_strings_read_back_without_a_copy() {
    let items: [&[u8]; 3] = [b"a", b"", b"\xff\x00"];
    let tensor = Tensor::from_byte_strings("x", [3], items).unwrap();
    assert_eq!(tensor.byte_strings().unwrap().collect::<Vec<_>>(), items);
    let slices: Vec<Bytes> = tensor.byte_string_slices().unwrap().collect();
    assert_eq!(slices, items);
    assert!(tensor.data().as_ptr_range().contains(&slices[2].as_ptr()));
    assert_eq!(tensor.renamed("y").name(), "y");
}
