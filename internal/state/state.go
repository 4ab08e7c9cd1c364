// Package state is the contract for what may be lost and rebuilt: rate buckets, who is online on which node, and locks. The store is the truth; nothing here
// outlives the engine that keeps it, and everybody who uses it can go on without.
//
// What implements it is in memory, for one node (memory), or shared by the nodes of a cluster (redis); both pass statetest. Implementations are used by many
// goroutines at once. Where one cannot reach its engine a method returns an error that is none of those named here, and has done nothing or all of it; the same
// call again does no harm.
package state

import (
	"context"
	"errors"
	"math"
	"time"
)

// Buckets limit rates by GCRA: of each bucket one number is kept, the time at which it will be full again.
type Buckets interface {
	// Take takes every charge, or none: then Refusal says which charge has to wait longest, the first of those that wait as long, and exactly how long, if nobody
	// takes anything meanwhile. No two charges are of one bucket; the order that the protocol gives them (§5) is connection, user, share, room.
	//
	// A charge may take many at once: a node that shares buckets with others takes a quota in advance and gives from it by itself. Who takes more than the burst is
	// always refused.
	//
	// The time is the caller's. A clock that goes back locks nobody out: a bucket is never emptier than empty. An engine that nodes share may go by a clock of its
	// own.
	Take(ctx context.Context, now time.Time, charges []Charge) (Refusal, error)
}

// Charge is what is taken of one bucket.
type Charge struct {
	Bucket Bucket
	Limit  Limit // the same for a bucket whenever it is charged; without one nothing is taken and nothing kept
	Count  int   // at least 1
}

// Bucket is the name of a bucket: a user's, without a room; a room's, without a user; or a user's share of a room.
type Bucket struct{ User, Room string }

// Refusal is why nothing was taken. The zero Refusal means that everything was.
type Refusal struct {
	Charge int           // the index of the charge that has to wait longest
	Wait   time.Duration // until it could be taken; 0: it was
}

// maxSpan bounds intervals and spans, so that a time and a span can be added: 36 years.
const maxSpan = 1 << 60

// Limit is a rate and a burst. The zero Limit is none.
type Limit struct {
	Interval time.Duration // in which a bucket regains one; 0: no limit
	Span     time.Duration // in which an empty bucket becomes full: the burst times the interval
}

// PerSecond is the limit of so many a second and so many at once; 0 or less of either is no limit. The interval is rounded up, so that never more is let through
// than was said.
func PerSecond(rate float64, burst int) Limit {
	if rate <= 0 || burst <= 0 {
		return Limit{}
	}
	interval := min(math.Ceil(float64(time.Second)/rate), maxSpan)
	return Limit{Interval: time.Duration(interval), Span: time.Duration(min(interval*float64(burst), maxSpan))}
}

// ErrNoLease means that the node has no lease, or none any more: nobody is online there, whoever had entered. The node renews, and enters its users anew.
var ErrNoLease = errors.New("the node has no lease")

// Leases are who is online on which node. A node renews one lease for all its users; when it ends, so that nobody has to say so for a node that has died, they
// are offline.
type Leases interface {
	// Renew has the node's lease end after ttl from now. fresh tells that it had none: it has no users then, and enters those that it has.
	Renew(ctx context.Context, node string, ttl time.Duration) (fresh bool, err error)
	// Enter makes users online on the node, who may be so already. ErrNoLease: nobody is.
	Enter(ctx context.Context, node string, users []string) error
	// Leave ends that. Who is not online there is no error; neither is a node without a lease.
	Leave(ctx context.Context, node string, users []string) error
	// Online are those of the users who are online on any node.
	Online(ctx context.Context, users []string) (map[string]bool, error)
	// Nodes is how many nodes have a lease.
	Nodes(ctx context.Context) (int, error)
}

var (
	// ErrHeld means that somebody else holds the lock.
	ErrHeld = errors.New("the lock is held")
	// ErrLost means that the lock has ended, and may be somebody else's now.
	ErrLost = errors.New("the lock is lost")
)

// Locks keep two nodes from doing the same work. A holder who was held up does not know that its time is over: what must never happen twice is guarded by the
// token too, where it is written.
type Locks interface {
	// Acquire takes the lock that nobody holds, until ttl from now. ErrHeld at once where somebody does, be it the caller itself.
	Acquire(ctx context.Context, name string, ttl time.Duration) (Lock, error)
	// Renew has the lock end after ttl from now. ErrLost when it has ended: it is not renewed, even if nobody has taken it since.
	Renew(ctx context.Context, l Lock, ttl time.Duration) error
	// Release lets go of the lock. ErrLost when it has ended by itself.
	Release(ctx context.Context, l Lock) error
}

// Lock is one acquisition of a lock.
type Lock struct {
	Name  string
	Token uint64 // larger than that of every earlier acquisition of this name
}
