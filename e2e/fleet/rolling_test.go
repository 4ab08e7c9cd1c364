package fleet

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	sdk "github.com/parley-im/parley/client"
	"github.com/parley-im/parley/e2e/history"
	"github.com/parley-im/parley/internal/auth"
)

// Every node is restarted in turn, under load, again and again: nobody loses anything, no send fails, and everybody was told before their session ended.
func TestRollingRestart(t *testing.T) {
	f, v := roll(t, scaled().rolls, (*Node).Stop)
	if err := f.Err(v); err != nil {
		t.Error(err)
	}
	if untold := f.untold(); untold > 0 {
		t.Errorf("%d sessions ended without a word", untold)
	}
}

// The negative control: nodes that are killed tell nobody.
func TestRollingRestartFindsKills(t *testing.T) {
	f, _ := roll(t, 1, (*Node).Kill)
	if f.untold() == 0 {
		t.Error("nodes were killed, and everybody was told")
	}
}

// roll restarts every node so many times.
func roll(t *testing.T, times int, end func(*Node)) (*Fleet, Verdict) {
	t.Helper()
	c := config("nats")
	c.Flags = []string{"--drain", "1s"}
	f := Start(t, c)
	t.Logf("seed %d", c.Seed)
	f.Gather()
	f.Talk()
	for range times {
		for _, n := range f.Nodes {
			f.History.Add(history.Entry{Op: history.Fault, Phase: history.Invoke, Name: "restart of " + n.Name})
			end(n)
			n.Start()
			f.Until("new sessions get to "+n.Name, 20*time.Second, func() bool { return f.greets(n.Name) })
			f.History.Add(history.Entry{Op: history.Fault, Phase: history.OK, Name: "restart of " + n.Name})
		}
	}
	v := f.Finish()
	t.Log(v.Report)
	t.Log(f.Peaks())
	gaps := gapsBetweenSessions(v.Entries)
	t.Logf("%d sessions went on at another node, without any for %v", len(gaps), history.Of(gaps, func(history.Delivery) bool { return true }))
	all := history.Deliveries(v.Entries)
	t.Logf("deliveries: %v", history.Of(all, func(history.Delivery) bool { return true }))
	return f, v
}

// greets opens a session and says whether it is at a node.
func (f *Fleet) greets(node string) bool {
	c, err := sdk.Connect(f.T.Context(), sdk.Options{
		URL: "https://" + f.balancer.Addr, Conn: sdk.ConnOptions{TLS: f.trust}, Logger: slog.New(slog.DiscardHandler),
		Token: func(context.Context) (string, error) {
			return f.signer.Sign(auth.Claims{User: "probe", TTL: time.Hour})
		},
	})
	if err != nil {
		return false
	}
	defer c.Close()
	return c.State().Hello.Node == node
}

// untold counts the sessions that ended without a word before.
func (f *Fleet) untold() (n int) {
	for _, p := range f.people {
		p.mu.Lock()
		n += p.untold
		p.mu.Unlock()
	}
	return n
}

// gapsBetweenSessions are the times from the end of a device's session to the beginning of its next.
func gapsBetweenSessions(entries []history.Entry) (gaps []history.Delivery) {
	ended := map[string]time.Duration{}
	for _, e := range entries {
		switch at, ok := ended[e.Conn.User]; {
		case e.Op != history.Session:
		case e.Phase == history.Info:
			ended[e.Conn.User] = e.T
		case ok:
			gaps = append(gaps, history.Delivery{Sent: at, Took: e.T - at})
			delete(ended, e.Conn.User)
		}
	}
	return slices.Clip(gaps)
}
