//! More of a topic and less of it: partitions added, records deleted.

use net::wire::messages::create_partitions_request::CreatePartitionsTopic;
use net::wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use net::wire::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
};

use super::admin::check_topic;
use super::{ClientError, Cluster, Result};

impl Cluster {
    /// Gives a topic this many partitions in all; with `validate_only` only says whether it could
    /// be done.
    pub(crate) fn add_partitions(
        &mut self,
        name: &str,
        count: i32,
        validate_only: bool,
    ) -> Result<()> {
        let topic = CreatePartitionsTopic { name, count, assignments: None };
        let timeout_ms = self.timeout_ms();
        let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms, validate_only };
        self.retry_on(&[], |cluster| {
            let reply = cluster.call_controller(&request)?;
            let answer: CreatePartitionsResponse<'_> = reply.message()?;
            let result = answer.results.first();
            let result = result.ok_or_else(|| reply.omits(format!("topic {name}")))?;
            let message = result.error_message.as_deref();
            check_topic(result.error_code, message, name, || format!("topic {name}"))
        })
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
