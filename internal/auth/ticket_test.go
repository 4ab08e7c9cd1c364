package auth_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/protocol"
)

// caller is whom the tickets of the tests are for, with a token that was issued now.
func caller() *auth.Identity {
	now := time.Now()
	return &auth.Identity{User: "alice", Role: protocol.TokenModerator, IssuedAt: now.Unix(), ExpiresAt: protocol.At(now.Add(time.Hour))}
}

func TestTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, _, store, _ := newGate(t)
		ctx := t.Context()
		get := func(id *auth.Identity) string {
			t.Helper()
			ticket, expiresAt, err := gate.Ticket(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if want := min(protocol.At(time.Now().Add(30*time.Second)), id.ExpiresAt); expiresAt != want {
				t.Errorf("it expires at %v, want %v", expiresAt, want)
			}
			return ticket
		}
		refused := func(what, ticket string, code protocol.Code) {
			t.Helper()
			id, err := gate.Redeem(ctx, ticket, "phone")
			if id != nil {
				t.Errorf("%s: redeemed as %v", what, id)
			}
			wantCode(t, err, code)
			if err != nil && ticket != "" && strings.Contains(err.Error(), ticket) {
				t.Errorf("%s: the ticket is in %v", what, err)
			}
		}

		alice := caller()
		ticket := get(alice)
		refused("before anything is known of revocations", ticket, protocol.Unavailable)
		if err := gate.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		id, err := gate.Redeem(ctx, ticket, "phone")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(alice, id); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		refused("a second time", ticket, protocol.Unauthenticated)

		late := get(alice)
		time.Sleep(30 * time.Second)
		refused("too late", late, protocol.Unauthenticated)

		short := caller()
		short.ExpiresAt = protocol.At(time.Now().Add(10 * time.Second))
		late = get(short)
		time.Sleep(10 * time.Second)
		refused("when its token has expired", late, protocol.Unauthenticated)

		revoked := get(alice)
		store.set(func() {
			store.revocations = []auth.Revocation{{User: "alice", Device: "phone", NotBefore: time.Now().Unix()}}
		})
		if err := gate.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		refused("of a revoked device", revoked, protocol.Unauthenticated)
		if _, err := gate.Redeem(ctx, get(alice), "laptop"); err != nil {
			t.Errorf("on another device: %v", err)
		}

		kept := get(alice)
		store.set(func() { store.err = errors.New("away") })
		refused("without a store", kept, protocol.Unavailable)
		if _, _, err := gate.Ticket(ctx, alice); err == nil {
			t.Error("a ticket without a store")
		} else {
			wantCode(t, err, protocol.Unavailable)
		}
	})
}

func TestTicketsThatNobodyMade(t *testing.T) {
	gate, _, store, key := newGate(t)
	if err := gate.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	good, _, err := gate.Ticket(t.Context(), caller())
	if err != nil {
		t.Fatal(err)
	}
	other := auth.NewGate(auth.GateOptions{Sessions: store, Keys: store, Tickets: store, TicketKey: []byte("another deployment"), Now: time.Now})
	foreign, _, err := other.Ticket(t.Context(), caller())
	if err != nil {
		t.Fatal(err)
	}
	for what, ticket := range map[string]string{
		"nothing": "", "the prefix": "t_", "cut": good[:len(good)-1], "longer": good + "A", "padded": good + "=", "without prefix": good[2:],
		"another random": "t_" + flip(good[2:], 0), "another mac": "t_" + flip(good[2:], 30), "last bits": lastLetter(good), "a line break": good[:20] + "\n" + good[20:],
		"an API key": key, "the prefix's case": "T" + good[1:], "very long": "t_" + strings.Repeat("A", 1<<20), "another deployment's": foreign,
	} {
		if id, err := gate.Redeem(t.Context(), ticket, "phone"); id != nil {
			t.Errorf("%s: redeemed as %v", what, id)
		} else {
			wantCode(t, err, protocol.Unauthenticated)
		}
	}
	if n := store.asked(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
	if _, err := gate.Redeem(t.Context(), good, "phone"); err != nil {
		t.Errorf("the good one among them: %v", err)
	}
}

func TestTicketIsRedeemedOnce(t *testing.T) {
	gate, _, _, _ := newGate(t)
	if err := gate.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ticket, _, err := gate.Ticket(t.Context(), caller())
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := gate.Redeem(t.Context(), ticket, "phone"); err == nil {
				won.Add(1)
			} else {
				wantCode(t, err, protocol.Unauthenticated)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 100 redeemed it", won.Load())
	}
}
