package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/protocol"
)

const (
	// keyLife is how long an answer of the store about a key is believed, unless a Refresh comes first.
	keyLife = 15 * time.Second

	// keyPatience is how long the store may take to answer about a key.
	keyPatience = 5 * time.Second

	// maxGuesses bounds how many keys that never were good are looked up in a second, so that guessing can neither load the store nor fill the memory.
	maxGuesses = 100
)

// Gate decides who may come in: by a token that is good and not revoked, by a one-time ticket, or by an API key. It may be used by many goroutines at once.
type Gate struct {
	tokens    *Verifier
	sessions  Sessions
	keys      Keys
	tickets   Tickets
	ticketKey []byte
	now       func() time.Time

	revoked    atomic.Pointer[revocations] // nil before the first Refresh
	refreshing chan struct{}               // holds one while a Refresh runs

	mu        sync.Mutex // guards the rest; not held while the store is asked
	lookups   map[[32]byte]*lookup
	since     time.Time         // when lookups began; it is thrown away whole
	good      map[[32]byte]bool // keys that the store knew when it was last asked: they are no guesses
	guesses   int               // in the second from guessedAt on
	guessedAt time.Time
}

// lookup is one question to the store about a key; everyone who brings the key meanwhile waits for the same answer.
type lookup struct {
	done chan struct{} // closed when the answer is there
	name string
	err  error // unavailable until the store has answered
}

// revocations are what was read last. They are never changed.
type revocations struct {
	notBefore map[string]map[string]int64 // by user and device, "" for all devices: the Unix second up to which tokens are refused
	unknown   func(user string) bool      // whether it could not be read if the user's were revoked; nil: it could
}

// GateOptions are what a Gate stands on.
type GateOptions struct {
	Tokens    *Verifier
	Sessions  Sessions
	Keys      Keys
	Tickets   Tickets
	TicketKey []byte // marks the tickets of this deployment: the same on all of its nodes, and secret
	Now       func() time.Time
}

// NewGate makes a gate that lets nobody in by token or ticket before its first Refresh.
func NewGate(o GateOptions) *Gate {
	return &Gate{
		tokens: o.Tokens, sessions: o.Sessions, keys: o.Keys, tickets: o.Tickets, ticketKey: o.TicketKey, now: o.Now,
		refreshing: make(chan struct{}, 1),
		good:       map[[32]byte]bool{},
	}
}

// Refresh reads the revocations anew and forgets what it was told about keys. It is called at the start, every 15 s, and whenever sessions, revocations
// or keys changed; when it has returned nil, everything that had changed before the call is in force. On an error the old revocations stand. Tokens
// and tickets of users who could not be asked about are answered unavailable until they can be. It blocks for the store, and for another Refresh that runs.
func (g *Gate) Refresh(ctx context.Context) error {
	select {
	case g.refreshing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-g.refreshing }()

	g.mu.Lock()
	g.lookups = nil
	g.mu.Unlock()

	table := &revocations{notBefore: map[string]map[string]int64{}}
	list, err := g.sessions.Revocations(ctx)
	if partial, ok := errors.AsType[*PartialError](err); ok {
		table.unknown = partial.Unanswered
	} else if err != nil {
		return fmt.Errorf("read the revocations: %w", err)
	}
	for _, r := range list {
		devices := table.notBefore[r.User]
		if devices == nil {
			devices = map[string]int64{}
			table.notBefore[r.User] = devices
		}
		devices[r.Device] = max(devices[r.Device], r.NotBefore)
	}
	g.revoked.Store(table)
	return nil
}

var (
	errRevoked     = unauthenticated("The token was revoked: sign in again.")
	errUnknownKey  = unauthenticated("There is no such API key.")
	errUnavailable = &protocol.Error{Code: protocol.Unavailable, Message: "Credentials cannot be checked just now; try again.", RetryAfterMS: 1000}
)

// Token checks a token, for a device or, with "", for a call that comes from none. An error is a *protocol.Error: unauthenticated, or unavailable before
// the first Refresh, while nobody can say whether the user's were revoked, and while an issuer's keys have never been read. It blocks as [Verifier.Verify] does.
func (g *Gate) Token(ctx context.Context, token, device string) (*Identity, error) {
	id, err := g.Genuine(ctx, token)
	switch {
	case err != nil:
		return nil, err
	case g.Revoked(id.User, device, id.IssuedAt):
		return nil, errRevoked
	}
	return id, nil
}

// Genuine checks a token as Token does, but whether it was revoked: its caller must ask Revoked, which knows the answer from then on, before it does anything for
// the user.
func (g *Gate) Genuine(ctx context.Context, token string) (*Identity, error) {
	id, err := g.tokens.Verify(ctx, token)
	switch {
	case err != nil:
		return nil, err
	case !g.knows(id.User):
		return nil, errUnavailable
	}
	return id, nil
}

// knows reports whether Revoked knows the answer for a user.
func (g *Gate) knows(user string) bool {
	table := g.revoked.Load()
	return table != nil && (table.unknown == nil || !table.unknown(user))
}

// Revoked reports whether tokens of the user that were issued at that Unix second (0 when they do not say) are refused for the device, as of the last
// Refresh. It does not block.
func (g *Gate) Revoked(user, device string, issuedAt int64) bool {
	table := g.revoked.Load()
	if table == nil {
		return false
	}
	for _, d := range [...]string{"", device} {
		if notBefore, ok := table.notBefore[user][d]; ok && issuedAt <= notBefore {
			return true
		}
	}
	return false
}

// Key checks an API key and returns its name. An answer of the store is believed for 15 s at most. An error is, or wraps, a *protocol.Error:
// unauthenticated, or unavailable when the store cannot be asked, when ctx ends, or while too many keys are tried that are none.
func (g *Gate) Key(ctx context.Context, key string) (name string, err error) {
	if !isKey(key) {
		return "", errUnknownKey
	}
	hash := HashKey(key)
	l, begun := g.find(hash)
	if l == nil {
		return "", errUnavailable
	}
	if begun {
		g.ask(ctx, hash, l)
	}
	select {
	case <-l.done:
		return l.name, l.err
	case <-ctx.Done():
		return "", fmt.Errorf("%w: %w", errUnavailable, ctx.Err())
	}
}

// find returns the lookup that stands for a key. When there was none it is begun: the caller must ask. It is nil when there were too many guesses.
func (g *Gate) find(hash [32]byte) (l *lookup, begun bool) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lookups == nil || now.Sub(g.since) >= keyLife {
		g.lookups, g.since = map[[32]byte]*lookup{}, now
	}
	if l := g.lookups[hash]; l != nil {
		return l, false
	}
	if !g.good[hash] {
		if now.Sub(g.guessedAt) >= time.Second {
			g.guesses, g.guessedAt = 0, now
		}
		if g.guesses == maxGuesses {
			return nil, false
		}
		g.guesses++
	}
	l = &lookup{done: make(chan struct{}), err: errUnavailable}
	g.lookups[hash] = l
	return l, true
}

// ask carries a lookup out, also when its first caller has gone, since others may wait. A failure is told to them and not remembered.
func (g *Gate) ask(ctx context.Context, hash [32]byte, l *lookup) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyPatience)
	defer cancel()
	defer close(l.done)
	name, err := g.keys.KeyByHash(ctx, hash)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		l.name, l.err = name, nil
		g.good[hash] = true
	case errors.Is(err, ErrNoKey):
		l.err = errUnknownKey
		delete(g.good, hash)
	default:
		l.err = fmt.Errorf("%w: look up an API key: %w", errUnavailable, err)
		if g.lookups[hash] == l {
			delete(g.lookups, hash)
		}
	}
}
