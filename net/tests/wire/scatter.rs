//! A fetch answer whose records are woven in gives the same frame as one that holds them.

use bytes::Bytes;
use net::wire::messages::fetch_request::ForgottenTopic;
use net::wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use net::wire::messages::{FetchRequest, ProduceRequest, produce_request};
use net::wire::{
    EncodeError, Encoded, Records, decode_response, encode_request, encode_response, header,
    range_in,
};

const RECORDS: [&[&[u8]]; 3] = [&[b"one", b"two!"], &[], &[b"three"]];

fn response(records: [Option<Records<'_>>; 3]) -> FetchResponse<'_> {
    let partitions = records
        .into_iter()
        .enumerate()
        .map(|(index, records)| PartitionData {
            partition_index: index as i32,
            records,
            ..PartitionData::default()
        })
        .collect();
    let topic = FetchableTopicResponse { topic: "t".into(), topic_id: [7; 16], partitions };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}

fn weave(encoded: Encoded) -> Vec<Bytes> {
    let parts = RECORDS.iter().map(|part| part.iter().map(|chunk| Bytes::from_static(chunk)));
    encoded.weave(parts, |own| own, Bytes::len)
}

#[test]
fn woven_and_whole_frames_are_equal() {
    let whole: Vec<Vec<u8>> = RECORDS.iter().map(|part| part.concat()).collect();
    for version in 4..=18 {
        let here = [0, 1, 2].map(|index: usize| Some(Records::Here(&whole[index])));
        let apart = [0, 1, 2].map(|index: usize| Some(Records::Apart(whole[index].len())));
        let here = encode_response(5, version, &response(here)).unwrap();
        let apart = encode_response(5, version, &response(apart)).unwrap();
        assert_eq!(here.apart.len(), 0);
        assert_eq!(apart.apart.len(), 3);
        assert_eq!(apart.len(), here.bytes.len());
        let woven = weave(apart);
        assert_eq!(woven.concat(), here.bytes, "version {version}");
        assert_eq!(
            i32::from_be_bytes(here.bytes[..4].try_into().unwrap()) as usize,
            here.len() - 4
        );
        let (correlation, read) =
            decode_response::<FetchResponse<'_>>(&here.bytes[4..], version).unwrap();
        assert_eq!(correlation, 5);
        assert_eq!(read.responses[0].partitions[2].records, Some(Records::Here(b"three")));
    }
}

#[test]
#[should_panic(expected = "chunks differ from the length")]
fn chunks_of_another_length_tear_no_frame() {
    let lying = [4, 0, 5].map(|len| Some(Records::Apart(len)));
    weave(encode_response(5, 12, &response(lying)).unwrap());
}

#[test]
fn produced_records_are_a_range_of_the_frame() {
    let partition = produce_request::PartitionProduceData {
        index: 3,
        records: Some(Records::Here(b"batch bytes")),
    };
    let topic = produce_request::TopicProduceData {
        name: "t",
        partition_data: vec![partition],
        ..Default::default()
    };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() };
    let encoded = encode_request(1, Some("me"), 9, &request).unwrap();
    let frame = &encoded.bytes[4..];
    let front = header::read_request(frame).unwrap();
    let read = net::wire::decode::<ProduceRequest<'_>>(front.body, front.version).unwrap().message;
    let records = read.topic_data[0].partition_data[0].records.unwrap().here().unwrap();
    let range = range_in(frame, records).unwrap();
    assert_eq!(&frame[range], b"batch bytes");
    assert_eq!(range_in(frame, b"elsewhere"), None);
}

#[test]
fn a_request_does_not_lose_what_its_version_cannot_say() {
    let forgotten_topics_data = vec![ForgottenTopic::default()];
    let request = FetchRequest { forgotten_topics_data, ..FetchRequest::default() };
    let error = encode_request(1, None, 4, &request).unwrap_err();
    let field = "FetchRequest.ForgottenTopicsData";
    assert_eq!(error, EncodeError::FieldNotInVersion { field, version: 4 });
    assert!(encode_request(1, None, 7, &request).is_ok());
}
