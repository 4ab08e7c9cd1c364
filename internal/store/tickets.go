package store

import (
	"context"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

var _ auth.Tickets = (*Store)(nil)

// maxTicketsSwept is how many expired tickets go with each transaction that adds some: more than one for each that is added, so that they cannot pile up.
const maxTicketsSwept = 2 * maxGathered

var (
	insertTicket = database.SQL(`INSERT INTO tickets (hash, user_id, role, issued_at, session_until, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (hash) DO NOTHING`)
	takeTicket = database.SQL(`DELETE FROM tickets WHERE hash = $1 RETURNING user_id, role, issued_at, session_until, expires_at`)

	// sweepTickets passes over what another node is sweeping.
	sweepTickets = database.Text{
		database.SQLite: database.SQL(`DELETE FROM tickets WHERE hash IN (SELECT hash FROM tickets WHERE expires_at <= $1 LIMIT CAST($2 AS BIGINT))`)[database.SQLite],
		database.Postgres: database.SQL(`DELETE FROM tickets WHERE hash IN (
			SELECT hash FROM tickets WHERE expires_at <= $1 LIMIT CAST($2 AS BIGINT) FOR UPDATE SKIP LOCKED)`)[database.Postgres],
	}
)

// taking is a ticket that is to be redeemed, and its answer.
type taking struct {
	hash  [32]byte
	found *auth.Ticket
}

// AddTicket implements auth.Tickets. When many are added at once they share transactions.
func (a *accounts) AddTicket(ctx context.Context, ticket *auth.Ticket) error {
	return a.tickets.do(ctx, ticket)
}

func (a *accounts) addTickets(ctx context.Context, tickets []*auth.Ticket) error {
	return a.write(ctx, scope{}, func(t database.Tx) error {
		var b database.Batch
		b.Exec(sweepTickets, protocol.At(a.now()), maxTicketsSwept)
		for _, n := range tickets {
			b.Exec(insertTicket, n.Hash[:], n.User, string(n.Role), n.IssuedAt, n.SessionUntil, n.ExpiresAt)
		}
		return t.Batch(ctx, &b)
	})
}

// TakeTicket implements auth.Tickets: it is the deletion that only one can do. When many are taken at once they share transactions.
func (a *accounts) TakeTicket(ctx context.Context, hash [32]byte) (*auth.Ticket, error) {
	k := &taking{hash: hash}
	if err := a.takings.do(ctx, k); err != nil {
		return nil, err
	}
	if k.found == nil || k.found.ExpiresAt <= protocol.At(a.now()) {
		return nil, auth.ErrNoTicket
	}
	return k.found, nil
}

func (a *accounts) takeTickets(ctx context.Context, takings []*taking) error {
	return a.write(ctx, scope{}, func(t database.Tx) error {
		var b database.Batch
		for _, k := range takings {
			k.found = nil
			b.Query(takeTicket, func(scan database.Scan) error {
				n := &auth.Ticket{Hash: k.hash}
				k.found = n
				return scan(&n.User, &n.Role, &n.IssuedAt, &n.SessionUntil, &n.ExpiresAt)
			}, k.hash[:])
		}
		return t.Batch(ctx, &b)
	})
}
