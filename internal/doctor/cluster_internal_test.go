package doctor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/store"
)

// whole are two nodes with which everything is well; change makes something of the second not so.
func whole(change func(v *visit)) []visit {
	now := time.Now()
	var visits []visit
	for _, id := range []string{"one", "two"} {
		visits = append(visits, visit{
			Node: cluster.Node{ID: id, Address: id + ":1", Version: "1.0", Level: 1, Settings: map[string]string{"a": "1"}, BeatAt: now},
			status: &cluster.Status{
				Node: id, Now: now, StartedAt: now, StoreMS: 1,
				Broker: cluster.Engine{Configured: true, Connected: true, RoundTrip: true},
				State:  cluster.Engine{Configured: true, Connected: true, RoundTrip: true, Nodes: 2},
				Heard:  map[string]time.Time{"one": now, "two": now},
			},
		})
	}
	change(&visits[1])
	return visits
}

func TestClusterFindings(t *testing.T) {
	looks := []func([]visit) []Finding{reached, versions, agreement, clocks, hints, shared}
	for name, tt := range map[string]struct {
		change  func(v *visit)
		verdict Verdict
		words   string // of the one finding that is not good; "": all are
	}{
		"all is well":             {func(*visit) {}, Good, ""},
		"no listener":             {func(v *visit) { v.Address, v.status = "", nil }, Warn, "no address"},
		"no answer":               {func(v *visit) { v.err, v.status = errors.New("refused"), nil }, Fail, "two:1: refused; it last beat"},
		"another's answer":        {func(v *visit) { v.status.Node = "three" }, Fail, "node three answers at its address"},
		"no store":                {func(v *visit) { v.status.StoreMS = -1 }, Fail, "does not reach the store"},
		"a slow store":            {func(v *visit) { v.status.StoreMS = 80 }, Warn, "the store answers it in 80ms"},
		"an upgrade":              {func(v *visit) { v.Version = "1.1" }, Warn, "1.0, 1.1"},
		"a version before":        {func(v *visit) { v.Version, v.Level, v.Settings = "", 0, nil }, Warn, "from before"},
		"versions too far apart":  {func(v *visit) { v.Level = 3 }, Fail, "too far apart"},
		"another setting":         {func(v *visit) { v.Settings = map[string]string{"a": "2"} }, Fail, "a is 1 on node one and 2 on node two"},
		"the store's clock":       {func(v *visit) { v.status.SkewMS = -3000 }, Warn, "node two is 3s away from the store's"},
		"a clock":                 {func(v *visit) { v.ahead = 4 * time.Second }, Warn, "node two is 4s away from this machine's"},
		"no broker":               {func(v *visit) { v.status.Broker = cluster.Engine{} }, Fail, "node two has none"},
		"a broker that is deaf":   {func(v *visit) { v.status.Broker.RoundTrip = false }, Fail, "does not come back"},
		"heard for the last time": {func(v *visit) { v.status.Heard["one"] = v.status.Now.Add(-time.Minute) }, Fail, "heard nothing of node one for 1m0s"},
		"never heard":             {func(v *visit) { delete(v.status.Heard, "one") }, Fail, "heard nothing of node one"},
		"state away":              {func(v *visit) { v.status.State.RoundTrip = false }, Fail, "does not answer node two"},
		"another state":           {func(v *visit) { v.status.State.Nodes = 1 }, Warn, "node two sees 1 nodes in it, of 2"},
	} {
		var bad []Finding
		for _, look := range looks {
			for _, f := range look(whole(tt.change)) {
				if f.Verdict != Good {
					bad = append(bad, f)
				}
			}
		}
		switch {
		case tt.words == "" && len(bad) == 0:
		case len(bad) != 1 || bad[0].Verdict != tt.verdict || !strings.Contains(bad[0].Found, tt.words) || bad[0].Advice == "":
			t.Errorf("%s: found %+v, want one %s with %q and advice", name, bad, tt.verdict, tt.words)
		}
	}
}

func TestReplicas(t *testing.T) {
	for _, tt := range []struct {
		replica store.Replica
		want    Verdict
	}{
		{store.Replica{Name: "a", State: "streaming", Sync: true, Lag: time.Second}, Good},
		{store.Replica{Name: "a", State: "streaming", Lag: time.Minute, Bytes: 1 << 20}, Warn},
		{store.Replica{Name: "a", State: "catchup"}, Warn},
		{store.Replica{Name: "a"}, Warn},
	} {
		if f := replication(store.Condition{Replicas: []store.Replica{tt.replica}}); len(f) != 1 || f[0].Verdict != tt.want {
			t.Errorf("%+v: %+v", tt.replica, f)
		}
	}
}
