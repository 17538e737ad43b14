// A member of a consumer group on franz-go: see tests/README.md for what a worker does.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"ringmain.test/groups/worker"
)

var balancers = map[string]kgo.GroupBalancer{
	"": kgo.RangeBalancer(), "range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
	"sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
}

// The rebalance callbacks run only between a poll and AllowRebalance's next call, so nothing here is shared.
type member struct {
	client  *kgo.Client
	owned   map[string][]int32
	printed map[worker.Partition]int64 // the offset after the last record printed
}

func main() {
	options := worker.Arguments()
	m := &member{owned: map[string][]int32{}, printed: map[worker.Partition]int64{}}
	settings := []kgo.Opt{kgo.SeedBrokers(options.Bootstrap), kgo.ConsumerGroup(options.ConsumerGroup),
		kgo.ConsumeTopics(options.Topics...), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(m.assigned), kgo.OnPartitionsRevoked(m.revoked), kgo.OnPartitionsLost(m.lost)}
	if options.Protocol == "consumer" {
		settings = append(settings, kgo.Balancers(balancers[options.Assignor]), kgo.ServerSideBalancer())
	} else {
		settings = append(settings, kgo.Balancers(balancers[options.Assignor]),
			kgo.SessionTimeout(options.SessionTimeout()), kgo.HeartbeatInterval(options.SessionTimeout()/12))
	}
	if options.Instance != "" {
		settings = append(settings, kgo.InstanceID(options.Instance))
	}
	client, err := kgo.NewClient(settings...)
	worker.Check(err)
	m.client = client
	m.run(worker.Commands())
}

func (m *member) assigned(_ context.Context, client *kgo.Client, assigned map[string][]int32) {
	for topic, numbers := range assigned {
		m.owned[topic] = append(m.owned[topic], numbers...)
	}
	_, generation := client.GroupMetadata()
	worker.Say("assigned %d %s", generation, worker.Listed(m.owned))
}

func (m *member) revoked(_ context.Context, client *kgo.Client, revoked map[string][]int32) {
	m.client = client
	offsets := map[worker.Partition]int64{}
	for topic, numbers := range revoked {
		for _, number := range numbers {
			if offset, is := m.printed[worker.Partition{Topic: topic, Number: number}]; is {
				offsets[worker.Partition{Topic: topic, Number: number}] = offset
			}
		}
	}
	m.commit(offsets)
	m.drop("revoked", revoked)
}

func (m *member) lost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	m.drop("lost", lost)
}

func (m *member) drop(event string, gone map[string][]int32) {
	for topic, numbers := range gone {
		for _, number := range numbers {
			delete(m.printed, worker.Partition{Topic: topic, Number: number})
			var kept []int32
			for _, owned := range m.owned[topic] {
				if owned != number {
					kept = append(kept, owned)
				}
			}
			m.owned[topic] = kept
		}
	}
	worker.Say("%s %s", event, worker.Listed(gone))
}

func (m *member) commit(offsets map[worker.Partition]int64) {
	request := map[string]map[int32]kgo.EpochOffset{}
	for partition, offset := range offsets {
		if request[partition.Topic] == nil {
			request[partition.Topic] = map[int32]kgo.EpochOffset{}
		}
		request[partition.Topic][partition.Number] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	var refused error
	m.client.CommitOffsetsSync(context.Background(), request,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			refused = err
			if err != nil || response == nil {
				return
			}
			for _, topic := range response.Topics {
				for _, partition := range topic.Partitions {
					refused = errors.Join(refused, kerr.ErrorForCode(partition.ErrorCode))
				}
			}
		})
	if refused != nil {
		worker.Say("refused %q", refused)
		return
	}
	worker.Say("committed %s", worker.ListedOffsets(offsets))
}

func (m *member) run(commands <-chan string) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		fetches := m.client.PollRecords(ctx, 500)
		cancel()
		fetches.EachError(func(topic string, partition int32, err error) {
			if !errors.Is(err, context.DeadlineExceeded) {
				worker.Say("error %s/%d %q", topic, partition, err)
			}
		})
		fetches.EachRecord(func(record *kgo.Record) {
			m.printed[worker.Partition{Topic: record.Topic, Number: record.Partition}] = record.Offset + 1
			worker.Say("record %s %d %d %s", record.Topic, record.Partition, record.Offset, record.Value)
		})
		select {
		case command := <-commands:
			if command == "commit" || command == "leave" {
				m.commit(m.printed)
			}
			if command == "leave" {
				m.client.CloseAllowingRebalance()
				worker.Say("left")
				return
			}
		default:
		}
		m.client.AllowRebalance()
	}
}
