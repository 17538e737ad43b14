// A member of a consumer group on sarama: see tests/README.md for what a worker does.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"ringmain.test/groups/worker"
)

var strategies = map[string]sarama.BalanceStrategy{
	"": sarama.NewBalanceStrategyRange(), "range": sarama.NewBalanceStrategyRange(),
	"roundrobin": sarama.NewBalanceStrategyRoundRobin(), "sticky": sarama.NewBalanceStrategySticky(),
}

// A claim is read by a goroutine of its own: the mutex keeps what is printed and what is committed the same.
type member struct {
	sync.Mutex
	session sarama.ConsumerGroupSession // nil between two generations
	printed map[worker.Partition]int64  // the offset after the last record printed
	errors  <-chan error                // where sarama puts what a commit was refused with
}

func main() {
	options := worker.Arguments()
	config := sarama.NewConfig()
	config.Version = sarama.V3_8_0_0
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Return.Errors = true
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Consumer.Group.Session.Timeout = options.SessionTimeout()
	config.Consumer.Group.Heartbeat.Interval = options.SessionTimeout() / 12
	config.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategies[options.Assignor]}
	config.Consumer.Group.InstanceId = options.Instance
	consumers, err := sarama.NewConsumerGroup([]string{options.Bootstrap}, options.ConsumerGroup, config)
	worker.Check(err)
	m := &member{errors: consumers.Errors()}
	ctx, leave := context.WithCancel(context.Background())
	go m.obey(worker.Commands(), leave)
	for ctx.Err() == nil {
		if err := consumers.Consume(ctx, options.Topics, m); err != nil && !errors.Is(err, context.Canceled) {
			worker.Say("error %q", err)
			time.Sleep(100 * time.Millisecond) // as often as a broker that is away may be asked
		}
	}
	worker.Check(consumers.Close())
	worker.Say("left")
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.Lock()
	defer m.Unlock()
	m.session, m.printed = session, map[worker.Partition]int64{}
	worker.Say("assigned %d %s", session.GenerationID(), worker.Listed(session.Claims()))
	return nil
}

func (m *member) Cleanup(session sarama.ConsumerGroupSession) error {
	m.Lock()
	defer m.Unlock()
	m.commit()
	m.session = nil
	worker.Say("revoked %s", worker.Listed(session.Claims()))
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for record := range claim.Messages() {
		m.Lock()
		m.printed[worker.Partition{Topic: record.Topic, Number: record.Partition}] = record.Offset + 1
		worker.Say("record %s %d %d %s", record.Topic, record.Partition, record.Offset, record.Value)
		m.Unlock()
		if session.Context().Err() != nil {
			break
		}
	}
	return nil
}

// commit writes what is printed; the caller holds the lock.
func (m *member) commit() {
	if m.session == nil {
		worker.Say("committed -")
		return
	}
	for partition, offset := range m.printed {
		m.session.MarkOffset(partition.Topic, partition.Number, offset, "")
	}
	m.session.Commit()
	select {
	case refused := <-m.errors:
		worker.Say("refused %q", refused)
	default:
		worker.Say("committed %s", worker.ListedOffsets(m.printed))
	}
}

func (m *member) obey(commands <-chan string, leave func()) {
	for command := range commands {
		if command == "commit" || command == "leave" {
			m.Lock()
			m.commit()
			m.Unlock()
		}
		if command == "leave" {
			leave()
		}
	}
}
