package kafka_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/kafka"
)

// fake is a Kafka within this process, which can be stopped and started again, empty, at the same address.
type fake struct {
	options []kfake.Opt
	port    int
	cluster *kfake.Cluster
}

// startFake starts a Kafka on a free port.
func startFake(t testing.TB, options ...kfake.Opt) *fake {
	t.Helper()
	f := &fake{options: options}
	f.start(t)
	t.Cleanup(func() { f.stop(t) })
	return f
}

func (f *fake) start(t testing.TB) {
	t.Helper()
	options := append([]kfake.Opt{kfake.NumBrokers(1), kfake.Ports(f.port)}, f.options...)
	c, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(c.ListenAddrs()[0])
	if err == nil {
		f.port, err = strconv.Atoi(port)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.cluster = c
}

func (f *fake) stop(testing.TB) { f.cluster.Close() }

func (f *fake) url() string { return "kafka://" + f.cluster.ListenAddrs()[0] }

func open(t testing.TB, o kafka.Options, r broker.Receiver) broker.Live {
	t.Helper()
	live, err := kafka.Open(t.Context(), o, r)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func TestConformance(t *testing.T) {
	f := startFake(t)
	brokertest.Run(t, brokertest.Harness{
		Open: func(t testing.TB, node string, r broker.Receiver) broker.Live {
			return open(t, kafka.Options{URL: f.url(), Name: node}, r)
		},
		Break: f.stop,
		Heal:  f.start,
	})
}
