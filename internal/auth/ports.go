package auth

import (
	"context"

	"github.com/parley-im/parley/protocol"
)

// Session is one live push connection of one device, as the store knows it.
type Session struct {
	ID        string
	User      string
	Device    string
	Client    string
	Node      string
	CreatedAt protocol.Time
	IssuedAt  int64 // iat of the token in Unix seconds, 0 when it had none
}

// Sessions keeps what must outlive a node: which sessions live, and what was revoked. Implementations are used by many goroutines at once.
type Sessions interface {
	// Open makes a session known, in the place of an older one of the same user and device, whose id is returned ("" if there was none).
	// It makes the user exist. ErrRevoked when the user or the device has been revoked and the token is not newer than that; ErrTooMany when the
	// user has protocol.MaxSessionsPerUser live sessions on other devices.
	Open(ctx context.Context, s *Session) (replaced string, err error)
	// End forgets sessions that have ended; ids that are unknown are nothing.
	End(ctx context.Context, ids []string) error
	// Sessions are the live sessions of a user, newest first.
	Sessions(ctx context.Context, user string) ([]Session, error)
	// Standing returns those of the ids that are still known: the others were replaced or revoked by somebody.
	Standing(ctx context.Context, ids []string) (map[string]bool, error)
	// Revoke ends sessions of the user: the named session, or all of a device, or all (both empty). From then on tokens issued at or before
	// notBefore (Unix seconds) are refused for that device, or for the user. It returns the sessions that ended; ErrNoSession when a named one is not theirs.
	Revoke(ctx context.Context, user, session, device string, notBefore int64) ([]Session, error)
	// Revocations are all revocations that stand. With a PartialError they are those of the users who could be asked about.
	Revocations(ctx context.Context) ([]Revocation, error)
	// Beat keeps a node's sessions live; the sessions of a node that has not beaten for 45 s are neither listed nor counted.
	Beat(ctx context.Context, node string) error
}

// PartialError says that a part of the store could not be asked, and never has been: about the users of whom Unanswered reports so nothing is known.
type PartialError struct {
	Unanswered func(user string) bool // may be called at any time, and waits for nothing
	Err        error
}

func (e *PartialError) Error() string {
	return "a part of the store could not be asked: " + e.Err.Error()
}

func (e *PartialError) Unwrap() error { return e.Err }

// Keys keeps API keys, hashed. Implementations are used by many goroutines at once.
type Keys interface {
	// AddKey stores the hash of a key under a name; ErrKeyExists if the name is taken.
	AddKey(ctx context.Context, name string, hash [32]byte) error
	// RemoveKey ends a key; ErrNoKey.
	RemoveKey(ctx context.Context, name string) error
	// Keys are all keys, by name.
	Keys(ctx context.Context) ([]Key, error)
	// KeyByHash finds a key's name; ErrNoKey.
	KeyByHash(ctx context.Context, hash [32]byte) (string, error)
}

// Ticket is a one-time ticket as it is kept.
type Ticket struct {
	Hash         [32]byte // of its text, which is not kept
	User         string
	Role         protocol.TokenRole
	IssuedAt     int64         // of the credential that it was got with, in Unix seconds: when that is revoked, the ticket is
	SessionUntil protocol.Time // when a session that is opened with it ends
	ExpiresAt    protocol.Time // from this moment on it is refused
}

// Tickets keeps tickets that have not been redeemed. Implementations are used by many goroutines at once.
type Tickets interface {
	// AddTicket stores a ticket. Expired ones are forgotten sooner or later.
	AddTicket(ctx context.Context, ticket *Ticket) error
	// TakeTicket forgets the ticket and returns it, to one of all who ask, on any node; ErrNoTicket to the others, and to all when it has expired.
	TakeTicket(ctx context.Context, hash [32]byte) (*Ticket, error)
}

// Revocation refuses tokens issued at or before a time.
type Revocation struct {
	User      string
	Device    string // "" for all of the user's devices
	NotBefore int64  // Unix seconds
}

// Key is an API key as it may be shown.
type Key struct {
	Name      string
	CreatedAt protocol.Time
}
