package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/protocol"
)

// running runs a key set until the test ends.
func running(t testing.TB, set *auth.KeySet) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { set.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// web is the documents of other servers.
type web struct {
	mu        sync.Mutex
	documents map[string]string
	maxAge    time.Duration
	err       error
	hold      chan struct{} // while it is not nil an answer waits for it
	asked     []string
}

func (w *web) get(ctx context.Context, url string) ([]byte, time.Duration, error) {
	w.mu.Lock()
	w.asked = append(w.asked, url)
	hold, err := w.hold, w.err
	w.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	text, ok := w.documents[url]
	if !ok {
		return nil, 0, errors.New("no such document")
	}
	return []byte(text), w.maxAge, nil
}

func (w *web) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *web) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

// pass lets time go by, and lets everybody do what they do at its end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

const keysURL = "https://issuer.example/jwks.json"

// trusting is a verifier, in a synctest bubble, of tokens by an issuer at keysURL.
func trusting(t *testing.T, w *web) *auth.Verifier {
	t.Helper()
	set, err := auth.NewKeySet(auth.KeySetOptions{JWKS: keysURL, Algorithms: everyAlgorithm, Get: w.get, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running(t, set)
	return newVerifier(t, auth.VerifierOptions{Issuer: set})
}

// accepts checks what becomes of a good token of the pen's; "" is accepted.
func accepts(t *testing.T, v *auth.Verifier, p *pen, want protocol.Code) {
	t.Helper()
	id, err := v.Verify(t.Context(), p.sign(p.header(), claims(``)))
	if want != "" {
		wantCode(t, err, want)
	} else if err != nil || id.User != "alice" {
		t.Errorf("%s %s: %v, %v", p.alg, p.kid, id, err)
	}
}

func TestKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, third := edPen(t, "1"), ecPen(t, "2"), rsaPen(t, "3", 2048)
		w := &web{documents: map[string]string{keysURL: jwks(first)}, maxAge: -1}
		v := trusting(t, w)
		publish := func(pens ...*pen) { w.set(func() { w.documents[keysURL] = jwks(pens...) }) }
		asked := func(want int) {
			t.Helper()
			if n := w.count(); n != want {
				t.Errorf("the issuer was asked %d times, want %d", n, want)
			}
		}
		accepts(t, v, first, "")
		accepts(t, v, second, protocol.Unauthenticated) // causes a reading
		asked(2)

		// A new key counts at once, but tokens cause no second reading within 30 s.
		publish(first, second)
		accepts(t, v, second, protocol.Unauthenticated)
		pass(29 * time.Second)
		for range 100 {
			accepts(t, v, second, protocol.Unauthenticated)
			accepts(t, v, first, "")
		}
		asked(2)
		pass(time.Second)
		accepts(t, v, second, "")
		asked(3)

		// A withdrawn key ends when the time of the set has: 10 minutes, where the issuer does not say.
		publish(second, third)
		accepts(t, v, first, "")
		pass(10*time.Minute + time.Second)
		accepts(t, v, first, protocol.Unauthenticated)
		accepts(t, v, second, "")
		accepts(t, v, third, "")

		// The last good set stands while the issuer is away, or says what is no set.
		pass(time.Minute)
		w.set(func() { w.err = errors.New("away") })
		pass(24 * time.Hour)
		accepts(t, v, third, "")
		w.set(func() { w.err = nil; w.documents[keysURL] = `<html>` })
		pass(time.Hour)
		accepts(t, v, third, "")
		publish()
		pass(time.Hour)
		accepts(t, v, third, "")
		publish(first)
		pass(2 * time.Minute)
		accepts(t, v, third, protocol.Unauthenticated)
		accepts(t, v, first, "")
	})
}

// How long a set is believed is bounded, whatever the issuer says.
func TestKeysFreshness(t *testing.T) {
	for maxAge, want := range map[time.Duration]time.Duration{
		-1: 10 * time.Minute, 0: time.Minute, time.Second: time.Minute, 5 * time.Minute: 5 * time.Minute, 48 * time.Hour: time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &web{documents: map[string]string{keysURL: jwks(edPen(t, "1"))}, maxAge: maxAge}
			trusting(t, w)
			pass(want - time.Millisecond)
			before := w.count()
			pass(time.Millisecond)
			if after := w.count(); before != 1 || after != 2 {
				t.Errorf("max-age %v: read %d times before %v, then %d", maxAge, before, want, after)
			}
		})
	}
}

func TestKeysAreNotThereYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := edPen(t, "1")
		w := &web{documents: map[string]string{keysURL: jwks(p)}, maxAge: -1, hold: make(chan struct{})}
		v := trusting(t, w)

		// The first reading is waited for, by all at once.
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { accepts(t, v, p, "") })
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := v.Verify(ctx, p.sign(p.header(), claims(``)))
			wantCode(t, err, protocol.Unavailable)
		})
		synctest.Wait()
		pass(2 * time.Second)
		close(w.hold)
		wg.Wait()
		if n := w.count(); n != 1 {
			t.Errorf("the issuer was asked %d times", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := edPen(t, "1")
		w := &web{documents: map[string]string{keysURL: jwks(p)}, err: errors.New("away")}
		v := trusting(t, w)
		synctest.Wait()
		for range 100 {
			accepts(t, v, p, protocol.Unavailable) // nobody knows whether it is good
		}
		pass(time.Hour)
		if n := w.count(); n > 70 {
			t.Errorf("the issuer was asked %d times in an hour", n)
		}
		accepts(t, v, secretPen(secret), protocol.Unauthenticated) // this one is not, whatever the keys are
		w.set(func() { w.err = nil })
		pass(time.Minute)
		accepts(t, v, p, "")
	})
}

// What names keys that never were reads the issuer once in 30 s, however much there is of it, and keeps nobody else waiting.
func TestUnknownKeysDoNotLoadTheIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := edPen(t, "1"), edPen(t, "x")
		w := &web{documents: map[string]string{keysURL: jwks(good)}, maxAge: time.Hour}
		v := trusting(t, w)
		accepts(t, v, good, "")
		w.set(func() { w.hold = make(chan struct{}) })
		var wg sync.WaitGroup
		for i := range 1000 {
			bad := *bad
			bad.kid = fmt.Sprint("x", i)
			wg.Go(func() { accepts(t, v, &bad, protocol.Unauthenticated) })
		}
		synctest.Wait()
		accepts(t, v, good, "") // while all of them wait
		close(w.hold)
		w.set(func() { w.hold = nil })
		wg.Wait()
		if n := w.count(); n != 2 {
			t.Errorf("the issuer was asked %d times", n)
		}
		for range 120 { // ten minutes
			accepts(t, v, bad, protocol.Unauthenticated)
			pass(5 * time.Second)
		}
		if n := w.count(); n > 2+20 {
			t.Errorf("the issuer was asked %d times in ten minutes", n)
		}
	})
}

func TestKeysThatDoNotCount(t *testing.T) {
	good := edPen(t, "good")
	weak, other := rsaPen(t, "weak", 1024), rsaPen(t, "other", 2048)
	tagged := func(p *pen, more string) *pen {
		tagged := *p
		tagged.jwk = strings.TrimSuffix(p.jwk, "}") + "," + more + "}"
		return &tagged
	}
	secretKey := secretPen(strings.Repeat("k", 32))
	secretKey.jwk = `{"kty":"oct","kid":"oct","alg":"HS256","k":"` + b64(strings.Repeat("k", 32)) + `"}`
	for what, p := range map[string]*pen{
		"RSA of 1,024 bits": weak, "a secret": secretKey, "for encryption": tagged(other, `"use":"enc"`), "for another algorithm": tagged(other, `"alg":"PS256"`),
		"for an algorithm of another kind": tagged(other, `"alg":"HS256"`), "for signing only": tagged(other, `"key_ops":["sign"]`),
		"with a private part": tagged(good, `"d":"`+bytes64(make([]byte, 32))+`"`),
	} {
		t.Run(what, func(t *testing.T) {
			v := newVerifier(t, auth.VerifierOptions{Issuer: published(t, ecPen(t, "another"), p)})
			accepts(t, v, p, protocol.Unauthenticated)
		})
	}
	// Beside them a good one counts, also without a name and when the token names none.
	for _, kid := range []string{"", "good"} {
		p := *good
		p.kid = kid
		v := newVerifier(t, auth.VerifierOptions{Issuer: published(t, weak, secretKey, other, good)})
		accepts(t, v, &p, "")
	}
	// Only the algorithms that were configured count.
	file := filepath.Join(t.TempDir(), "jwks.json")
	write(t, file, jwks(good, other))
	set, err := auth.NewKeySet(auth.KeySetOptions{JWKS: file, Algorithms: []string{"EdDSA"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running(t, set)
	v := newVerifier(t, auth.VerifierOptions{Issuer: set})
	accepts(t, v, good, "")
	accepts(t, v, other, protocol.Unauthenticated)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestKeysOfAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := edPen(t, "1"), edPen(t, "2")
		file := filepath.Join(t.TempDir(), "jwks.json")
		set, err := auth.NewKeySet(auth.KeySetOptions{JWKS: file, Algorithms: everyAlgorithm, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		running(t, set)
		v := newVerifier(t, auth.VerifierOptions{Issuer: set})
		accepts(t, v, first, protocol.Unavailable) // it is not there yet
		write(t, file, jwks(first))
		pass(5 * time.Second)
		accepts(t, v, first, "")
		for _, broken := range []string{"", "{", `{"keys":{}}`, `{"keys":[]}`, `{"keys":[1]}`, strings.Repeat(" ", 1<<20) + jwks(second), jwks(many(second, 101)...)} {
			write(t, file, broken)
			pass(5 * time.Second)
			accepts(t, v, first, "")
			accepts(t, v, second, protocol.Unauthenticated)
		}
		write(t, file, jwks(second))
		pass(5 * time.Second)
		accepts(t, v, second, "")
		accepts(t, v, first, protocol.Unauthenticated)
		write(t, file, jwks(first, second))
		pass(time.Second)
		accepts(t, v, first, "") // at once: its key was missed
	})
}

func many(p *pen, n int) []*pen {
	pens := make([]*pen, n)
	for i := range pens {
		pens[i] = p
	}
	return pens
}

func TestDiscovery(t *testing.T) {
	const issuer, document = "https://issuer.example/tenant", "https://issuer.example/tenant/.well-known/openid-configuration"
	for what, tt := range map[string]struct {
		issuer, document string
		want             protocol.Code
	}{
		"good":                  {issuer, `{"issuer":"https://issuer.example/tenant","jwks_uri":"` + keysURL + `","x":1}`, ""},
		"another issuer":        {issuer, `{"issuer":"https://evil.example","jwks_uri":"` + keysURL + `"}`, protocol.Unavailable},
		"no issuer":             {issuer, `{"jwks_uri":"` + keysURL + `"}`, protocol.Unavailable},
		"no keys":               {issuer, `{"issuer":"https://issuer.example/tenant"}`, protocol.Unavailable},
		"keys in the open":      {issuer, `{"issuer":"https://issuer.example/tenant","jwks_uri":"http://issuer.example/jwks.json"}`, protocol.Unavailable},
		"keys of a file":        {issuer, `{"issuer":"https://issuer.example/tenant","jwks_uri":"file:///etc/jwks.json"}`, protocol.Unavailable},
		"no document":           {issuer, ``, protocol.Unavailable},
		"a slash more, as said": {issuer + "/", `{"issuer":"https://issuer.example/tenant/","jwks_uri":"` + keysURL + `"}`, ""},
		"a slash less":          {issuer + "/", `{"issuer":"https://issuer.example/tenant","jwks_uri":"` + keysURL + `"}`, protocol.Unavailable},
	} {
		t.Run(what, func(t *testing.T) {
			p := edPen(t, "1")
			w := &web{documents: map[string]string{document: tt.document, keysURL: jwks(p)}}
			set, err := auth.NewKeySet(auth.KeySetOptions{Issuer: tt.issuer, Algorithms: everyAlgorithm, Get: w.get, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			running(t, set)
			accepts(t, newVerifier(t, auth.VerifierOptions{Issuer: set}), p, tt.want)
		})
	}
}

func TestKeySetsThatCannotBe(t *testing.T) {
	for _, o := range []auth.KeySetOptions{
		{JWKS: "http://issuer.example/jwks.json", Algorithms: everyAlgorithm},
		{JWKS: "http://localhost/jwks.json", Algorithms: everyAlgorithm},
		{JWKS: "ftp://issuer.example/jwks.json", Algorithms: everyAlgorithm},
		{JWKS: "https://user:pass@issuer.example/jwks.json", Algorithms: everyAlgorithm},
		{JWKS: "https://", Algorithms: everyAlgorithm},
		{Issuer: "issuer", Algorithms: everyAlgorithm},
		{Issuer: "http://issuer.example", Algorithms: everyAlgorithm},
		{JWKS: keysURL},
		{JWKS: keysURL, Algorithms: []string{"HS256"}},
		{JWKS: keysURL, Algorithms: []string{"none"}},
		{JWKS: keysURL, Algorithms: []string{"RS256", "PS256"}},
	} {
		if _, err := auth.NewKeySet(o); err == nil {
			t.Errorf("%+v was accepted", o)
		} else if strings.Contains(err.Error(), "pass") {
			t.Errorf("%v tells the password", err)
		}
	}
	for _, o := range []auth.KeySetOptions{{JWKS: "http://127.0.0.1:8080/jwks.json"}, {JWKS: "http://[::1]/jwks.json"}, {JWKS: "jwks.json"}, {Issuer: "https://issuer.example"}} {
		o.Algorithms = everyAlgorithm
		if _, err := auth.NewKeySet(o); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
