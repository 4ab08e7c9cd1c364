package fleet

import (
	"testing"
	"time"

	"github.com/parley-im/parley/e2e/history"
)

// A node 80 ms there and back from everything that nodes share keeps every promise; what that costs those who are at it is reported.
func TestTwoRegions(t *testing.T) {
	c := config("nats")
	c.Isolated, c.Far = true, 40*time.Millisecond
	f := Start(t, c)
	t.Logf("seed %d", c.Seed)
	f.Gather()
	f.Talk()
	wait(2 * scaled().steady)
	v := f.Finish()
	t.Log(v.Report)
	far := f.Nodes[len(f.Nodes)-1].Name
	deliveries := history.Deliveries(v.Entries)
	for _, way := range []struct {
		name     string
		from, to bool // at the far node
	}{{"near to near", false, false}, {"near to far", false, true}, {"far to near", true, false}, {"far to far", true, true}} {
		took := history.Of(deliveries, func(d history.Delivery) bool { return (d.From == far) == way.from && (d.To == far) == way.to })
		t.Logf("%s: %v", way.name, took)
		if took.Count == 0 {
			t.Errorf("nothing was delivered from %s", way.name)
		}
	}
	if err := f.Err(v); err != nil {
		t.Error(err)
	}
}
