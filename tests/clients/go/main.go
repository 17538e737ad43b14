// franz-go as a test client: see tests/README.md for the command line all clients share.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func main() {
	log.SetFlags(0)
	if os.Args[1] == "produce" {
		produce(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
		return
	}
	count, err := strconv.ParseInt(os.Args[4], 10, 64)
	check(err)
	consume(os.Args[2], os.Args[3], count)
}

func produce(bootstrap, topic, codec, path string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(20*time.Millisecond),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	check(err)
	defer client.Close()
	file, err := os.Open(path)
	check(err)
	defer file.Close()

	var failed atomic.Pointer[error]
	ctx := context.Background()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := bytes.Clone(lines.Bytes())
		comma := bytes.IndexByte(line, ',')
		client.Produce(ctx, &kgo.Record{Key: line[:comma], Value: line[comma+1:]}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	check(lines.Err())
	check(client.Flush(ctx))
	if err := failed.Load(); err != nil {
		check(*err)
	}
}

func consume(bootstrap, topic string, count int64) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	check(err)
	defer client.Close()
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	defer out.Flush()
	for seen := int64(0); seen < count; {
		fetches := client.PollFetches(context.Background())
		for _, failure := range fetches.Errors() {
			check(failure.Err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			seen++
			fmt.Fprintf(out, "%d\t%d\t%s\t%s\n", record.Partition, record.Offset, record.Key, record.Value)
		})
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
