package cluster

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Level is what this version says to other nodes and understands of them, in the store's rows, through the broker and over Listen. It rises by one where
// that changes. Nodes whose levels are one apart run together; 0 is a node from before there were levels.
const Level = 1

// beatEvery is how often a node writes its row.
const beatEvery = 15 * time.Second

// Node is one node as the store knows it.
type Node struct {
	ID       string
	Address  string // HOST:PORT, where other nodes reach it; "" if they do not
	Version  string
	Level    int
	Settings map[string]string // those that must be the same on all nodes, as they may be shown
	BeatAt   time.Time
}

// Registry keeps the nodes. Implementations are used by many goroutines at once.
type Registry interface {
	// AnnounceNode writes a node's row, BeatAt apart, which becomes now. Skew is how far the store's clock is ahead of this machine's; 0 where they are one.
	AnnounceNode(ctx context.Context, n *Node) (skew time.Duration, err error)
	// LiveNodes are those that have beaten within the last 45 s, by id.
	LiveNodes(ctx context.Context) ([]Node, error)
	// WithdrawNode says that a node has ended in good order.
	WithdrawNode(ctx context.Context, id string) error
}

// Options are what a Cluster stands on.
type Options struct {
	Self     Node // this node: BeatAt does not matter
	Identity *Identity
	Registry Registry
	Now      func() time.Time
	Log      *slog.Logger
}

// Cluster is what a node knows of the others. All methods may be called from any goroutine.
type Cluster struct {
	Options
	transport *http.Transport
	polls     atomic.Int64 // that are being passed on
	calls     atomic.Int64
	counters  counters
	skew      atomic.Int64 // nanoseconds

	draining context.Context // done once this node drains
	drain    context.CancelFunc

	refreshing sync.Mutex // one reads the nodes at a time

	mu     sync.Mutex      // a leaf
	byTag  map[string]Node // live nodes, this one apart
	readAt time.Time       // when byTag was read; zero: never
}

// counters count since the start.
type counters struct {
	forwarded, gone, failed, refused atomic.Uint64
}

// Stats is what a Cluster is doing and has done.
type Stats struct {
	Nodes     int           // live ones that were known last, with this one
	Calls     int           // that are being passed on
	CallsMost int           // how many there may be
	Polls     int           // that are being passed on
	PollsMost int           // how many there may be
	Skew      time.Duration // how far the store's clock is ahead of this machine's
	Forwarded uint64        // since the start, here and below: requests that another node has answered
	Gone      uint64        // requests about sessions of nodes that are there no longer
	Failed    uint64        // requests to nodes that did not answer
	Refused   uint64        // requests that were too many at once
}

// New makes a Cluster. Join and then Run must be called before it knows any other node.
func New(o Options) *Cluster {
	c := &Cluster{Options: o, byTag: map[string]Node{}}
	c.draining, c.drain = context.WithCancel(context.Background())
	c.transport = newTransport(o.Identity)
	return c
}

// Stats may be called at any time.
func (c *Cluster) Stats() Stats {
	c.mu.Lock()
	nodes := len(c.byTag) + 1
	c.mu.Unlock()
	return Stats{
		Nodes: nodes, Calls: int(c.calls.Load()), CallsMost: maxCalls, Polls: int(c.polls.Load()), PollsMost: maxPolls,
		Skew: time.Duration(c.skew.Load()), Forwarded: c.counters.forwarded.Load(), Gone: c.counters.gone.Load(),
		Failed: c.counters.failed.Load(), Refused: c.counters.refused.Load(),
	}
}

// Run keeps this node's row, and what is known of the others, until ctx ends; then it withdraws the row.
func (c *Cluster) Run(ctx context.Context) {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			c.transport.CloseIdleConnections()
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := c.Registry.WithdrawNode(end, c.Self.ID); err != nil {
				c.Log.Warn("this node's row could not be withdrawn", "error", err)
			}
			return
		case <-beat.C:
		}
		if err := c.announce(ctx); err != nil {
			c.Log.Warn("this node's row could not be written", "error", err)
		} else if err := c.refresh(ctx, 0); err != nil {
			c.Log.Warn("the other nodes could not be read", "error", err)
		}
	}
}

// maxSkew is how far this machine's clock may be from the store's before the log says so: as doctor does.
const maxSkew = 2 * time.Second

func (c *Cluster) announce(ctx context.Context) error {
	skew, err := c.Registry.AnnounceNode(ctx, &c.Self)
	if err != nil {
		return err
	}
	c.skew.Store(int64(skew))
	if skew.Abs() > maxSkew {
		c.Log.Warn("the clocks of this machine and of the store differ: run NTP on both", "store_ahead", skew)
	}
	return nil
}

// refresh reads which nodes live, unless that was done since less than fresh ago.
func (c *Cluster) refresh(ctx context.Context, fresh time.Duration) error {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	now := c.Now()
	c.mu.Lock()
	known := !c.readAt.IsZero() && now.Sub(c.readAt) < fresh
	c.mu.Unlock()
	if known {
		return nil
	}
	live, err := c.Registry.LiveNodes(ctx)
	if err != nil {
		return err
	}
	byTag := make(map[string]Node, len(live))
	for _, n := range live {
		if n.ID != c.Self.ID {
			byTag[Tag(n.ID)] = n
		}
	}
	c.mu.Lock()
	c.byTag, c.readAt = byTag, now
	c.mu.Unlock()
	return nil
}

// Drain ends waiting polls soon that are passed on, so that this node can end: their clients ask again, through another node.
func (c *Cluster) Drain() { c.drain() }

// Listen makes a listener one for other nodes: who does not have the store's key is refused in the handshake.
func (c *Cluster) Listen(l net.Listener) net.Listener { return tls.NewListener(l, c.Identity.config()) }
