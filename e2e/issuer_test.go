package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// issuer is an OpenID provider on loopback, with TLS by an authority of its own.
type issuer struct {
	t      testing.TB
	server *httptest.Server
	ca     string // the file with its authority's certificate

	mu    sync.Mutex
	keys  map[string]issuerKey
	asked int // how often for the keys
}

// issuerKey is one key: how it signs, and what of it is published.
type issuerKey struct {
	alg  string
	jwk  object
	sign func(input []byte) []byte
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// newIssuerKey makes a key for an algorithm.
func newIssuerKey(t testing.TB, alg, kid string) issuerKey {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	switch alg {
	case "RS256":
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		must(err)
		return issuerKey{alg, object{"kty": "RSA", "kid": kid, "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}, func(input []byte) []byte {
			sum := sha256.Sum256(input)
			signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
			must(err)
			return signature
		}}
	case "ES256":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		point, err := key.PublicKey.Bytes()
		must(err)
		return issuerKey{alg, object{"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(point[1:33]), "y": b64(point[33:])}, func(input []byte) []byte {
			sum := sha256.Sum256(input)
			r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
			must(err)
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}}
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	return issuerKey{"EdDSA", object{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(public)}, func(input []byte) []byte {
		return ed25519.Sign(private, input)
	}}
}

// startIssuer starts an issuer with a key of each algorithm, named after it.
func startIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{t: t, keys: map[string]issuerKey{}}
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		i.rotate(alg, alg)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(object{"issuer": i.server.URL, "jwks_uri": i.server.URL + "/jwks"})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.asked++
		var keys []object
		for _, k := range i.keys {
			keys = append(keys, k.jwk)
		}
		_ = json.NewEncoder(w).Encode(object{"keys": keys})
	})
	i.server = httptest.NewUnstartedServer(mux)
	i.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	i.server.StartTLS()
	t.Cleanup(i.server.Close)
	i.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(i.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

// rotate publishes a new key under a name.
func (i *issuer) rotate(alg, kid string) {
	key := newIssuerKey(i.t, alg, kid)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys[kid] = key
}

// token is what the issuer signs for a user of the service, with further or other claims.
func (i *issuer) token(kid string, more object) string {
	i.t.Helper()
	claims := object{"iss": i.server.URL, "aud": "chat", "sub": "alice", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(claims, more)
	i.mu.Lock()
	key := i.keys[kid]
	i.mu.Unlock()
	return key.token(i.t, object{"alg": key.alg, "kid": kid}, claims)
}

func (k issuerKey) token(t testing.TB, header, claims object) string {
	t.Helper()
	var parts []string
	for _, part := range []object{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, b64(text))
	}
	input := strings.Join(parts, ".")
	return input + "." + b64(k.sign([]byte(input)))
}

// flags are what a server is told that trusts the issuer.
func (i *issuer) flags(more ...string) []string {
	return append([]string{"--auth-issuer", i.server.URL, "--auth-audience", "chat", "--egress-allow", "127.0.0.0/8", "--egress-ca-file", i.ca}, more...)
}

// ask makes a call with a token and returns the code of its error, "" when there is none.
func (s *server) ask(token string) string {
	s.t.Helper()
	_, _, err := post("http://"+s.addr, "user.get", map[string]string{"Authorization": "Bearer " + token}, object{"users": []string{"alice"}})
	var e *wireError
	if err != nil && !errors.As(err, &e) {
		s.t.Fatal(err)
	}
	if e == nil {
		return ""
	}
	if slices.ContainsFunc(strings.Split(token, "."), func(part string) bool { return len(part) > 5 && strings.Contains(e.Message, part) }) {
		s.t.Errorf("the token is in the error %v", e)
	}
	return e.Code
}

// eventually waits until a question is answered as it should be.
func eventually(t testing.TB, what string, want string, ask func() string) {
	t.Helper()
	deadline := time.Now().Add(3 * patience)
	for got := ask(); got != want; got = ask() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: still %q after %v, want %q", what, got, 3*patience, want)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestIssuer has users come with tokens of an issuer, over every way in; the server's own secret is worth nothing meanwhile.
func TestIssuer(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	s := start(t, i.flags()...)
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		if code := s.ask(i.token(alg, nil)); code != "" {
			t.Errorf("%s over HTTP: %s", alg, code)
		}
		c, err := s.dial("alice", i.token(alg, nil), object{"device": alg})
		if err != nil {
			t.Fatalf("%s in hello: %v", alg, err)
		}
		ends := time.Now().Add(2 * time.Hour).Truncate(time.Second)
		got := c.call("session.refresh", object{"token": i.token("ES256", object{"exp": ends.Unix()})})["token_expires_at"]
		if got != ends.UTC().Format("2006-01-02T15:04:05.000Z") {
			t.Errorf("%s: refreshed until %v, want %v", alg, got, ends)
		}
		if _, err := c.try("session.refresh", object{"token": i.token(alg, object{"aud": "another"})}); err == nil {
			t.Errorf("%s: refreshed by a token for another service", alg)
		}
		if _, err := c.try("session.refresh", object{"token": i.token(alg, object{"sub": "bob"})}); err == nil || !strings.HasPrefix(err.Error(), "forbidden") {
			t.Errorf("%s: refreshed by another user's token: %v", alg, err)
		}
	}

	good := object{"iss": i.server.URL, "aud": "chat", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	stranger := newIssuerKey(t, "RS256", "RS256")
	bad := map[string]string{
		"the secret": s.sign(good), "the secret, an issuer's kid": s.signAs(object{"alg": "HS256", "kid": "RS256"}, good),
		"the secret, called RS256": s.signAs(object{"alg": "RS256", "kid": "RS256"}, good), "none": s.signAs(object{"alg": "none"}, good),
		"another key of the name":  stranger.token(t, object{"alg": "RS256", "kid": "RS256"}, good),
		"its own key":              stranger.token(t, object{"alg": "RS256", "jwk": stranger.jwk}, good),
		"a key of somewhere":       stranger.token(t, object{"alg": "RS256", "kid": "x", "jku": i.server.URL + "/evil", "x5u": i.server.URL + "/evil"}, good),
		"another kind of key":      i.token("ES256", nil)[:20] + i.token("RS256", nil)[20:],
		"another issuer":           i.token("RS256", object{"iss": "https://evil.example"}),
		"the issuer and a slash":   i.token("RS256", object{"iss": i.server.URL + "/"}),
		"for another":              i.token("RS256", object{"aud": []string{"another"}}),
		"for nobody":               i.token("RS256", object{"aud": nil}),
		"expired":                  i.token("RS256", object{"exp": time.Now().Unix()}),
		"without end":              i.token("RS256", object{"exp": nil}),
		"not yet":                  i.token("RS256", object{"nbf": time.Now().Add(2 * time.Minute).Unix()}),
		"of an unknown role":       i.token("RS256", object{"role": "root"}),
		"without user":             i.token("RS256", object{"sub": nil}),
		"with bytes behind":        i.token("RS256", nil) + "AAAA",
		"with a critical addition": i.keys["RS256"].token(t, object{"alg": "RS256", "kid": "RS256", "crit": []string{"x"}, "x": 1}, good),
	}
	for what, token := range bad {
		if code := s.ask(token); code != "unauthenticated" {
			t.Errorf("%s, over HTTP: %q", what, code)
		}
		c, err := s.open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.try("hello", object{"token": token, "device": "bad"}); err == nil || !strings.HasPrefix(err.Error(), "unauthenticated") {
			t.Errorf("%s, in hello: %v", what, err)
		}
		c.wantClosed(4401)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.asked > 2 { // at the start, and for the keys that are none
		t.Errorf("the issuer was asked %d times", i.asked)
	}
	for _, token := range bad {
		if strings.Contains(s.log.String(), token) {
			t.Error("a token is in the log")
		}
	}
}

// TestIssuerRotates has the issuer sign with a new key, and go away.
func TestIssuerRotates(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	s := start(t, i.flags("--auth-secret-tokens")...)
	if code := s.ask(i.token("RS256", nil)); code != "" {
		t.Fatal(code)
	}
	i.rotate("EdDSA", "of tonight")
	if code := s.ask(i.token("of tonight", nil)); code != "" {
		t.Errorf("a new key: %s", code)
	}
	i.server.Close()
	for _, kid := range []string{"RS256", "of tonight"} {
		if code := s.ask(i.token(kid, nil)); code != "" {
			t.Errorf("%s, while the issuer is away: %s", kid, code)
		}
	}
	own := s.sign(object{"iss": i.server.URL, "aud": []string{"x", "chat"}, "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
	if code := s.ask(own); code != "" {
		t.Errorf("the secret, which counts as well: %s", code)
	}
	if code := s.ask(s.token("alice", "--issuer", i.server.URL, "--audience", "chat")); code != "" {
		t.Errorf("a token of the command line: %s", code)
	}
	if code := s.ask(s.token("alice")); code != "unauthenticated" {
		t.Errorf("the secret, without iss: %q", code)
	}
}

// TestIssuerAway starts servers that cannot get at the issuer's keys: they say so and go on, and nobody is told that a token is bad.
func TestIssuerAway(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	t.Run("an address that is not allowed", func(t *testing.T) {
		t.Parallel()
		flags := i.flags()
		s := start(t, slices.Delete(flags, 4, 6)...) // without egress.allow
		s.unavailable(i.token("RS256", nil))
		if log := s.log.String(); !strings.Contains(log, "the issuer's keys cannot be read") || !strings.Contains(log, "egress.allow") {
			t.Errorf("the log does not say why")
		}
		if code := s.ask(s.sign(object{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})); code != "unauthenticated" {
			t.Errorf("the secret: %q", code)
		}
	})
	t.Run("a file that comes later", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "jwks.json")
		s := start(t, "--auth-jwks", file)
		key := newIssuerKey(t, "ES256", "1")
		token := key.token(t, object{"alg": "ES256"}, object{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
		s.unavailable(token)
		text, err := json.Marshal(object{"keys": []object{key.jwk}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the file is read", "", func() string { return s.ask(token) })
	})
}

// unavailable checks that a token is neither taken nor called bad.
func (s *server) unavailable(token string) {
	s.t.Helper()
	if code := s.ask(token); code != "unavailable" {
		s.t.Errorf("over HTTP: %q", code)
	}
	c, err := s.open()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := c.try("hello", object{"token": token, "device": "phone"}); err == nil || !strings.HasPrefix(err.Error(), "unavailable") {
		s.t.Errorf("in hello: %v", err)
	}
	c.wantClosed(1013)
}
