package auth_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/protocol"
)

// The ports under names that are none of their methods', so that they can be embedded.
type (
	sessionsPort = auth.Sessions
	keysPort     = auth.Keys
)

// fakeStore answers what the gate asks of a store. Its other methods panic.
type fakeStore struct {
	sessionsPort
	keysPort

	mu          sync.Mutex
	revocations []auth.Revocation
	keys        map[[32]byte]string
	tickets     map[[32]byte]auth.Ticket
	err         error
	lookups     int
	hold        chan struct{} // while it is not nil a lookup waits for it
}

func (f *fakeStore) Revocations(context.Context) ([]auth.Revocation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.revocations, f.err
}

func (f *fakeStore) KeyByHash(ctx context.Context, hash [32]byte) (string, error) {
	f.mu.Lock()
	f.lookups++
	keys, err, hold := maps.Clone(f.keys), f.err, f.hold
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if err != nil {
		return "", err
	}
	if name, ok := keys[hash]; ok {
		return name, nil
	}
	return "", auth.ErrNoKey
}

func (f *fakeStore) AddTicket(_ context.Context, ticket *auth.Ticket) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	f.tickets[ticket.Hash] = *ticket
	return nil
}

func (f *fakeStore) TakeTicket(_ context.Context, hash [32]byte) (*auth.Ticket, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookups++
	ticket, ok := f.tickets[hash]
	switch {
	case f.err != nil:
		return nil, f.err
	case !ok || ticket.ExpiresAt <= protocol.At(time.Now()):
		return nil, auth.ErrNoTicket
	}
	delete(f.tickets, hash)
	return &ticket, nil
}

func (f *fakeStore) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeStore) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lookups
}

// newGate is a gate over a store with one key. Within a synctest bubble its clock is the bubble's.
func newGate(t *testing.T) (gate *auth.Gate, signer *auth.Signer, store *fakeStore, key string) {
	t.Helper()
	key, hash := auth.NewKey()
	store = &fakeStore{keys: map[[32]byte]string{hash: "backend"}, tickets: map[[32]byte]auth.Ticket{}}
	signer, err := auth.NewSigner([]byte(secret), auth.Terms{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := auth.NewVerifier(auth.VerifierOptions{Secret: []byte(secret), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	gate = auth.NewGate(auth.GateOptions{
		Tokens: verifier, Sessions: store, Keys: store, Tickets: store, TicketKey: []byte("the key of the tests"), Now: time.Now,
	})
	return gate, signer, store, key
}

func wantCode(t *testing.T, err error, want protocol.Code) {
	t.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNewKey(t *testing.T) {
	key, hash := auth.NewKey()
	other, _ := auth.NewKey()
	if !strings.HasPrefix(key, auth.KeyPrefix) || len(key) != 46 || key == other {
		t.Errorf("keys %s and %s", key, other)
	}
	if hash != auth.HashKey(key) || hash == auth.HashKey(other) {
		t.Error("the hash is not that of the key")
	}
}

func TestGateToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, signer, store, _ := newGate(t)
		ctx := t.Context()
		token, err := signer.Sign(auth.Claims{User: "alice", TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		_, err = gate.Token(ctx, token, "phone")
		wantCode(t, err, protocol.Unavailable) // nothing is known of revocations yet

		if err := gate.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if id, err := gate.Token(ctx, token, "phone"); err != nil || id.User != "alice" {
			t.Fatalf("%v, %v", id, err)
		}
		_, err = gate.Token(ctx, token+"x", "phone")
		wantCode(t, err, protocol.Unauthenticated)

		store.set(func() {
			store.revocations = []auth.Revocation{{User: "alice", Device: "phone", NotBefore: time.Now().Unix()}}
		})
		if _, err := gate.Token(ctx, token, "phone"); err != nil {
			t.Errorf("before the refresh: %v", err)
		}
		if err := gate.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		_, err = gate.Token(ctx, token, "phone")
		wantCode(t, err, protocol.Unauthenticated)
		if _, err := gate.Token(ctx, token, "laptop"); err != nil {
			t.Errorf("on another device: %v", err)
		}

		store.set(func() { store.err = errors.New("away") })
		if err := gate.Refresh(ctx); err == nil {
			t.Error("a refresh without a store succeeded")
		}
		_, err = gate.Token(ctx, token, "phone")
		wantCode(t, err, protocol.Unauthenticated) // what was known stands

		time.Sleep(time.Second)
		newer, err := signer.Sign(auth.Claims{User: "alice", TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := gate.Token(ctx, newer, "phone"); err != nil {
			t.Errorf("with a newer token: %v", err)
		}
	})
}

// TestGateInTheDark: of whom nobody knows whether they were revoked nothing is taken, until somebody does.
func TestGateInTheDark(t *testing.T) {
	gate, signer, store, _ := newGate(t)
	ctx := t.Context()
	store.revocations = []auth.Revocation{{User: "bob", NotBefore: time.Now().Unix() + 60}}
	store.err = &auth.PartialError{Unanswered: func(user string) bool { return user == "alice" }, Err: errors.New("away")}
	if err := gate.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	store.err = nil
	answers := func(user string, want protocol.Code) {
		t.Helper()
		token, err := signer.Sign(auth.Claims{User: user, TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ticket, _, err := gate.Ticket(ctx, &auth.Identity{User: user, IssuedAt: time.Now().Unix(), ExpiresAt: protocol.At(time.Now().Add(time.Hour))})
		if err != nil {
			t.Fatal(err)
		}
		_, byToken := gate.Token(ctx, token, "phone")
		_, byTicket := gate.Redeem(ctx, ticket, "phone")
		for _, err := range []error{byToken, byTicket} {
			if want != "" {
				wantCode(t, err, want)
			} else if err != nil {
				t.Errorf("%s: %v", user, err)
			}
		}
		if _, err := gate.Genuine(ctx, token); (err != nil) != (want == protocol.Unavailable) {
			t.Errorf("%s, without asking for revocations: %v", user, err)
		}
	}
	answers("alice", protocol.Unavailable)
	answers("bob", protocol.Unauthenticated)
	answers("carol", "")
	store.err = errors.New("away")
	if err := gate.Refresh(ctx); err == nil {
		t.Error("a refresh without a store succeeded")
	}
	store.err = nil
	answers("alice", protocol.Unavailable) // what was known stands
	if err := gate.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	answers("alice", "")
}

func TestGateRevoked(t *testing.T) {
	gate, _, store, _ := newGate(t)
	if gate.Revoked("alice", "phone", 0) {
		t.Error("revoked before anything is known")
	}
	store.revocations = []auth.Revocation{
		{User: "alice", NotBefore: 100},
		{User: "alice", Device: "phone", NotBefore: 200},
		{User: "alice", Device: "phone", NotBefore: 150},
		{User: "bob", Device: "phone", NotBefore: 300},
	}
	if err := gate.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		user, device string
		issuedAt     int64
		want         bool
	}{
		{"alice", "laptop", 99, true},
		{"alice", "laptop", 100, true},
		{"alice", "laptop", 101, false},
		{"alice", "laptop", 0, true},
		{"alice", "", 100, true},
		{"alice", "", 101, false},
		{"alice", "phone", 150, true},
		{"alice", "phone", 200, true},
		{"alice", "phone", 201, false},
		{"bob", "phone", 300, true},
		{"bob", "phone", 0, true},
		{"bob", "laptop", 0, false},
		{"bob", "", 0, false},
		{"carol", "phone", 0, false},
	}
	for _, tt := range tests {
		if got := gate.Revoked(tt.user, tt.device, tt.issuedAt); got != tt.want {
			t.Errorf("%s on %q, issued at %d: %v", tt.user, tt.device, tt.issuedAt, got)
		}
	}
}

func TestGateKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, _, store, key := newGate(t)
		ctx := t.Context()
		check := func(key, want string, asked int) {
			t.Helper()
			name, err := gate.Key(ctx, key)
			if want == "" {
				wantCode(t, err, protocol.Unauthenticated)
			} else if err != nil {
				t.Error(err)
			}
			if name != want || store.asked() != asked {
				t.Errorf("name %q, want %q; the store was asked %d times, want %d", name, want, store.asked(), asked)
			}
		}
		other, otherHash := auth.NewKey()
		check(key, "backend", 1)
		check(key, "backend", 1)
		check(other, "", 2)
		check(other, "", 2)
		for _, malformed := range []string{"", "pk_", key + "A", key[:45], key[:45] + "*", "sk" + key[2:], strings.ToUpper(key)} {
			check(malformed, "", 2)
		}

		// A removed key ends after 15 s, or with a refresh; a new one begins.
		store.set(func() { store.keys = map[[32]byte]string{otherHash: "other"} })
		time.Sleep(15*time.Second - 1)
		check(key, "backend", 2)
		time.Sleep(time.Nanosecond)
		check(key, "", 3)
		check(other, "other", 4)
		store.set(func() { clear(store.keys) })
		if err := gate.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		check(other, "", 5)

		// A store that is away is no answer.
		store.set(func() { store.err = errors.New("away"); store.keys[otherHash] = "other" })
		_ = gate.Refresh(ctx)
		_, err := gate.Key(ctx, other)
		wantCode(t, err, protocol.Unavailable)
		store.set(func() { store.err = nil })
		check(other, "other", 7)
	})
}

func TestGateKeyIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, _, store, key := newGate(t)
		store.hold = make(chan struct{})
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := gate.Key(first, key); err != nil {
				t.Logf("the first caller, who went away: %v", err)
			}
		})
		synctest.Wait()
		for range 200 {
			wg.Go(func() {
				if name, err := gate.Key(t.Context(), key); name != "backend" || err != nil {
					t.Errorf("%q, %v", name, err)
				}
			})
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := gate.Key(ctx, key)
			wantCode(t, err, protocol.Unavailable)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not tell why", err)
			}
		})
		synctest.Wait()
		cancel() // the others still get their answer
		time.Sleep(2 * time.Second)
		close(store.hold)
		wg.Wait()
		if store.asked() != 1 {
			t.Errorf("the store was asked %d times", store.asked())
		}
	})
}

// A lookup that began before a refresh must not bring an answer that is older than it.
func TestGateRefreshForgetsLookupsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, _, store, key := newGate(t)
		store.hold = make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = gate.Key(t.Context(), key) })
		synctest.Wait()
		hold := store.hold
		store.set(func() { clear(store.keys); store.hold = nil })
		if err := gate.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(hold)
		wg.Wait()
		_, err := gate.Key(t.Context(), key)
		wantCode(t, err, protocol.Unauthenticated)
	})
}

func TestGateBoundsGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, _, store, key := newGate(t)
		ctx := t.Context()
		if _, err := gate.Key(ctx, key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(16 * time.Second)
		asked := store.asked()
		for second := range 3 {
			refused := 0
			for range 1000 {
				guess, _ := auth.NewKey()
				_, err := gate.Key(ctx, guess)
				var e *protocol.Error
				if errors.As(err, &e) && e.Code == protocol.Unavailable {
					refused++
				}
			}
			if got := store.asked() - asked; got != 100*(second+1) || refused != 900 {
				t.Errorf("second %d: the store was asked %d times; %d refused", second, got, refused)
			}
			time.Sleep(time.Second)
		}
		for range 200 {
			guess, _ := auth.NewKey()
			_, _ = gate.Key(ctx, guess)
		}
		if name, err := gate.Key(ctx, key); name != "backend" || err != nil {
			t.Errorf("a good key among guesses: %q, %v", name, err)
		}
	})
}

func TestGateUnderConcurrentUse(t *testing.T) {
	gate, signer, store, key := newGate(t)
	token, err := signer.Sign(auth.Claims{User: "alice", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := gate.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 50 {
				if _, err := gate.Key(t.Context(), key); err != nil {
					t.Error(err)
				}
				if _, err := gate.Token(t.Context(), token, fmt.Sprint(n)); err != nil {
					t.Error(err)
				}
				if n%10 == i {
					store.set(func() {
						store.revocations = append(store.revocations, auth.Revocation{User: fmt.Sprint("u", i), NotBefore: int64(n)})
					})
					if err := gate.Refresh(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}
