package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/protocol"
)

const (
	secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" // long enough for HS512, which is refused all the same
	hs256  = `{"alg":"HS256","typ":"JWT"}`
)

// start is the moment at which the tests take place: 1,700,000,000 in Unix seconds.
var start = time.Unix(1_700_000_000, 0)

func now() time.Time { return start }

func newSigner(t testing.TB) *auth.Signer {
	t.Helper()
	signer, err := auth.NewSigner([]byte(secret), auth.Terms{}, now)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newVerifier(t testing.TB, o auth.VerifierOptions) *auth.Verifier {
	t.Helper()
	o.Now = now
	verifier, err := auth.NewVerifier(o)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// trustingSecret accepts what is signed with the secret.
func trustingSecret(t testing.TB) *auth.Verifier {
	t.Helper()
	return newVerifier(t, auth.VerifierOptions{Secret: []byte(secret)})
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign makes a token by hand, so that the tests share nothing with the code.
func sign(header, payload string) string { return signWith(sha256.New, secret, header, payload) }

func signWith(h func() hash.Hash, secret, header, payload string) string {
	input := b64(header) + "." + b64(payload)
	mac := hmac.New(h, []byte(secret))
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// claims is a good payload with more members.
func claims(more string) string { return `{"sub":"alice","exp":1700000600` + more + `}` }

func ptr[T any](v T) *T { return &v }

func TestVerifyAccepts(t *testing.T) {
	plain := auth.Identity{User: "alice", Role: protocol.TokenUser, ExpiresAt: 1700000600_000}
	with := func(change func(id *auth.Identity)) auth.Identity {
		id := plain
		change(&id)
		return id
	}
	tests := []struct {
		name, header, payload string
		want                  auth.Identity
	}{
		{"the least", `{"alg":"HS256"}`, claims(``), plain},
		{"a key id", `{"alg":"HS256","kid":"1","typ":"at+jwt"}`, claims(``), plain},
		{"a kid as a path", `{"alg":"HS256","kid":"../../dev/null"}`, claims(``), plain},
		{"an embedded key, which is not looked at", `{"alg":"HS256","x5u":"https://evil.example"}`, claims(``), plain},
		{
			"all claims", hs256, claims(`,"name":"Alice 😀","avatar":"https://a.example/x.png","role":"moderator","iat":1700000000,"nbf":1700000000`),
			with(func(id *auth.Identity) {
				id.Name, id.Avatar = ptr("Alice 😀"), ptr("https://a.example/x.png")
				id.Role, id.IssuedAt = protocol.TokenModerator, 1700000000
			}),
		},
		{"empty profile", hs256, claims(`,"name":"","avatar":""`), with(func(id *auth.Identity) { id.Name, id.Avatar = ptr(""), ptr("") })},
		{"null is absent", hs256, claims(`,"name":null,"avatar":null,"role":null,"iat":null,"nbf":null`), plain},
		{"other claims", hs256, claims(`,"aud":["x"],"iss":"y","data":{"a":[1]},"Sub":"bob"`), plain},
		{"clock ahead by the skew", hs256, claims(`,"iat":1700000060,"nbf":1700000060`), with(func(id *auth.Identity) { id.IssuedAt = 1700000060 })},
		{
			"fractions", hs256, `{"sub":"alice","exp":1.7000006005e9,"iat":1699999999.9}`,
			with(func(id *auth.Identity) { id.ExpiresAt, id.IssuedAt = 1700000600_500, 1699999999 }),
		},
		{"the last millisecond", hs256, `{"sub":"alice","exp":1700000000.001}`, with(func(id *auth.Identity) { id.ExpiresAt = 1700000000_001 })},
		{"an odd user", hs256, `{"sub":"A-z_0.9:@","exp":1700000600}`, with(func(id *auth.Identity) { id.User = "A-z_0.9:@" })},
		{"a long user", hs256, `{"sub":"` + strings.Repeat("u", 128) + `","exp":1700000600}`, with(func(id *auth.Identity) { id.User = strings.Repeat("u", 128) })},
		{"a long name", hs256, claims(`,"name":"` + strings.Repeat("é", 200) + `"`), with(func(id *auth.Identity) { id.Name = ptr(strings.Repeat("é", 200)) })},
		{"white space", " " + hs256 + "\n", " " + claims(" ") + "\n", plain},
		{"far away", hs256, `{"sub":"alice","exp":253402300799}`, with(func(id *auth.Identity) { id.ExpiresAt = 253402300799_000 })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := trustingSecret(t).Verify(t.Context(), sign(tt.header, tt.payload))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSign(t *testing.T) {
	signer := newSigner(t)
	token, err := signer.Sign(auth.Claims{User: "alice", Name: ptr("Alice"), Avatar: ptr(""), Role: protocol.TokenAdmin, TTL: 1500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	got, err := trustingSecret(t).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := &auth.Identity{
		User: "alice", Name: ptr("Alice"), Avatar: ptr(""), Role: protocol.TokenAdmin,
		IssuedAt: 1_700_000_000, ExpiresAt: 1_700_000_002_000,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if token, err := signer.Sign(auth.Claims{User: "bob", TTL: time.Hour}); err != nil {
		t.Error(err)
	} else if want := sign(hs256, `{"sub":"bob","exp":1700003600,"iat":1700000000}`); token != want {
		t.Errorf("got %s\nwant %s", token, want)
	}
	for name, c := range map[string]auth.Claims{
		"no user":   {TTL: time.Hour},
		"bad user":  {User: "a b", TTL: time.Hour},
		"role":      {User: "a", Role: "root", TTL: time.Hour},
		"no time":   {User: "a"},
		"past":      {User: "a", TTL: -time.Hour},
		"name":      {User: "a", TTL: time.Hour, Name: ptr(strings.Repeat("n", 201))},
		"avatar":    {User: "a", TTL: time.Hour, Avatar: ptr("no URL")},
		"bad UTF-8": {User: "a", TTL: time.Hour, Name: ptr("\xff")},
	} {
		if token, err := signer.Sign(c); err == nil {
			t.Errorf("%s: signed %s", name, token)
		}
	}
}

// The secret of a deployment is never shorter than what HS256 needs.
func TestShortSecretsAreRefused(t *testing.T) {
	if _, err := auth.NewSigner([]byte(secret[:31]), auth.Terms{}, time.Now); err == nil {
		t.Error("tokens are signed with a secret of 31 bytes")
	}
	if _, err := auth.NewVerifier(auth.VerifierOptions{Secret: []byte(secret[:31]), Now: time.Now}); err == nil {
		t.Error("tokens are checked with a secret of 31 bytes")
	}
}

// Whatever comes in, Verify answers; and what it accepts it would make.
func FuzzVerify(f *testing.F) {
	verifier, signer := trustingSecret(f), newSigner(f)
	f.Add(hs256, claims(``), false)
	f.Add(hs256, claims(`,"name":"x","role":"admin","iat":1.5e9`), true)
	f.Add(`{"alg":"none"}`, `{}`, true)
	f.Fuzz(func(t *testing.T, header, payload string, raw bool) {
		token := sign(header, payload)
		if raw {
			token = header + "." + payload
		}
		id, err := verifier.Verify(t.Context(), token)
		if (id == nil) == (err == nil) {
			t.Fatalf("%v and %v", id, err)
		}
		if id == nil {
			return
		}
		if _, err := signer.Sign(auth.Claims{User: id.User, Name: id.Name, Avatar: id.Avatar, Role: id.Role, TTL: time.Second}); err != nil {
			t.Errorf("accepted and not to be made: %v", err)
		}
	})
}
