use super::*;

fn kind<T: std::fmt::Debug>(result: Result<T>) -> DecodeErrorKind {
    result.unwrap_err().kind
}

#[test]
fn varints_end_within_five_bytes_and_fit_32_bits() {
    let read = |bytes: &[u8]| Reader::new(bytes).uvarint();
    assert_eq!(read(&[0]), Ok(0));
    assert_eq!(read(&[0xac, 0x02]), Ok(300));
    assert_eq!(read(&[0x80, 0x00]), Ok(0), "longer than needed is allowed, as in Kafka");
    assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
    let too_long = DecodeErrorKind::VarintTooLong;
    assert_eq!(kind(read(&[0xff, 0xff, 0xff, 0xff, 0x1f])), too_long);
    assert_eq!(kind(read(&[0x80, 0x80, 0x80, 0x80, 0x10])), too_long);
    assert_eq!(kind(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00])), too_long);
    assert_eq!(kind(read(&[0x80])), DecodeErrorKind::Truncated { wanted: 1, left: 0 });
}

#[test]
fn a_count_must_fit_the_bytes_left() {
    let array = |count: u8| {
        let mut bytes = vec![0, 0, 0, count];
        bytes.resize(4 + 40, 0);
        Reader::new(&bytes).array(false, 4, Reader::i32)
    };
    assert_eq!(array(10), Ok(vec![0; 10]));
    assert_eq!(kind(array(11)), DecodeErrorKind::CountTooLarge { count: 11, left: 40 });
}

#[test]
fn an_element_that_could_be_empty_still_costs_a_byte() {
    let bytes = [0, 0, 0, 3, 1, 1];
    let found = Reader::new(&bytes).array(false, 0, Reader::i8);
    assert_eq!(kind(found), DecodeErrorKind::CountTooLarge { count: 3, left: 2 });
}

#[test]
fn null_and_negative_lengths_are_told_apart() {
    let null = DecodeErrorKind::NullNotAllowed;
    assert_eq!(Reader::new(&[0xff, 0xff]).nullable_string(false), Ok(None));
    assert_eq!(kind(Reader::new(&[0xff, 0xff]).string(false)), null);
    assert_eq!(kind(Reader::new(&[0]).string(true)), null);
    assert_eq!(kind(Reader::new(&[0]).array(true, 1, Reader::i8)), null);
    assert_eq!(kind(Reader::new(&[0xff; 4]).bytes(false)), null);
    let two = [0xff, 0xfe];
    assert_eq!(kind(Reader::new(&two).nullable_string(false)), DecodeErrorKind::NegativeLength(-2));
    let two = [0xff, 0xff, 0xff, 0xfe];
    assert_eq!(kind(Reader::new(&two).nullable_bytes(false)), DecodeErrorKind::NegativeLength(-2));
}

#[test]
fn text_must_be_utf8() {
    assert_eq!(Reader::new(&[0, 2, 0xc3, 0xa9]).string(false), Ok("é"));
    assert_eq!(kind(Reader::new(&[0, 1, 0xc3]).string(false)), DecodeErrorKind::NotUtf8);
}

#[test]
fn errors_name_the_byte() {
    let mut reader = Reader::new(&[0, 1, b'a', 0, 9, b'b']);
    reader.string(false).unwrap();
    let error = reader.string(false).unwrap_err();
    assert_eq!(error.at, 5);
    assert_eq!(error.to_string(), "9 bytes wanted, 1 left (at byte 5 of the message body)");
}
