package auth_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
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

func newTokens(t testing.TB) *auth.Tokens {
	t.Helper()
	tokens, err := auth.NewTokens([]byte(secret), func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	return tokens
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
			got, err := newTokens(t).Verify(sign(tt.header, tt.payload))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// lastLetter changes the bits of the last letter that carry nothing.
func lastLetter(token string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(letters, token[len(token)-1])
	return token[:len(token)-1] + string(letters[i^1])
}

// badForms are no tokens at all.
func badForms() map[string]string {
	good := sign(hs256, claims(``))
	parts := strings.Split(good, ".")
	return map[string]string{
		"empty":                  "",
		"one dot":                ".",
		"two dots":               "..",
		"a word":                 "alice",
		"a key":                  "pk_" + strings.Repeat("A", 43),
		"two parts":              parts[0] + "." + parts[1],
		"no signature":           parts[0] + "." + parts[1] + ".",
		"four parts":             good + ".x",
		"five parts (encrypted)": good + ".x.y",
		"no payload":             parts[0] + ".." + parts[2],
		"no header":              "." + parts[1] + "." + parts[2],
		"padding":                good + "=",
		"standard base64":        parts[0] + "." + parts[1] + "." + "+/" + parts[2][2:],
		"space before":           " " + good,
		"space after":            good + " ",
		"line break inside":      parts[0] + ".\n" + parts[1] + "." + parts[2],
		"line break after":       good + "\r\n",
		"NUL":                    good + "\x00",
		"bearer":                 "Bearer " + good,
		"too long":               sign(hs256, claims(`,"x":"`+strings.Repeat("x", 8<<10)+`"`)),
		"long rubbish":           strings.Repeat(".", 1<<20),
		"JSON serialization":     `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
	}
}

// badSignatures are not signed, or not with this secret, or not in this way.
func badSignatures(t *testing.T) map[string]string {
	good := sign(hs256, claims(``))
	parts := strings.Split(good, ".")
	return map[string]string{
		"other secret":           signWith(sha256.New, strings.Repeat("x", 32), hs256, claims(``)),
		"empty secret":           signWith(sha256.New, "", hs256, claims(``)),
		"first byte":             parts[0] + "." + parts[1] + "." + flip(parts[2], 0),
		"last byte":              parts[0] + "." + parts[1] + "." + flip(parts[2], len(parts[2])-2),
		"last letter":            lastLetter(good),
		"cut signature":          good[:len(good)-4],
		"other payload":          parts[0] + "." + b64(claims(`,"role":"admin"`)) + "." + parts[2],
		"other header":           b64(`{"alg":"HS256","kid":"1"}`) + "." + parts[1] + "." + parts[2],
		"signature of the hex":   parts[0] + "." + parts[1] + "." + b64(fmt.Sprintf("%x", sha256.Sum256([]byte(good)))),
		"HS512, signed so":       signWith(sha512.New, secret, `{"alg":"HS512"}`, claims(``)),
		"HS384, signed so":       signWith(sha512.New384, secret, `{"alg":"HS384"}`, claims(``)),
		"RS256, signed so":       signRSA(t, claims(``)),
		"none":                   b64(`{"alg":"none"}`) + "." + parts[1] + ".",
		"None":                   b64(`{"alg":"None"}`) + "." + parts[1] + ".",
		"none, with a signature": sign(`{"alg":"none"}`, claims(``)),
	}
}

// badHeaders are signed well.
func badHeaders() map[string]string {
	return map[string]string{
		"no algorithm":         sign(`{}`, claims(``)),
		"null algorithm":       sign(`{"alg":null}`, claims(``)),
		"algorithm's case":     sign(`{"alg":"hs256"}`, claims(``)),
		"algorithm's name":     sign(`{"Alg":"HS256"}`, claims(``)),
		"algorithm as number":  sign(`{"alg":256}`, claims(``)),
		"algorithm as list":    sign(`{"alg":["HS256"]}`, claims(``)),
		"another algorithm":    sign(`{"alg":"RS256"}`, claims(``)),
		"algorithm twice":      sign(`{"alg":"none","alg":"HS256"}`, claims(``)),
		"crit":                 sign(`{"alg":"HS256","crit":["exp"],"exp":1}`, claims(``)),
		"crit known elsewhere": sign(`{"alg":"HS256","crit":["b64"],"b64":true}`, claims(``)),
		"empty crit":           sign(`{"alg":"HS256","crit":[]}`, claims(``)),
		"null crit":            sign(`{"alg":"HS256","crit":null}`, claims(``)),
		"b64 without crit":     sign(`{"alg":"HS256","b64":false}`, claims(``)),
		"embedded secret":      sign(`{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`, claims(``)),
		"header no JSON":       sign(`alg`, claims(``)),
		"header a list":        sign(`["HS256"]`, claims(``)),
		"header twice":         sign(hs256+hs256, claims(``)),
		"type as number":       sign(`{"alg":"HS256","typ":1}`, claims(``)),
	}
}

// badPayloads are signed well too.
func badPayloads() map[string]string {
	bad := map[string]string{
		"payload no JSON":  sign(hs256, `alice`),
		"payload a list":   sign(hs256, `[]`),
		"payload a string": sign(hs256, `"alice"`),
		"payload null":     sign(hs256, `null`),
		"payload empty":    sign(hs256, ``),
		"trailing bytes":   sign(hs256, claims(``)+"x"),
		"cut":              sign(hs256, `{"sub":"alice","exp":1700000600`),
		"deep":             sign(hs256, claims(`,"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100))),
		"bad UTF-8":        sign(hs256, claims(`,"name":"`+"\xff"+`"`)),
		"lone surrogate":   sign(hs256, claims(`,"name":"\ud800"`)),
		"sub twice":        sign(hs256, claims(`,"sub":"bob"`)),
		"exp twice":        sign(hs256, claims(`,"exp":9999999999`)),
		"unknown twice":    sign(hs256, claims(`,"x":1,"x":2`)),
		"escaped twice":    sign(hs256, claims(`,"\u0073ub":"bob"`)),
	}
	for name, more := range map[string]string{
		"unknown role": `"role":"root"`, "empty role's case": `"role":"Admin"`, "role as list": `"role":["admin"]`, "role as number": `"role":1`,
		"name as number": `"name":5`, "name as object": `"name":{}`, "name too long": `"name":"` + strings.Repeat("é", 201) + `"`, "name with NUL": `"name":"a\u0000"`,
		"avatar no URL": `"avatar":"me"`, "avatar a script": `"avatar":"javascript:alert(1)"`, "avatar as list": `"avatar":[]`,
		"avatar too long": `"avatar":"https://a.example/` + strings.Repeat("x", 2<<10) + `"`,
		"nbf too late":    `"nbf":1700000061`, "nbf as string": `"nbf":"1700000000"`, "nbf negative": `"nbf":-1`,
		"iat in the future": `"iat":1700000061`, "iat as string": `"iat":"x"`, "iat in milliseconds": `"iat":1700000000000`, "iat as boolean": `"iat":true`,
	} {
		bad[name] = sign(hs256, claims(","+more))
	}
	for name, payload := range map[string]string{
		"no exp": `{"sub":"alice"}`, "null exp": `{"sub":"alice","exp":null}`, "exp as string": `{"sub":"alice","exp":"1700000600"}`,
		"expired now": `{"sub":"alice","exp":1700000000}`, "expired within the skew": `{"sub":"alice","exp":1699999990}`, "exp 0": `{"sub":"alice","exp":0}`,
		"exp negative": `{"sub":"alice","exp":-1700000600}`, "exp huge": `{"sub":"alice","exp":1e400}`, "exp in milliseconds": `{"sub":"alice","exp":1700000600000}`,
		"exp as date": `{"sub":"alice","exp":"2030-01-01T00:00:00Z"}`, "exp's case": `{"sub":"alice","Exp":1700000600}`,
		"no sub": `{"exp":1700000600}`, "null sub": `{"sub":null,"exp":1700000600}`, "empty sub": `{"sub":"","exp":1700000600}`,
		"sub as number": `{"sub":5,"exp":1700000600}`, "sub as list": `{"sub":["alice"],"exp":1700000600}`, "sub with space": `{"sub":"a b","exp":1700000600}`,
		"sub with slash": `{"sub":"a/b","exp":1700000600}`, "sub in Unicode": `{"sub":"ålice","exp":1700000600}`, "sub with NUL": `{"sub":"a\u0000","exp":1700000600}`,
		"sub with bar": `{"sub":"a|b","exp":1700000600}`, "sub with line break": `{"sub":"alice\n","exp":1700000600}`,
		"long sub": `{"sub":"` + strings.Repeat("u", 129) + `","exp":1700000600}`, "sub's case": `{"Sub":"alice","exp":1700000600}`,
	} {
		bad[name] = sign(hs256, payload)
	}
	return bad
}

// flip changes a byte of a text in base64.
func flip(s string, at int) string {
	c := byte('A')
	if s[at] == c {
		c = 'B'
	}
	return s[:at] + string(c) + s[at+1:]
}

// signRSA makes a token that is good but for its algorithm.
func signRSA(t *testing.T, payload string) string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, new(jose.SignerOptions).WithHeader("jwk", jose.JSONWebKey{Key: key.Public()}))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestVerifyRefuses(t *testing.T) {
	tokens := newTokens(t)
	bad := badForms()
	maps.Copy(bad, badSignatures(t))
	maps.Copy(bad, badHeaders())
	maps.Copy(bad, badPayloads())
	for name, token := range bad {
		id, err := tokens.Verify(token)
		var e *protocol.Error
		switch {
		case id != nil || err == nil:
			t.Errorf("%s: accepted as %+v", name, id)
		case !errors.As(err, &e) || e.Code != protocol.Unauthenticated || e.Message == "":
			t.Errorf("%s: %v is no unauthenticated", name, err)
		case strings.Contains(err.Error(), secret):
			t.Errorf("%s: the secret is in %v", name, err)
		}
	}
	if len(bad) < 100 {
		t.Errorf("only %d bad tokens are left", len(bad))
	}
}

func TestSign(t *testing.T) {
	tokens := newTokens(t)
	token, err := tokens.Sign(auth.Claims{User: "alice", Name: ptr("Alice"), Avatar: ptr(""), Role: protocol.TokenAdmin, TTL: 1500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	got, err := tokens.Verify(token)
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
	if token, err := tokens.Sign(auth.Claims{User: "bob", TTL: time.Hour}); err != nil {
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
		if token, err := tokens.Sign(c); err == nil {
			t.Errorf("%s: signed %s", name, token)
		}
	}
}

// The secret of a deployment is never shorter than what HS256 needs.
func TestNewTokensRefusesShortSecrets(t *testing.T) {
	if _, err := auth.NewTokens([]byte(secret[:31]), time.Now); err == nil {
		t.Error("a secret of 31 bytes was accepted")
	}
}

// Whatever comes in, Verify answers; and what it accepts it would make.
func FuzzVerify(f *testing.F) {
	tokens := newTokens(f)
	f.Add(hs256, claims(``), false)
	f.Add(hs256, claims(`,"name":"x","role":"admin","iat":1.5e9`), true)
	f.Add(`{"alg":"none"}`, `{}`, true)
	f.Fuzz(func(t *testing.T, header, payload string, raw bool) {
		token := sign(header, payload)
		if raw {
			token = header + "." + payload
		}
		id, err := tokens.Verify(token)
		if (id == nil) == (err == nil) {
			t.Fatalf("%v and %v", id, err)
		}
		if id == nil {
			return
		}
		if _, err := tokens.Sign(auth.Claims{User: id.User, Name: id.Name, Avatar: id.Avatar, Role: id.Role, TTL: time.Second}); err != nil {
			t.Errorf("accepted and not to be made: %v", err)
		}
	})
}
