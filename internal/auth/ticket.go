package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-im/parley/protocol"
)

// A ticket is t_ and, in base64url, random bytes and a MAC of them: what this deployment has not made is refused without asking the store, so that
// guessing loads nothing.
const (
	ticketPrefix = "t_"
	ticketLife   = 30 * time.Second // §4.1
	ticketRandom = 16               // bytes
	ticketMAC    = 16               // bytes
)

var errTicket = unauthenticated("The ticket is not good: it opens one session, within %d s. Get another one with session.ticket.", ticketLife/time.Second)

// Ticket makes a one-time ticket for whom the identity stands for. It is good for 30 s, and never longer than the identity is. An error is, or wraps,
// a *protocol.Error: unavailable.
func (g *Gate) Ticket(ctx context.Context, id *Identity) (ticket string, expiresAt protocol.Time, err error) {
	var random [ticketRandom]byte
	_, _ = rand.Read(random[:]) // never fails, by its contract
	ticket = ticketPrefix + base64.RawURLEncoding.EncodeToString(append(random[:], g.ticketMAC(random[:])...))
	expiresAt = min(protocol.At(g.now().Add(ticketLife)), id.ExpiresAt)
	err = g.tickets.AddTicket(ctx, &Ticket{
		Hash: sha256.Sum256([]byte(ticket)), User: id.User, Role: id.Role, IssuedAt: id.IssuedAt, SessionUntil: id.ExpiresAt, ExpiresAt: expiresAt,
	})
	if err != nil {
		return "", 0, fmt.Errorf("%w: keep a ticket: %w", errUnavailable, err)
	}
	return ticket, expiresAt, nil
}

// Redeem ends a ticket and returns whom it stands for, on a device, to one of all who bring it. The identity is that of the credential that the ticket was
// got with: its session ends when that would, and is refused when that has been revoked since. An error is, or wraps, a *protocol.Error:
// unauthenticated, or unavailable, after which the ticket may be gone.
func (g *Gate) Redeem(ctx context.Context, ticket, device string) (*Identity, error) {
	if !g.isTicket(ticket) {
		return nil, errTicket
	}
	if g.revoked.Load() == nil {
		return nil, errUnavailable
	}
	found, err := g.tickets.TakeTicket(ctx, sha256.Sum256([]byte(ticket)))
	switch {
	case errors.Is(err, ErrNoTicket):
		return nil, errTicket
	case err != nil:
		return nil, fmt.Errorf("%w: look up a ticket: %w", errUnavailable, err)
	case !g.knows(found.User):
		return nil, errUnavailable
	case g.Revoked(found.User, device, found.IssuedAt):
		return nil, errRevoked
	}
	return &Identity{User: found.User, Role: found.Role, IssuedAt: found.IssuedAt, ExpiresAt: found.SessionUntil}, nil
}

// isTicket reports whether Ticket may have made the text, in this spelling.
func (g *Gate) isTicket(text string) bool {
	text, ok := strings.CutPrefix(text, ticketPrefix)
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(ticketRandom+ticketMAC) {
		return false
	}
	content, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(content) == ticketRandom+ticketMAC && hmac.Equal(content[ticketRandom:], g.ticketMAC(content[:ticketRandom]))
}

func (g *Gate) ticketMAC(random []byte) []byte {
	mac := hmac.New(sha256.New, g.ticketKey)
	mac.Write(random)
	return mac.Sum(nil)[:ticketMAC]
}
