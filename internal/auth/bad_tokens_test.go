package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/protocol"
)

// pen signs tokens with one key, by hand.
type pen struct {
	alg    string
	kid    string
	jwk    string // the public key
	public any
	mark   func(input []byte) []byte
}

// header is a good one.
func (p *pen) header() string {
	if p.kid == "" {
		return `{"alg":"` + p.alg + `","typ":"JWT"}`
	}
	return `{"alg":"` + p.alg + `","kid":"` + p.kid + `"}`
}

func (p *pen) sign(header, payload string) string {
	input := b64(header) + "." + b64(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(p.mark([]byte(input)))
}

// named signs with the pen's algorithm where the header says HS256.
func (p *pen) named(header, payload string) string {
	return p.sign(strings.ReplaceAll(header, "HS256", p.alg), payload)
}

func bytes64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func secretPen(secret string) *pen {
	return &pen{alg: "HS256", mark: func(input []byte) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(input)
		return mac.Sum(nil)
	}}
}

func rsaPen(t testing.TB, kid string, bits int) *pen {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return &pen{
		alg: "RS256", kid: kid, public: key.Public(),
		jwk: fmt.Sprintf(`{"kty":"RSA","kid":%q,"n":%q,"e":%q}`, kid, bytes64(key.N.Bytes()), bytes64(big.NewInt(int64(key.E)).Bytes())),
		mark: func(input []byte) []byte {
			sum := sha256.Sum256(input)
			signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
			if err != nil {
				t.Error(err)
			}
			return signature
		},
	}
}

func ecPen(t testing.TB, kid string) *pen {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return &pen{
		alg: "ES256", kid: kid, public: key.Public(),
		jwk: fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":%q,"use":"sig","alg":"ES256","x":%q,"y":%q}`, kid, bytes64(point[1:33]), bytes64(point[33:])),
		mark: func(input []byte) []byte {
			sum := sha256.Sum256(input)
			r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
			if err != nil {
				t.Error(err)
			}
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		},
	}
}

func edPen(t testing.TB, kid string) *pen {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &pen{
		alg: "EdDSA", kid: kid, public: public,
		jwk:  fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":%q,"key_ops":["verify"],"x":%q}`, kid, bytes64(public)),
		mark: func(input []byte) []byte { return ed25519.Sign(private, input) },
	}
}

// jwks is the key set of pens.
func jwks(pens ...*pen) string {
	keys := make([]string, len(pens))
	for i, p := range pens {
		keys[i] = p.jwk
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

var everyAlgorithm = []string{"RS256", "ES256", "EdDSA"}

// published is a running key set of the pens.
func published(t testing.TB, pens ...*pen) *auth.KeySet {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, []byte(jwks(pens...)), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := auth.NewKeySet(auth.KeySetOptions{JWKS: file, Algorithms: everyAlgorithm, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running(t, set)
	return set
}

// lastLetter changes the bits of the last letter that carry nothing.
func lastLetter(token string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(letters, token[len(token)-1])
	return token[:len(token)-1] + string(letters[i^1])
}

// flip changes a byte of a text in base64.
func flip(s string, at int) string {
	c := byte('A')
	if s[at] == c {
		c = 'B'
	}
	return s[:at] + string(c) + s[at+1:]
}

// badForms are no tokens at all.
func badForms(p *pen) map[string]string {
	good := p.sign(p.header(), claims(``))
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
		"another token within":   p.sign(p.header(), good),
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
		"too long":               p.sign(p.header(), claims(`,"x":"`+strings.Repeat("x", 8<<10)+`"`)),
		"long rubbish":           strings.Repeat(".", 1<<20),
		"JSON serialization":     `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
	}
}

// badSignatures are not signed, or not with the pen's key, or not in its way.
func badSignatures(t *testing.T, p *pen) map[string]string {
	good := p.sign(p.header(), claims(``))
	parts := strings.Split(good, ".")
	other := map[string]*pen{
		"HS256": secretPen(strings.Repeat("x", 32)), "RS256": rsaPen(t, p.kid, 2048), "ES256": ecPen(t, p.kid), "EdDSA": edPen(t, p.kid),
	}
	bad := map[string]string{
		"empty secret":           secretPen("").sign(p.header(), claims(``)),
		"first byte":             parts[0] + "." + parts[1] + "." + flip(parts[2], 0),
		"last byte":              parts[0] + "." + parts[1] + "." + flip(parts[2], len(parts[2])-2),
		"last letter":            lastLetter(good),
		"cut signature":          good[:len(good)-4],
		"doubled signature":      good + parts[2],
		"zero signature":         parts[0] + "." + parts[1] + "." + bytes64(make([]byte, 64)),
		"zero short signature":   parts[0] + "." + parts[1] + "." + bytes64(make([]byte, 32)),
		"other payload":          parts[0] + "." + b64(claims(`,"role":"admin"`)) + "." + parts[2],
		"other header":           b64(`{"alg":"`+p.alg+`","kid":"`+p.kid+`","x":1}`) + "." + parts[1] + "." + parts[2],
		"signature of the hex":   parts[0] + "." + parts[1] + "." + b64(fmt.Sprintf("%x", sha256.Sum256([]byte(good)))),
		"HS512, signed so":       signWith(sha512.New, secret, `{"alg":"HS512"}`, claims(``)),
		"HS384, signed so":       signWith(sha512.New384, secret, `{"alg":"HS384"}`, claims(``)),
		"none":                   b64(`{"alg":"none"}`) + "." + parts[1] + ".",
		"None":                   b64(`{"alg":"None"}`) + "." + parts[1] + ".",
		"none, with a signature": p.sign(`{"alg":"none"}`, claims(``)),
		"kid of a file":          other[p.alg].sign(`{"alg":"`+p.alg+`","kid":"../../../../dev/null"}`, claims(``)),
		"kid of a query":         other[p.alg].sign(`{"alg":"`+p.alg+`","kid":"' OR 1=1 --"}`, claims(``)),
		"huge kid":               other[p.alg].sign(`{"alg":"`+p.alg+`","kid":"`+strings.Repeat("k", 4000)+`"}`, claims(``)),
		"no kid":                 other[p.alg].sign(`{"alg":"`+p.alg+`"}`, claims(``)),
		"its own key":            other[p.alg].sign(`{"alg":"`+p.alg+`","jwk":`+or(other[p.alg].jwk, `{"kty":"oct","k":"eHg"}`)+`}`, claims(``)),
		"a key of a URL":         other[p.alg].sign(`{"alg":"`+p.alg+`","kid":"`+p.kid+`","jku":"https://evil.example/jwks.json","x5u":"https://evil.example/x.pem"}`, claims(``)),
	}
	for alg, other := range other {
		bad["another key, "+alg] = other.sign(other.header(), claims(``))
		bad["another key, its kid, "+alg] = other.sign(p.header(), claims(``))
	}
	for what, key := range publicForms(p.public) { // a public key is no secret
		bad["HS256 with the public key as "+what] = secretPen(key).sign(`{"alg":"HS256","kid":"`+p.kid+`"}`, claims(``))
	}
	return bad
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// publicForms are the ways to write a public key, each of which some library has taken for a secret.
func publicForms(public any) map[string]string {
	if public == nil {
		return nil
	}
	der, _ := x509.MarshalPKIXPublicKey(public)
	forms := map[string]string{
		"DER": string(der), "PEM": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"PEM without its line break": strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))),
	}
	switch key := public.(type) {
	case *rsa.PublicKey:
		der := x509.MarshalPKCS1PublicKey(key)
		forms["PKCS 1"] = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der}))
		forms["modulus"] = string(key.N.Bytes())
	case ed25519.PublicKey:
		forms["bytes"] = string(key)
	}
	return forms
}

// badHeaders are signed well.
func badHeaders(p *pen) map[string]string {
	return map[string]string{
		"no algorithm":         p.named(`{}`, claims(``)),
		"null algorithm":       p.named(`{"alg":null}`, claims(``)),
		"algorithm's case":     p.named(`{"alg":"`+strings.ToUpper(p.alg[:1])+strings.ToLower(p.alg[1:])+`"}`, claims(``)),
		"algorithm's name":     p.named(`{"Alg":"HS256"}`, claims(``)),
		"algorithm as number":  p.named(`{"alg":256}`, claims(``)),
		"algorithm as list":    p.named(`{"alg":["HS256"]}`, claims(``)),
		"another algorithm":    p.named(`{"alg":"PS256"}`, claims(``)),
		"algorithm twice":      p.named(`{"alg":"none","alg":"HS256"}`, claims(``)),
		"crit":                 p.named(`{"alg":"HS256","crit":["exp"],"exp":1}`, claims(``)),
		"crit known elsewhere": p.named(`{"alg":"HS256","crit":["b64"],"b64":true}`, claims(``)),
		"empty crit":           p.named(`{"alg":"HS256","crit":[]}`, claims(``)),
		"null crit":            p.named(`{"alg":"HS256","crit":null}`, claims(``)),
		"b64 without crit":     p.named(`{"alg":"HS256","b64":false}`, claims(``)),
		"embedded secret":      p.named(`{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`, claims(``)),
		"header no JSON":       p.named(`alg`, claims(``)),
		"header a list":        p.named(`["HS256"]`, claims(``)),
		"header twice":         p.sign(p.header()+p.header(), claims(``)),
		"type as number":       p.named(`{"alg":"HS256","typ":1}`, claims(``)),
		"kid as number":        p.named(`{"alg":"HS256","kid":1}`, claims(``)),
		"kid as list":          p.named(`{"alg":"HS256","kid":["`+p.kid+`"]}`, claims(``)),
		"null kid":             p.named(`{"alg":"HS256","kid":null}`, claims(``)),
		"kid twice":            p.named(`{"alg":"HS256","kid":"canary","kid":"`+p.kid+`"}`, claims(``)),
		"canary twice":         p.named(`{"alg":"HS256","canary":1,"canary":2}`, claims(``)),
		"algorithm of no kind": p.named(`{"alg":"canary"}`, claims(``)),
	}
}

// badPayloads are signed well too.
func badPayloads(p *pen) map[string]string {
	bad := map[string]string{
		"payload no JSON":  p.sign(p.header(), `alice`),
		"payload a list":   p.sign(p.header(), `[]`),
		"payload a string": p.sign(p.header(), `"alice"`),
		"payload null":     p.sign(p.header(), `null`),
		"payload empty":    p.sign(p.header(), ``),
		"trailing bytes":   p.sign(p.header(), claims(``)+"x"),
		"cut":              p.sign(p.header(), `{"sub":"alice","exp":1700000600`),
		"deep":             p.sign(p.header(), claims(`,"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100))),
		"bad UTF-8":        p.sign(p.header(), claims(`,"name":"`+"\xff"+`"`)),
		"lone surrogate":   p.sign(p.header(), claims(`,"name":"\ud800"`)),
		"sub twice":        p.sign(p.header(), claims(`,"sub":"bob"`)),
		"exp twice":        p.sign(p.header(), claims(`,"exp":9999999999`)),
		"unknown twice":    p.sign(p.header(), claims(`,"x":1,"x":2`)),
		"escaped twice":    p.sign(p.header(), claims(`,"\u0073ub":"bob"`)),
	}
	for name, more := range map[string]string{
		"unknown role": `"role":"root"`, "empty role's case": `"role":"Admin"`, "role as list": `"role":["admin"]`, "role as number": `"role":1`,
		"name as number": `"name":5`, "name as object": `"name":{}`, "name too long": `"name":"` + strings.Repeat("é", 201) + `"`, "name with NUL": `"name":"a\u0000"`,
		"avatar no URL": `"avatar":"me"`, "avatar a script": `"avatar":"javascript:alert(1)"`, "avatar as list": `"avatar":[]`,
		"avatar too long": `"avatar":"https://a.example/` + strings.Repeat("x", 2<<10) + `"`,
		"nbf too late":    `"nbf":1700000061`, "nbf as string": `"nbf":"1700000000"`, "nbf negative": `"nbf":-1`,
		"aud as number": `"aud":5`, "aud as object": `"aud":{"canary":1}`, "aud as list of numbers": `"aud":[1]`, "aud as boolean": `"aud":true`,
		"iss as number": `"iss":5`, "iss as list": `"iss":["https://issuer.example"]`,
		"canary name": `"canary":1,"canary":2`, "canary role": `"role":"canary"`, "canary avatar": `"avatar":"canary"`, "canary exp": `"nbf":"canary"`,
		"iat in the future": `"iat":1700000061`, "iat as string": `"iat":"x"`, "iat in milliseconds": `"iat":1700000000000`, "iat as boolean": `"iat":true`,
	} {
		bad[name] = p.sign(p.header(), claims(","+more))
	}
	for name, payload := range map[string]string{
		"no exp": `{"sub":"alice"}`, "null exp": `{"sub":"alice","exp":null}`, "exp as string": `{"sub":"alice","exp":"1700000600"}`,
		"expired now": `{"sub":"alice","exp":1700000000}`, "exp as boolean": `{"sub":"alice","exp":true}`, "exp as list": `{"sub":"alice","exp":[1700000600]}`,
		"expired within the skew": `{"sub":"alice","exp":1699999990}`, "exp 0": `{"sub":"alice","exp":0}`,
		"exp negative": `{"sub":"alice","exp":-1700000600}`, "exp huge": `{"sub":"alice","exp":1e400}`, "exp in milliseconds": `{"sub":"alice","exp":1700000600000}`,
		"exp as date": `{"sub":"alice","exp":"2030-01-01T00:00:00Z"}`, "exp's case": `{"sub":"alice","Exp":1700000600}`,
		"no sub": `{"exp":1700000600}`, "null sub": `{"sub":null,"exp":1700000600}`, "empty sub": `{"sub":"","exp":1700000600}`,
		"sub as number": `{"sub":5,"exp":1700000600}`, "sub as list": `{"sub":["alice"],"exp":1700000600}`, "sub with space": `{"sub":"a b","exp":1700000600}`,
		"sub with slash": `{"sub":"a/b","exp":1700000600}`, "sub in Unicode": `{"sub":"ålice","exp":1700000600}`, "sub with NUL": `{"sub":"a\u0000","exp":1700000600}`,
		"sub with bar": `{"sub":"a|b","exp":1700000600}`, "sub with line break": `{"sub":"alice\n","exp":1700000600}`,
		"long sub": `{"sub":"` + strings.Repeat("u", 129) + `","exp":1700000600}`, "sub's case": `{"Sub":"alice","exp":1700000600}`,
	} {
		bad[name] = p.sign(p.header(), payload)
	}
	return bad
}

func TestVerifyRefuses(t *testing.T) {
	byHand := secretPen(secret)
	pens := []*pen{rsaPen(t, "r1", 2048), ecPen(t, "e1"), edPen(t, "d1")}
	issuer := published(t, pens...)
	both := newVerifier(t, auth.VerifierOptions{Secret: []byte(secret), Issuer: issuer})
	verifiers := map[*pen]map[string]*auth.Verifier{byHand: {"secret": trustingSecret(t), "both": both}}
	for _, p := range pens {
		verifiers[p] = map[string]*auth.Verifier{"issuer": newVerifier(t, auth.VerifierOptions{Issuer: issuer}), "both": both}
	}
	for p, accepting := range verifiers {
		bad := badForms(p)
		maps.Copy(bad, badSignatures(t, p))
		maps.Copy(bad, badHeaders(p))
		maps.Copy(bad, badPayloads(p))
		if len(bad) < 130 {
			t.Errorf("%s: only %d bad tokens are left", p.alg, len(bad))
		}
		for trust, verifier := range accepting {
			if _, err := verifier.Verify(t.Context(), p.sign(p.header(), claims(``))); err != nil {
				t.Errorf("%s, %s: the good one is refused: %v", p.alg, trust, err)
			}
			for name, token := range bad {
				id, err := verifier.Verify(t.Context(), token)
				refusal(t, fmt.Sprintf("%s, %s, %s", p.alg, trust, name), token, id, err)
			}
		}
	}
	for _, p := range pens {
		token := p.sign(p.header(), claims(``))
		id, err := trustingSecret(t).Verify(t.Context(), token)
		refusal(t, p.alg+" where only the secret counts", token, id, err)
	}
	token := byHand.sign(byHand.header(), claims(``))
	id, err := newVerifier(t, auth.VerifierOptions{Issuer: issuer}).Verify(t.Context(), token)
	refusal(t, "the secret where only the issuer counts", token, id, err)
}

// refusal checks that a token was refused, with nothing of it in the error.
func refusal(t *testing.T, name, token string, id *auth.Identity, err error) {
	t.Helper()
	var e *protocol.Error
	switch {
	case id != nil || err == nil:
		t.Errorf("%s: accepted as %+v", name, id)
		return
	case !errors.As(err, &e) || e.Code != protocol.Unauthenticated || e.Message == "":
		t.Errorf("%s: %v is no unauthenticated", name, err)
	}
	for _, secret := range append(strings.Split(token, "."), secret, "canary") {
		if len(secret) > 5 && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %q is in %v", name, secret, err)
		}
	}
}

func TestTerms(t *testing.T) {
	p := edPen(t, "d1")
	issuer := published(t, p)
	terms := auth.Terms{Issuer: "https://issuer.example", Audience: []string{"chat", "chat-staging"}}
	verifiers := map[*pen]*auth.Verifier{
		p:                 newVerifier(t, auth.VerifierOptions{Issuer: issuer, Terms: terms}),
		secretPen(secret): newVerifier(t, auth.VerifierOptions{Secret: []byte(secret), Terms: terms}),
	}
	for p, verifier := range verifiers {
		for _, good := range []string{
			`,"iss":"https://issuer.example","aud":"chat"`, `,"iss":"https://issuer.example","aud":["chat"]`, `,"iss":"https://issuer.example","aud":["x","chat-staging"]`,
		} {
			if _, err := verifier.Verify(t.Context(), p.sign(p.header(), claims(good))); err != nil {
				t.Errorf("%s, %s: %v", p.alg, good, err)
			}
		}
		for _, bad := range []string{
			``, `,"iss":"https://issuer.example"`, `,"aud":"chat"`, `,"iss":"","aud":"chat"`, `,"iss":null,"aud":"chat"`, `,"iss":"https://issuer.example/","aud":"chat"`,
			`,"iss":"HTTPS://issuer.example","aud":"chat"`, `,"iss":"http://issuer.example","aud":"chat"`, `,"iss":"https://issuer.example.evil","aud":"chat"`,
			`,"iss":"https://issuer.example","aud":""`, `,"iss":"https://issuer.example","aud":[]`, `,"iss":"https://issuer.example","aud":null`,
			`,"iss":"https://issuer.example","aud":"Chat"`, `,"iss":"https://issuer.example","aud":"chat "`, `,"iss":"https://issuer.example","aud":"chat,chat-staging"`,
			`,"iss":"https://issuer.example","aud":["x"]`, `,"iss":"https://issuer.example","aud":[["chat"]]`, `,"iss":"https://issuer.example","aud":{"chat":"chat"}`,
			`,"iss":["https://issuer.example"],"aud":"chat"`, `,"iss":"https://issuer.example","aud":"x","aud":"chat"`,
		} {
			token := p.sign(p.header(), claims(bad))
			id, err := verifier.Verify(t.Context(), token)
			refusal(t, p.alg+bad, token, id, err)
		}
	}
	signer, err := auth.NewSigner([]byte(secret), terms, now)
	if err != nil {
		t.Fatal(err)
	}
	for p, verifier := range verifiers {
		if p.alg != "HS256" {
			continue
		}
		token, err := signer.Sign(auth.Claims{User: "alice", TTL: 60e9})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifier.Verify(t.Context(), token); err != nil {
			t.Errorf("a token that the server signs itself: %v", err)
		}
	}
}
