package kafka_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/parley-im/parley/internal/broker/kafka"
	"github.com/parley-im/parley/internal/testkit"
)

// What a node pays for a message of a room that it does not follow, of 300 bytes, read from a Kafka in a process of its own: the CPU of this process.
//
//	go test ./internal/broker/kafka -run '^$' -bench Foreign -benchtime 300000x
func BenchmarkForeignRecord(b *testing.B) {
	k := testkit.StartKafka(b)
	producer, err := kgo.NewClient(kgo.SeedBrokers(strings.TrimPrefix(k.URL, "kafka://")), kgo.DefaultProduceTopic("foreign"), kgo.ProducerLinger(5*time.Millisecond))
	must(b, err)
	defer producer.Close()
	_, err = kadm.NewClient(producer).CreateTopic(b.Context(), 1, 1, nil, "foreign")
	must(b, err)
	for i := range b.N {
		text := fmt.Sprintf("%x", i*2654435761)
		producer.Produce(b.Context(), &kgo.Record{Key: []byte("room:r_" + text), Value: []byte(strings.Repeat(text+" and so on, ", 30)[:300])}, nil)
	}
	producer.Produce(b.Context(), &kgo.Record{Key: []byte("room:r_a"), Value: []byte("end")}, nil)
	must(b, producer.Flush(b.Context()))
	live, r := openNode(b, k.URL)

	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	kafka.ReadAlso(live, "foreign")
	r.AwaitMessage(b, "r_a", "end")
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpu is the time that this process has computed for.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
