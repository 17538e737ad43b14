use engine::batch::{BatchBuilder, BatchView, Codec, Header, NewRecord};

use super::*;
use crate::client::OwnedRecord;

/// What a format makes of a record with key `k`, value `v"` and two headers, at offset 7.
fn written(format: &str) -> String {
    let headers = [Header { key: b"a", value: Some(b"1") }, Header { key: b"a", value: None }];
    let mut builder = BatchBuilder::new(Codec::None).base_offset(engine::types::Offset(7));
    builder.push(&NewRecord {
        timestamp_ms: 1_582_934_400_000,
        key: Some(b"k"),
        value: Some(b"v\""),
        headers: &headers,
    });
    builder.push(&NewRecord { timestamp_ms: 0, key: None, value: None, headers: &[] });
    let batch = builder.build();
    let view = BatchView::first(&batch).unwrap();
    let mut records = view.records(1 << 20).unwrap();
    let template: Template = format.parse().unwrap();
    let mut out = Vec::new();
    while let Some(record) = records.next() {
        template.write(&mut out, "orders", 2, &record.unwrap()).unwrap();
        out.push(b'|');
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn every_place_is_written() {
    assert_eq!(written("%t[%p]@%o %k=%v"), "orders[2]@7 k=v\"|orders[2]@8 =|");
    assert_eq!(written("%s %S %K %V %H"), "v\" 2 1 2 2| -1 -1 -1 0|");
    assert_eq!(
        written("%T %T{iso}"),
        "1582934400000 2020-02-29T00:00:00.000Z|0 1970-01-01T00:00:00.000Z|"
    );
    assert_eq!(written("%h %h{json}"), "a=1,a= [[\"a\",\"1\"],[\"a\",null]]| []|");
    assert_eq!(written("%k{hex} %v{base64} %v{json}"), "6b diI= \"v\\\"\"|  null|");
    assert_eq!(written("100%%\\t\\x41\\\\"), "100%\tA\\|100%\tA\\|");
}

#[test]
fn mistakes_in_a_format_are_named() {
    let error = |text: &str| text.parse::<Template>().unwrap_err();
    assert!(error("%q").contains("%q is not a place"));
    assert!(error("50%").contains("ends in '%'"));
    assert!(error("%o{hex}").contains("does not fit"));
    assert!(error("%v{hex").contains("no '}'"));
    assert!(error("\\q").contains("not an escape"));
    assert!(error("\\x4").contains("two hexadecimal digits"));
}

fn read(format: &str, input: &str) -> anyhow::Result<Vec<OwnedRecord>> {
    let mut reader = RecordReader::new(input.as_bytes(), format.parse().unwrap())?;
    let mut records = Vec::new();
    while let Some(record) = reader.next()? {
        records.push(record);
    }
    Ok(records)
}

fn record(key: Option<&str>, value: &str) -> OwnedRecord {
    let bytes = |text: &str| text.as_bytes().to_vec();
    OwnedRecord { key: key.map(bytes), value: Some(bytes(value)), ..Default::default() }
}

#[test]
fn records_are_read_back() {
    assert_eq!(
        read("%v\\n", "a\n\nb").unwrap(),
        [record(None, "a"), record(None, ""), record(None, "b")]
    );
    assert_eq!(
        read("%k: %v;;", "x: 1;2;;y: ;;").unwrap(),
        [record(Some("x"), "1;2"), record(Some("y"), "")]
    );
    assert_eq!(read("<%v>", "<a><b>").unwrap(), [record(None, "a"), record(None, "b")]);
    assert_eq!(read("%v", "a\nb\n").unwrap(), [record(None, "a\nb\n")]);
    assert_eq!(read("%k{hex} %v{base64}\\n", "6b diI=\n").unwrap(), [record(Some("k"), "v\"")]);
    let placed = OwnedRecord { partition: Some(3), ..record(None, "a") };
    assert_eq!(read("%p %v\\n", "3 a\n").unwrap(), [placed]);
}

#[test]
fn input_that_does_not_fit_is_refused() {
    let error = |format: &str, input: &str| format!("{:#}", read(format, input).unwrap_err());
    assert!(
        error("%k=%v\\n", "a=1\nb").contains("record 2 of the input: the input ends before \"=\"")
    );
    assert!(error("<%v>", "x<a>").contains("\"<\" is missing"));
    assert!(error("%k{hex} %v\\n", "zz 1\n").contains("is not hexadecimal"));
    assert!(error("%p %v\\n", "x 1\n").contains("is no partition"));
    assert!(error("%k%v\\n", "").contains("side by side"));
    assert!(error("%o %v\\n", "").contains("only %k, %v and %p"));
}
