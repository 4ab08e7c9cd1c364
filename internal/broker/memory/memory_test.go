package memory_test

import (
	"testing"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/memory"
)

// A bus knows who published, and spares a node its own messages.
func TestOwnMessagesDoNotComeBack(t *testing.T) {
	r := brokertest.NewRecorder()
	n := memory.NewBus().Join("alone", r)
	defer n.Close()
	if err := n.Follow(t.Context(), []string{"r_a"}); err != nil {
		t.Fatal(err)
	}
	n.Publish("r_a", []byte("own"))
	n.Broadcast([]byte("fence"))
	r.AwaitMessage(t, "", "fence")
	if got := r.Messages("r_a"); len(got) > 0 {
		t.Errorf("got %q", got)
	}
	if stats := n.Stats(); stats.Received != 1 || stats.Published != 2 {
		t.Errorf("stats: %+v", stats)
	}
}

func TestConformance(t *testing.T) {
	bus := memory.NewBus()
	brokertest.Run(t, brokertest.Harness{
		Open: func(_ testing.TB, node string, r broker.Receiver) broker.Live { return bus.Join(node, r) },
	})
}

func TestExchange(t *testing.T) {
	feeds := map[string]*memory.Feed{} // by the first queue: the suite opens several exchanges with the same queues
	brokertest.RunExchange(t, brokertest.ExchangeHarness{
		Open: func(_ testing.TB, _ string, queues []broker.Queue) broker.Exchange {
			if feeds[queues[0].Name] == nil {
				feeds[queues[0].Name] = memory.NewFeed(queues)
			}
			return feeds[queues[0].Name].Join()
		},
	})
}
