package cluster

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// settings are those of a node that was given nothing else.
func settings(changed ...string) map[string]string {
	s := map[string]string{"limits.burst": "50", "broker": "nats://a", "secret": "aa"}
	for i := 0; i < len(changed); i += 2 {
		s[changed[i]] = changed[i+1]
	}
	return s
}

// joining is a node that joins, and what it logs.
func joining(t *testing.T, r *registry, by *Identity, n Node) (*Cluster, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	c := newNode(t, r, n.ID, by)
	c.Self, c.Log = n, slog.New(slog.NewTextHandler(log, nil))
	return c, log
}

func TestJoin(t *testing.T) {
	r, key := newRegistry(), identity(t, 1)
	n := serve(t, r, "other", key, http.NotFoundHandler())
	for name, tt := range map[string]struct {
		theirs Node
		warn   bool
		want   []string // of the error; none: it joins
		logged string
	}{
		"the same":              {theirs: Node{Level: Level, Settings: settings()}},
		"of an older version":   {theirs: Node{Level: Level - 1}},
		"of the next version":   {theirs: Node{Level: Level + 1, Settings: settings("new", "1")}},
		"of one after that":     {theirs: Node{Level: Level + 2, Version: "9.0"}, want: []string{"node other runs version 9.0", "too far from this one, 1.0", "in steps"}},
		"too far, with warn":    {theirs: Node{Level: Level + 2}, warn: true, want: []string{"too far"}},
		"another limit":         {theirs: Node{Level: Level, Settings: settings("limits.burst", "20")}, want: []string{"limits.burst is 50 here and 20 on node other (" + n.Address + ")", "cluster.differences: warn"}},
		"nothing set":           {theirs: Node{Level: Level, Settings: settings("broker", "")}, want: []string{"broker is nats://a here and empty on node other"}},
		"two differences":       {theirs: Node{Level: Level, Settings: settings("limits.burst", "20", "broker", "x")}, want: []string{"broker is", "limits.burst is"}},
		"another secret":        {theirs: Node{Level: Level, Settings: settings("secret", "bb")}, want: []string{"secret is another one than on node other", "give both the same secret_file"}},
		"a difference and warn": {theirs: Node{Level: Level, Settings: settings("limits.burst", "20")}, warn: true, logged: "limits.burst is 50 here and 20"},
	} {
		tt.theirs.ID, tt.theirs.Address, tt.theirs.BeatAt = n.ID, n.Address, time.Now()
		r.set(tt.theirs)
		c, log := joining(t, r, key, Node{ID: "this", Version: "1.0", Level: Level, Settings: settings()})
		err := c.Join(t.Context(), tt.warn)
		if (err != nil) != (len(tt.want) > 0) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), "bb") {
			t.Errorf("%s: the secret's digest is told: %v", name, err)
		}
		if !strings.Contains(log.String(), tt.logged) {
			t.Errorf("%s: logged %q", name, log)
		}
		if got := r.ids(); (err == nil) != (got == "other this") {
			t.Errorf("%s: then there are the nodes %s", name, got)
		}
		_ = r.WithdrawNode(t.Context(), "this")
	}
}

// What a node that was killed has left does not keep another from starting: whose address is nobody's, or another's, and who beats no more, does not live.
func TestJoinAfterANodeThatWasKilled(t *testing.T) {
	r, key := newRegistry(), identity(t, 1)
	other := serve(t, r, "other", key, http.NotFoundHandler())
	_ = r.WithdrawNode(t.Context(), "other")
	for _, address := range []string{"127.0.0.1:1", other.Address} {
		r.set(Node{ID: "killed", Address: address, Level: Level, Settings: settings("limits.burst", "20"), BeatAt: time.Now()})
		c, _ := joining(t, r, key, Node{ID: "this", Level: Level, Settings: settings()})
		if err := c.Join(t.Context(), false); err != nil {
			t.Errorf("beside a node at %s that was killed: %v", address, err)
		}
	}
	for _, lives := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRegistry()
			silent := Node{ID: "silent", Level: Level, Settings: settings("limits.burst", "20"), BeatAt: time.Now()}
			r.set(silent)
			ctx, end := context.WithCancel(t.Context())
			if lives {
				go func() {
					beat := time.NewTicker(beatEvery)
					defer beat.Stop()
					for {
						select {
						case <-ctx.Done():
							return
						case silent.BeatAt = <-beat.C:
							r.set(silent)
						}
					}
				}()
			}
			c, _ := joining(t, r, key, Node{ID: "this", Level: Level, Settings: settings()})
			began := time.Now()
			if err := c.Join(ctx, false); (err != nil) != lives {
				t.Errorf("beside a node that cannot be asked, and lives is %v: %v", lives, err)
			}
			if took := time.Since(began); took > ghostly+lookTime {
				t.Errorf("which took %v", took)
			}
			end()
			synctest.Wait()
		})
	}
}

// A node keeps its row, and withdraws it when it ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		c, _ := joining(t, r, identity(t, 1), Node{ID: "this", Level: Level, Settings: settings()})
		if err := c.Join(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.Run(ctx)
		}()
		time.Sleep(10 * time.Minute)
		if live, _ := r.LiveNodes(t.Context()); len(live) != 1 {
			t.Error("after ten minutes it does not count as live")
		}
		end()
		<-ended
		if got := r.ids(); got != "" {
			t.Errorf("it has ended and left %s", got)
		}
	})
}
