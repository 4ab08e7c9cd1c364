package brokertest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/memory"
)

// through publishes the numbers up to n through faults and returns what arrives.
func through(t *testing.T, n int, seed uint64, faults brokertest.Faults) []string {
	t.Helper()
	bus := memory.NewBus()
	r := brokertest.NewRecorder()
	receiver := bus.Join("receiver", r)
	plain := bus.Join("sender", brokertest.NewRecorder())
	defer receiver.Close()
	defer plain.Close()
	if err := receiver.Follow(t.Context(), []string{"r_a"}); err != nil {
		t.Fatal(err)
	}
	var sender broker.Live = brokertest.Faulty(plain, seed, faults)
	for i := range n {
		sender.Publish("r_a", []byte(fmt.Sprint(i)))
	}
	sender.Broadcast([]byte("spoiled too"))
	plain.Publish("r_a", []byte("end"))
	r.AwaitMessage(t, "r_a", "end")
	got := r.Messages("r_a")
	return got[:len(got)-1]
}

func TestFaulty(t *testing.T) {
	const n = 1000
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	if got := through(t, n, 1, brokertest.Faults{}); !slices.Equal(got, all) {
		t.Errorf("without faults: %v", got)
	}
	if got := through(t, n, 1, brokertest.Faults{Drop: 1}); len(got) > 0 {
		t.Errorf("everything dropped: %v", got)
	}
	if got := through(t, n, 1, brokertest.Faults{Drop: 0.1}); len(got) < n*8/10 || len(got) > n*95/100 || !slices.Equal(got, slices.Compact(slices.Clone(got))) {
		t.Errorf("a tenth dropped: %d arrived", len(got))
	}
	if got := through(t, n, 1, brokertest.Faults{Double: 0.1}); len(got) < n*105/100 || len(got) > n*12/10 || !slices.Equal(slices.Compact(got), all) {
		t.Errorf("a tenth doubled: %d arrived", len(got))
	}
	shuffled := through(t, n, 1, brokertest.Faults{Reorder: 0.1})
	if slices.Equal(shuffled, all) {
		t.Error("a tenth reordered: nothing was")
	}
	for _, message := range all[:n-1] {
		if !slices.Contains(shuffled, message) {
			t.Errorf("reordered, and %s did not arrive", message)
		}
	}
	some := brokertest.Faults{Drop: 0.2, Double: 0.2, Reorder: 0.2}
	if !slices.Equal(through(t, n, 7, some), through(t, n, 7, some)) {
		t.Error("the same seed made other faults")
	}
	if slices.Equal(through(t, n, 7, some), through(t, n, 8, some)) {
		t.Error("another seed made the same faults")
	}
}
