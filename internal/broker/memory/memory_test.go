package memory_test

import (
	"testing"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/memory"
)

func TestConformance(t *testing.T) {
	bus := memory.NewBus()
	brokertest.Run(t, brokertest.Harness{
		Open: func(_ testing.TB, node string, r broker.Receiver) broker.Live { return bus.Join(node, r) },
	})
}
