//! Sections 1 and 2 of the table: frames, headers, versions, encoding.

use net::wire::errors::ErrorCode;
use net::wire::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse,
};

use crate::harness::{Broker, frame, framed, header};

#[test]
fn frames_and_headers_that_close_the_connection() {
    let broker = Broker::start();
    let body = [0u8; 16];
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("length -1", vec![0xff, 0xff, 0xff, 0xff]),
        ("length -2147483648", vec![0x80, 0, 0, 0]),
        ("length 0", vec![0, 0, 0, 0]),
        ("shorter than a header", framed(&[0; 5])),
        ("above socket.request.max.bytes", (100 * 1024 * 1024 + 1u32).to_be_bytes().to_vec()),
        ("length 2147483647", i32::MAX.to_be_bytes().to_vec()),
        ("TLS", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("unknown key 95", framed(&header(95, 0, &body))),
        ("unknown key -1", framed(&header(-1, 0, &body))),
        ("tombstone key 4", framed(&header(4, 0, &body))),
        ("controller key 52", framed(&header(52, 0, &body))),
        ("not served: ShareGroupHeartbeat", framed(&header(76, 1, &body))),
        ("produce version 2", framed(&header(0, 2, &body))),
        ("produce version 14", framed(&header(0, 14, &body))),
        ("fetch version 3", framed(&header(1, 3, &body))),
        ("fetch version 99", framed(&header(1, 99, &body))),
        ("metadata version -1", framed(&header(3, -1, &body))),
        ("client id longer than the frame", framed(&[0, 3, 0, 0, 0, 0, 0, 7, 0x7f, 0xff, b'x', 0])),
        ("client id length -2", framed(&[0, 3, 0, 0, 0, 0, 0, 7, 0xff, 0xfe, 0, 0, 0, 0])),
        ("client id not UTF-8", framed(&[0, 3, 0, 0, 0, 0, 0, 7, 0, 1, 0xff, 0, 0, 0, 0])),
        ("array length -2", framed(&header(3, 0, &[0xff, 0xff, 0xff, 0xfe]))),
        ("null array where none may be", framed(&header(3, 0, &[0xff; 4]))),
        ("array of 2^31-1 in a short frame", framed(&header(3, 1, &[0x7f, 0xff, 0xff, 0xff]))),
        ("array of 1000 in 10 bytes", framed(&header(3, 1, &[0, 0, 3, 0xe8, 0, 0, 0, 0, 0, 0]))),
        ("string length -1 where not nullable", framed(&header(3, 1, &[0, 0, 0, 1, 0xff, 0xff]))),
        // Metadata v9 is flexible: header tags, then a compact array.
        ("varint of 6 bytes", framed(&header(3, 9, &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 1]))),
        ("varint beyond 32 bits", framed(&header(3, 9, &[0, 0xff, 0xff, 0xff, 0xff, 0x7f]))),
        ("header tag count 2^32-1", framed(&header(3, 9, &[0xff, 0xff, 0xff, 0xff, 0x0f]))),
        ("tags out of order", framed(&header(3, 9, &[2, 5, 0, 1, 0, 0, 0, 0, 0, 0]))),
        ("tag twice", framed(&header(3, 9, &[2, 5, 0, 5, 0, 0, 0, 0, 0, 0]))),
        ("tag longer than the frame", framed(&header(3, 9, &[1, 5, 0x7f, 0]))),
        ("cut body", framed(&header(3, 1, &[0, 0]))),
    ];
    let count = rows.len() as u64;
    for (row, bytes) in rows {
        let mut conn = broker.connect();
        conn.send(&bytes);
        conn.expect_close(row);
    }
    broker.wait_counter("connections_closed", count);
    assert_eq!(broker.counter("bad_frames_tls"), 1);
    assert_eq!(broker.counter("bad_frames_http"), 1);
    assert_eq!(broker.counter("bad_frames"), 8);
}

#[test]
fn millions_of_tagged_fields_are_refused_not_stored() {
    let broker = Broker::start();
    let mut bytes = header(3, 9, &[0xff, 0xff, 0xff, 0x7f]);
    bytes.resize(20 << 20, 0);
    let mut conn = broker.connect();
    conn.send(&framed(&bytes));
    conn.expect_close("20 MiB of tags");
}

#[test]
fn unknown_tags_in_good_order_are_skipped_and_trailing_bytes_ignored() {
    let broker = Broker::start();
    let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
    let good = frame(12, &request);
    // The last byte is the (empty) tag section of the body.
    let mut tagged = good[4..good.len() - 1].to_vec();
    tagged.extend([2, 100, 3, 1, 2, 3, 101, 0]);
    let mut conn = broker.connect();
    conn.send(&framed(&tagged));
    let answer = conn.answer(12);
    assert_eq!(answer.decode::<MetadataResponse<'_>>().brokers.len(), 1);

    let mut trailing = good[4..].to_vec();
    trailing.extend([1, 2, 3]);
    conn.send(&framed(&trailing));
    let answer = conn.answer(12);
    assert_eq!(answer.decode::<MetadataResponse<'_>>().brokers.len(), 1);
    assert_eq!(broker.counter("trailing_bytes_requests"), 1);
}

#[test]
fn api_versions_is_answered_at_every_version() {
    let broker = Broker::start();
    let mut conn = broker.connect();
    for version in [5, 6, 99, i16::MAX, -1] {
        let body: &[u8] = if version > 2 { &[0, 2, b'a', 2, b'1', 0] } else { &[] };
        conn.send(&framed(&header(18, version, body)));
        let answer = conn.answer(0);
        let answer: ApiVersionsResponse<'_> = answer.decode();
        assert_eq!(ErrorCode(answer.error_code), ErrorCode::UNSUPPORTED_VERSION, "v{version}");
        let rows: Vec<_> =
            answer.api_keys.iter().map(|row| (row.api_key, row.max_version)).collect();
        assert_eq!(rows, [(18, 4)], "v{version}");
    }
    // The connection is still good.
    for version in 0..=4 {
        let request = ApiVersionsRequest {
            client_software_name: "test",
            client_software_version: "1",
            ..ApiVersionsRequest::default()
        };
        let answer = conn.ask(version, &request);
        let answer: ApiVersionsResponse<'_> = answer.decode();
        assert_eq!(answer.error_code, 0);
        let produce =
            answer.api_keys.iter().find(|row| row.api_key == 0).expect("Produce is served");
        assert_eq!((produce.min_version, produce.max_version), (0, 13), "behaviour 2");
    }
}

#[test]
fn bad_software_names_are_an_invalid_request() {
    let broker = Broker::start();
    let mut conn = broker.connect();
    for (name, version) in [("", "1"), ("a b", "1"), ("a", "1_0"), ("-a", "1"), ("a", "")] {
        let request = ApiVersionsRequest {
            client_software_name: name,
            client_software_version: version,
            ..ApiVersionsRequest::default()
        };
        let answer = conn.ask(3, &request);
        let answer: ApiVersionsResponse<'_> = answer.decode();
        assert_eq!(
            ErrorCode(answer.error_code),
            ErrorCode::INVALID_REQUEST,
            "{name:?} {version:?}"
        );
    }
}

#[test]
fn pipelined_requests_beyond_the_cap_are_answered_in_order() {
    let broker = Broker::start();
    let mut conn = broker.connect();
    let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
    let one = frame(9, &request);
    let mut all = Vec::new();
    for number in 0..1000u32 {
        let mut frame = one.clone();
        frame[8..12].copy_from_slice(&number.to_be_bytes());
        all.extend(frame);
    }
    conn.send(&all);
    for number in 0..1000i32 {
        let answer = conn.answer(9);
        assert_eq!(answer.correlation_id(), number);
    }
}
