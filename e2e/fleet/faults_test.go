package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/parley-im/parley/e2e/history"
	"github.com/parley-im/parley/internal/testkit"
)

var binaries string // the folder of the binaries that TestMain built

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "parley-fleet-")
	if err != nil {
		panic(err)
	}
	binaries = dir
	if err := build("parley", ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds the binary under a name, with a build tag.
func build(name, tag string) error {
	cmd := exec.Command("go", "build", "-tags", tag, "-o", filepath.Join(binaries, name), "../../cmd/parley")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return nil
}

// scale is how much is done: PARLEY_FAULTS=long does what docs/reliability.md reports, anything else what a change must pass.
type scale struct {
	users, rooms, perSecond int
	heartbeat               time.Duration
	steady                  time.Duration // without a fault
	frozen, away, parted    time.Duration
	commits                 int
	rolls, storm            int
}

func long() bool { return os.Getenv("PARLEY_FAULTS") == "long" }

func scaled() scale {
	if long() {
		return scale{300, 60, 100, 2 * time.Second, 20 * time.Second, 20 * time.Second, 30 * time.Second, 20 * time.Second, 200, 5, 5000}
	}
	return scale{60, 12, 60, time.Second, time.Second, 3 * time.Second, 4 * time.Second, 4 * time.Second, 10, 2, 600}
}

func config(broker string) Config {
	s := scaled()
	return Config{
		Binary: filepath.Join(binaries, "parley"), Broker: broker, Nodes: 3, Users: s.users, Rooms: s.rooms, RoomSize: 10, PerSecond: s.perSecond,
		Heartbeat: s.heartbeat, Seed: uint64(time.Now().UnixNano()),
	}
}

// wait lets the load go on for a while: that is what is tested.
func wait(d time.Duration) { <-time.After(d) }

// fault is something that happens to a fleet, which is over when inflict returns.
type fault struct {
	name     string
	every    bool // for every broker in the short form
	isolated bool // only where a node is in a network of its own
	inflict  func(f *Fleet, s scale)
}

// faults are all of them, in the order in which they come.
func faults() []fault {
	return []fault{
		{"kill -9 of a node", true, false, func(f *Fleet, s scale) {
			f.Nodes[0].Kill()
			wait(s.steady)
			f.Nodes[0].Start()
		}},
		{"the broker away", false, false, func(f *Fleet, s scale) {
			f.Broker.Kill()
			wait(s.away)
			f.Broker.Start()
		}},
		{"the broker emptied", true, false, func(f *Fleet, _ scale) {
			f.Broker.Kill()
			f.Broker.Start()
		}},
		{"a node frozen", false, false, func(f *Fleet, s scale) {
			f.Nodes[1].Freeze()
			wait(s.frozen)
			f.Nodes[1].Thaw()
		}},
		{"Redis away", false, false, func(f *Fleet, s scale) {
			f.State.Kill()
			wait(s.steady)
			f.State.Start()
		}},
		{"Redis flushed", false, false, func(f *Fleet, _ scale) { f.State.Flush() }},
		{"PostgreSQL restarted at once", false, false, func(f *Fleet, _ scale) {
			f.Postgres.Stop(testkit.Immediate)
			f.Postgres.Start()
		}},
		{"connections cut at COMMIT", false, false, func(f *Fleet, s scale) {
			f.Store.CutCommits(s.commits)
			f.Until("the cuts are made", 2*time.Minute, func() bool { return f.Store.Left() == 0 })
		}},
		{"a COMMIT that hangs", false, false, func(f *Fleet, s scale) {
			release := f.Store.HoldCommits(1)
			wait(s.frozen)
			release()
		}},
		{"a node cut off", false, true, func(f *Fleet, s scale) {
			f.network.cut(f.T, true)
			wait(s.parted)
			f.network.cut(f.T, false)
		}},
		silence,
	}
}

// silence is the end of everything that is said, while there is no broker: nothing that follows tells a node what it has missed.
var silence = fault{"the broker away when all fall silent", false, false, func(f *Fleet, s scale) {
	f.Broker.Kill()
	wait(s.steady)
	f.Hush()
}}

// Whatever part of a cluster fails, and while it is away: what was acknowledged is delivered to every member once and in order, and soon after everybody has
// everything.
func TestFaults(t *testing.T) {
	for _, broker := range []string{"nats", "redis", "rabbitmq", "kafka"} {
		t.Run(broker, func(t *testing.T) {
			s, c := scaled(), config(broker)
			all := broker == "nats" || long()
			if all {
				t.Run("a network namespace", func(t *testing.T) {
					newNamespace(t)
					c.Isolated = true
				})
			}
			f := Start(t, c)
			t.Logf("seed %d", c.Seed)
			f.Gather()
			f.Talk()
			wait(s.steady)
			for _, fault := range faults() {
				if fault.every || all && (c.Isolated || !fault.isolated) {
					f.Suffer(fault.name, func() { fault.inflict(f, s) })
					wait(s.steady / 4)
				}
			}
			v := f.Finish()
			report(t, f, v)
			if !long() {
				secondOpinion(t, f, v)
			}
			if err := f.Err(v); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that acknowledges before it commits is found out when nodes are killed, and one that trusts the broker when that is away.
func TestFaultsFindsBugs(t *testing.T) {
	if !long() {
		t.Skip("SKIPPED FOR BEING SHORT: how many kills it takes to find a lost message is chance; PARLEY_FAULTS=long, and TestCrashFindsEarlyAcknowledgement always, look")
	}
	if err := build("parley-bugs", "bugs"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		invariant history.Invariant
		times     int
		fault     fault
	}{
		{history.Stored, 12, fault{name: "kill -9 of all nodes", inflict: func(f *Fleet, _ scale) {
			for _, n := range f.Nodes {
				n.Kill()
			}
			for _, n := range f.Nodes {
				n.Start()
			}
		}}},
		{history.Live, 1, silence},
	} {
		t.Run(string(c.invariant), func(t *testing.T) {
			with := config("nats")
			with.Binary, with.PerSecond = filepath.Join(binaries, "parley-bugs"), 300
			f := Start(t, with)
			f.Gather()
			f.Talk()
			for i := 0; i < c.times && !f.again.Load(); i++ {
				wait(scaled().steady)
				f.Suffer(c.fault.name, func() { c.fault.inflict(f, scaled()) })
			}
			v := f.finish(CatchUp)
			if v.Violated[c.invariant] == 0 {
				t.Errorf("it was not found out: %v", v.Report)
			}
			t.Logf("found out: %d × %s", v.Violated[c.invariant], c.invariant)
		})
	}
}

// secondOpinion has a model check the rooms whose members stayed. It takes small histories only.
func secondOpinion(t *testing.T, f *Fleet, v Verdict) {
	t.Helper()
	steady := map[string]bool{}
	for _, r := range f.rooms {
		steady[r.id] = r.guest == nil
	}
	illegal, undecided := history.Linearizable(slices.DeleteFunc(slices.Clone(v.Entries), func(e history.Entry) bool { return !steady[e.Room] }), time.Second)
	t.Logf("second opinion: of %d rooms %d undecided", len(steady), len(undecided))
	if len(illegal) > 0 {
		t.Errorf("no order in time explains what was answered in %v", illegal)
	}
}

// report tells what was measured: how long deliveries took, before the first fault and while each lasted.
func report(t *testing.T, f *Fleet, v Verdict) {
	t.Helper()
	t.Log(v.Report)
	t.Log(f.Peaks())
	deliveries := history.Deliveries(v.Entries)
	tell := func(name string, from, to time.Duration) {
		of := func(across bool) history.Percentiles {
			return history.Of(deliveries, func(d history.Delivery) bool { return d.Sent >= from && d.Sent < to && d.Across() == across })
		}
		t.Logf("%s: to another node %v; on the same %v", name, of(true), of(false))
	}
	var from time.Duration
	for _, e := range v.Entries {
		switch {
		case e.Op != history.Fault:
		case e.Phase == history.Invoke:
			if from == 0 {
				tell("nothing wrong", 0, e.T)
			}
			from = e.T
		default:
			tell(e.Name, from, e.T)
		}
	}
	if from == 0 {
		tell("nothing wrong", 0, 1<<62)
	}
}
