//! What the scripted broker answers about its topic `t`: its offsets are 5 wherever one looks, and
//! changes to it go as the script says.

use net::wire::Encoded;
use net::wire::api::ApiKey;
use net::wire::header::Front;
use net::wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use net::wire::messages::create_topics_response::CreatableTopicResult;
use net::wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use net::wire::messages::delete_topics_response::DeletableTopicResult;
use net::wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use net::wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use net::wire::messages::{
    CreatePartitionsResponse, CreateTopicsResponse, DeleteRecordsResponse, DeleteTopicsResponse,
    IncrementalAlterConfigsResponse, ListOffsetsResponse,
};

use super::{State, encode};

impl State {
    pub(super) fn list_offsets(&self, front: &Front<'_>) -> Option<Encoded> {
        let row = ListOffsetsPartitionResponse { offset: 5, ..Default::default() };
        let partitions = self.told(vec![row]);
        let topics = vec![ListOffsetsTopicResponse { name: "t".into(), partitions }];
        encode(front, &ListOffsetsResponse { topics, ..Default::default() })
    }

    pub(super) fn change_topics(&mut self, front: &Front<'_>) -> Option<Encoded> {
        let error_code = self.next_code()?.0;
        match front.key {
            ApiKey::CREATE_TOPICS => {
                let row =
                    CreatableTopicResult { name: "t".into(), error_code, ..Default::default() };
                let topics = self.told(vec![row]);
                encode(front, &CreateTopicsResponse { topics, ..Default::default() })
            }
            ApiKey::CREATE_PARTITIONS => {
                let row = CreatePartitionsTopicResult { error_code, ..Default::default() };
                let results = self.told(vec![row]);
                encode(front, &CreatePartitionsResponse { results, ..Default::default() })
            }
            ApiKey::DELETE_TOPICS => {
                let name = Some("t".into());
                let row = DeletableTopicResult { name, error_code, ..Default::default() };
                let responses = self.told(vec![row]);
                encode(front, &DeleteTopicsResponse { responses, ..Default::default() })
            }
            ApiKey::DELETE_RECORDS => {
                let row = DeleteRecordsPartitionResult { error_code, ..Default::default() };
                let partitions = self.told(vec![row]);
                let topics = vec![DeleteRecordsTopicResult { name: "t".into(), partitions }];
                encode(front, &DeleteRecordsResponse { topics, ..Default::default() })
            }
            _ => {
                let row = AlterConfigsResourceResponse { error_code, ..Default::default() };
                let responses = self.told(vec![row]);
                encode(front, &IncrementalAlterConfigsResponse { responses, ..Default::default() })
            }
        }
    }
}
