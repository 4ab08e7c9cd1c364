package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store"
)

// What is too slow between the parts of a cluster.
const (
	slowStore = 50 * time.Millisecond // for a question that is answered from memory
	slowHint  = 5 * time.Second       // since a node's last probe, which it sends every second
	slowLag   = 10 * time.Second      // of a replica
)

// visit is what a node has said of itself.
type visit struct {
	cluster.Node
	status *cluster.Status // nil: it cannot be asked, or has not answered
	err    error
	took   time.Duration
	ahead  time.Duration // its clock before ours, half of the question's way taken off
}

// ExamineCluster looks at the nodes that run on the store of a configuration, as they see themselves and each other. It takes a second, or a few more when
// something does not answer.
func ExamineCluster(ctx context.Context, cfg *config.Config) []Finding {
	condition, err := inspect(ctx, cfg, cfg.Store)
	switch {
	case err != nil:
		return bad(Fail, "store", err.Error(), "no node works without it")
	case condition.Missing || condition.Schema != condition.Newest:
		return bad(Fail, "store", fmt.Sprintf("its schema is %d, and this binary's %d", condition.Schema, condition.Newest), "use the binary of the nodes that run")
	case onSQLite(cfg):
		return good("nodes", "one: SQLite is for one server")
	}
	findings := append(safety(cfg, "PostgreSQL "+condition.Version, condition), replication(condition)...)
	findings = append(findings, otherShards(ctx, cfg)...)
	visits, err := visitAll(ctx, cfg)
	if err != nil {
		return append(findings, Finding{"nodes", Fail, err.Error(), "the store must answer"})
	}
	if len(visits) == 0 {
		return append(findings, Finding{"nodes", Fail, "none has beaten within the last 45 s", "start one"})
	}
	findings = append(findings, good("nodes", "%d", len(visits))...)
	for _, look := range []func([]visit) []Finding{reached, versions, agreement, clocks, hints, shared} {
		findings = append(findings, look(visits)...)
	}
	return findings
}

// otherShards looks at the stores beside the first, where there are several.
func otherShards(ctx context.Context, cfg *config.Config) (findings []Finding) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Shards)) {
		condition, err := inspect(ctx, cfg, cfg.Shards[name])
		if err != nil {
			findings = append(findings, Finding{"shard " + name, Fail, err.Error(), "what it keeps is unavailable until it is back"})
			continue
		}
		for _, f := range append(safety(cfg, "PostgreSQL "+condition.Version, condition), replication(condition)...) {
			f.What = strings.Replace(f.What, "store", "shard "+name, 1)
			findings = append(findings, f)
		}
	}
	return findings
}

func inspect(ctx context.Context, cfg *config.Config, url string) (store.Condition, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return store.Inspect(ctx, store.Options{URL: url, Data: cfg.Data})
}

// directory is the store, or several as one, as far as it knows the nodes.
type directory interface {
	Key(purpose string) []byte
	LiveNodes(ctx context.Context) ([]cluster.Node, error)
	Close() error
}

func openDirectory(ctx context.Context, cfg *config.Config) (directory, error) {
	o := store.Options{URL: cfg.Store, Data: cfg.Data, Shared: true, Log: slog.New(slog.DiscardHandler)}
	if len(cfg.Shards) > 0 {
		return shards.Open(ctx, shards.Options{Home: cfg.Store, Others: cfg.Shards, Store: o})
	}
	return store.Open(ctx, o)
}

// visitAll asks all nodes that live, at once.
func visitAll(ctx context.Context, cfg *config.Config) ([]visit, error) {
	s, err := openDirectory(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	identity, err := cluster.NewIdentity(s.Key("cluster"))
	if err != nil {
		return nil, err
	}
	nodes, err := s.LiveNodes(ctx)
	if err != nil {
		return nil, err
	}
	visits := make([]visit, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		visits[i].Node = n
		if n.Address == "" {
			continue
		}
		all.Go(func() {
			v, asked := &visits[i], time.Now()
			v.status, v.err = cluster.Ask(ctx, identity, n)
			v.took = time.Since(asked)
			if v.err != nil {
				v.status = nil
				return
			}
			v.ahead = v.status.Now.Sub(asked.Add(v.took / 2))
		})
	}
	all.Wait()
	return visits, nil
}

// reached looks whether each node is reached where it says, and reaches the store.
func reached(visits []visit) (findings []Finding) {
	for _, v := range visits {
		what := "node " + v.ID
		switch s := v.status; {
		case v.Address == "":
			findings = append(findings, Finding{what, Warn, "says of no address where others reach it", "calls about its sessions are not passed on to it: set cluster.listen"})
		case v.err != nil:
			beat := time.Since(v.BeatAt).Round(time.Second)
			findings = append(findings, Finding{what, Fail, fmt.Sprintf("%s: %v; it last beat %s ago", v.Address, v.err, beat), "start it, or open the way to cluster.listen between the nodes; what was killed is forgotten after 45 s"})
		case s.Node != v.ID:
			findings = append(findings, Finding{what, Fail, fmt.Sprintf("node %s answers at its address %s", s.Node, v.Address), "give each node an address of its own with cluster.advertise"})
		case s.StoreMS < 0:
			findings = append(findings, Finding{what, Fail, "does not reach the store", "look at its log"})
		default:
			found := fmt.Sprintf("%s answers in %s, version %s, up %s, %d sessions, the store answers it in %s", v.Address, round(v.took), v.Version,
				s.Now.Sub(s.StartedAt).Round(time.Second), s.Sessions, round(milliseconds(s.StoreMS)))
			if s.Draining {
				found += ", draining"
			}
			if milliseconds(s.StoreMS) > slowStore {
				findings = append(findings, Finding{what, Warn, found, "every commit waits for the way to the store and back: have them nearer to each other"})
			} else {
				findings = append(findings, good(what, "%s", found)...)
			}
		}
	}
	return findings
}

// versions looks whether all nodes understand each other.
func versions(visits []visit) []Finding {
	var names []string
	least, most := visits[0].Level, visits[0].Level
	for _, v := range visits {
		least, most = min(least, v.Level), max(most, v.Level)
		name := v.Version
		if name == "" {
			name = "(from before nodes said theirs)"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	found := strings.Join(names, ", ")
	switch {
	case most-least > 1:
		return bad(Fail, "versions", found+" are too far apart to run together", "bring all nodes to one version, in steps")
	case len(names) > 1:
		return bad(Warn, "versions", found, "they run together while an upgrade is under way: finish it")
	}
	return good("versions", "%s", found)
}

// agreement compares the settings that must be the same.
func agreement(visits []visit) (findings []Finding) {
	for _, v := range visits[1:] {
		for _, d := range cluster.Differences(visits[0].Node, v.Node) {
			d = strings.Replace(d, " here ", " on node "+visits[0].ID+" ", 1)
			findings = append(findings, Finding{"settings", Fail, d, "give all nodes the same, and start them one after the other"})
		}
	}
	if findings == nil {
		return good("settings", "%d that must be the same are", len(visits[0].Settings))
	}
	return findings
}

// clocks compares each node's with this machine's and the store's.
func clocks(visits []visit) (findings []Finding) {
	var worst time.Duration
	for _, v := range visits {
		if v.status == nil {
			continue
		}
		behind := milliseconds(v.status.SkewMS)
		if behind.Abs() > maxSkew {
			findings = append(findings, Finding{"clock", Warn, fmt.Sprintf("that of node %s is %s away from the store's", v.ID, round(behind.Abs())), "run NTP on both machines"})
		}
		if v.ahead.Abs() > maxSkew {
			findings = append(findings, Finding{"clock", Warn, fmt.Sprintf("that of node %s is %s away from this machine's", v.ID, round(v.ahead.Abs())), "run NTP on both machines"})
		}
		worst = max(worst, behind.Abs(), v.ahead.Abs())
	}
	if findings == nil {
		return good("clock", "nodes and store are within %s", round(worst))
	}
	return findings
}

// hints looks whether what each node sends through the broker comes to itself and to every other one.
func hints(visits []visit) (findings []Finding) {
	asked := 0
	for _, v := range visits {
		switch {
		case v.status == nil:
			continue
		case !v.status.Broker.Configured && len(visits) > 1:
			findings = append(findings, Finding{"broker", Fail, "node " + v.ID + " has none", "give all nodes of a cluster the same broker"})
			continue
		case !v.status.Broker.Configured:
			continue
		case !v.status.Broker.Connected || !v.status.Broker.RoundTrip:
			findings = append(findings, Finding{"broker", Fail, "what node " + v.ID + " sends does not come back to it", "until it does, the store is asked every second; look at the broker, and at the node's log"})
		}
		asked++
		for _, other := range visits {
			heard, ever := v.status.Heard[other.ID]
			switch quiet := v.status.Now.Sub(heard); {
			case other.ID == v.ID || other.status == nil && other.Address != "": // itself, or one that is not there
			case !ever:
				findings = append(findings, Finding{"broker", Fail, fmt.Sprintf("node %s has heard nothing of node %s", v.ID, other.ID), "look whether both use the same broker, and its servers know each other"})
			case quiet > slowHint:
				findings = append(findings, Finding{"broker", Fail, fmt.Sprintf("node %s has heard nothing of node %s for %s", v.ID, other.ID, quiet.Round(time.Second)), "look at the broker, and at both nodes' logs"})
			}
		}
	}
	switch {
	case findings != nil:
		return findings
	case asked == 0:
		return good("broker", "none")
	}
	return good("broker", "each of %d nodes hears itself and every other one", asked)
}

// shared looks whether all nodes see the same shared state.
func shared(visits []visit) (findings []Finding) {
	asked := 0
	for _, v := range visits {
		switch s := v.status; {
		case s == nil || !s.State.Configured:
			continue
		case !s.State.Connected || !s.State.RoundTrip:
			findings = append(findings, Finding{"state", Fail, "does not answer node " + v.ID, "until it does, the node does not see who is online on others, and gives its share of the rate limits"})
		case s.State.Nodes < len(visits):
			findings = append(findings, Finding{"state", Warn, fmt.Sprintf("node %s sees %d nodes in it, of %d", v.ID, s.State.Nodes, len(visits)), "a node that has just come or gone is seen within seconds: look again; otherwise look whether all use the same one"})
		}
		asked++
	}
	switch {
	case findings != nil:
		return findings
	case asked == 0 && len(visits) > 1:
		return bad(Warn, "state", "none", "nodes do not see who is online on others, and each gives the whole of the rate limits: set state")
	case asked == 0:
		return good("state", "none")
	}
	return good("state", "answers all of %d nodes, which see each other in it", asked)
}

// replication looks at the servers that follow the store's.
func replication(c store.Condition) (findings []Finding) {
	for _, r := range c.Replicas {
		what := "replica " + r.Name
		found := fmt.Sprintf("%s, %d KiB and %s behind", r.State, r.Bytes>>10, round(r.Lag))
		if r.Sync {
			found += ", commits wait for it"
		}
		switch {
		case r.State == "":
			findings = append(findings, Finding{what, Warn, "its state may not be read", "GRANT pg_monitor to the user of the store's URL"})
		case r.Lag > slowLag || r.State != "streaming":
			findings = append(findings, Finding{what, Warn, found, "a failover now would lose what it does not have, or wait for it"})
		default:
			findings = append(findings, good(what, "%s", found)...)
		}
	}
	return findings
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
