//! More of a topic and less of it: partitions added, records deleted.

use net::wire::api::ApiKey;
use net::wire::errors::ErrorCode;
use net::wire::messages::create_partitions_request::CreatePartitionsTopic;
use net::wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use net::wire::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
};

use super::admin::{Done, check_topic};
use super::{ClientError, Cluster, Result};

impl Cluster {
    /// Gives a topic this many partitions in all; with `validate_only` only says whether it could
    /// be done.
    pub(crate) fn add_partitions(
        &mut self,
        name: &str,
        count: i32,
        validate_only: bool,
    ) -> Result<Done> {
        let topic = CreatePartitionsTopic { name, count, assignments: None };
        let timeout_ms = self.timeout_ms();
        let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms, validate_only };
        let mut was_lost = false;
        self.retry_on(&[], |cluster| match cluster.ask_for_partitions(name, &request) {
            Err(error) if was_lost && !validate_only && is_no_addition(&error) => {
                // Any other count is not what was asked for, whoever made it so.
                if cluster.partition_count(name)? == count { Ok(Done::Found) } else { Err(error) }
            }
            Err(error) => {
                was_lost |= error.is_lost_answer_to(ApiKey::CREATE_PARTITIONS);
                Err(error)
            }
            Ok(()) => Ok(Done::Confirmed),
        })
    }

    fn partition_count(&mut self, name: &str) -> Result<i32> {
        self.refresh(Some(&[name]))?;
        Ok(i32::try_from(self.topic(name)?.partitions.len()).unwrap_or(i32::MAX))
    }

    fn ask_for_partitions(
        &mut self,
        name: &str,
        request: &CreatePartitionsRequest<'_>,
    ) -> Result<()> {
        let reply = self.call_controller(request)?;
        let answer: CreatePartitionsResponse<'_> = reply.message()?;
        let result = answer.results.first();
        let result = result.ok_or_else(|| reply.omits(format!("topic {name}")))?;
        let message = result.error_message.as_deref();
        check_topic(result.error_code, message, name, || format!("topic {name}"))
    }

    /// Deletes the records of a partition before an offset; where its log starts then. The metadata
    /// of the topic is known.
    pub(crate) fn delete_records(&mut self, name: &str, index: i32, before: i64) -> Result<i64> {
        let partition = DeleteRecordsPartition { partition_index: index, offset: before };
        let topic = DeleteRecordsTopic { name, partitions: vec![partition] };
        let timeout_ms = self.timeout_ms();
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms };
        self.retry_on(&[name], |cluster| {
            let leader = cluster.leader(name, index)?;
            let reply = cluster.call(leader, i16::MAX, &request)?;
            let answer: DeleteRecordsResponse<'_> = reply.message()?;
            let doing = || format!("records of {name}-{index}");
            let mut rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let row = rows.next().ok_or_else(|| reply.omits(doing()))?;
            ClientError::check(row.error_code, None, doing)?;
            Ok(row.low_watermark)
        })
    }
}

/// Whether a topic has as many partitions as it was to get, or more.
fn is_no_addition(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::INVALID_PARTITIONS)
}
