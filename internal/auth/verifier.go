package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/parley-im/parley/protocol"
)

// MaxTokenBytes is the longest token that is looked at (§3).
const MaxTokenBytes = 8 << 10

// VerifierOptions say whose signatures count.
type VerifierOptions struct {
	Secret []byte  // tokens signed with it (HS256) are good; nil: none are
	Issuer *KeySet // tokens signed with one of its keys are good; nil: none are
	Terms  Terms   // of both
	Now    func() time.Time
}

// Verifier checks tokens. It may be used by many goroutines at once.
//
// The algorithm that a token names only chooses among those that the configuration accepts, and each of them has keys of its own kind: HS256 the
// deployment's secret, the others the issuer's keys of their type. So a public key is never a secret, and no key is used in two ways. Keys that a token
// names or brings (jku, x5u, jwk) are not looked at.
type Verifier struct {
	secret  []byte
	issuer  *KeySet
	accepts []jose.SignatureAlgorithm
	terms   Terms
	now     func() time.Time

	errAlgorithm error
}

// NewVerifier makes a verifier. A secret must have at least MinSecretBytes.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	v := &Verifier{secret: o.Secret, issuer: o.Issuer, terms: o.Terms, now: o.Now}
	if o.Issuer != nil {
		v.accepts = slices.Clone(o.Issuer.algorithms)
	}
	if o.Secret != nil {
		if err := checkSecret(o.Secret); err != nil {
			return nil, err
		}
		v.accepts = append(v.accepts, jose.HS256)
	}
	names := make([]string, len(v.accepts))
	for i, algorithm := range v.accepts {
		names[i] = string(algorithm)
	}
	v.errAlgorithm = unauthenticated("The token is not signed with an algorithm that this server accepts: %s.", strings.Join(names, ", "))
	return v, nil
}

// header is what is looked at in a token's header, besides the algorithm.
type header struct {
	Type     string       `json:"typ"`
	KeyID    protocol.Raw `json:"kid"`
	Critical protocol.Raw `json:"crit"`
}

var (
	errTooLong   = unauthenticated("The token is longer than 8 KiB.")
	errNoToken   = unauthenticated("There is no token.")
	errForm      = unauthenticated("The token is not a JWT: three parts in base64url, separated by dots.")
	errHeader    = unauthenticated("The token's header cannot be read: it must be one JSON object that names nothing twice.")
	errKeyID     = unauthenticated("The token's kid must be a text.")
	errCritical  = unauthenticated("The token's header demands an extension (crit), and none is supported.")
	errClaims    = unauthenticated("The token's claims cannot be read: they must be one JSON object that names nothing twice.")
	errSignature = unauthenticated("The token's signature is not good: it is not signed with a key that this server trusts.")
)

// unauthenticated is the one kind of refusal here. What it says may be told to the caller, and repeats nothing of the credential.
func unauthenticated(format string, args ...any) *protocol.Error {
	return protocol.Errorf(protocol.Unauthenticated, "", format, args...)
}

// Verify checks a token's form, signature, times and claims (§3). An error is a *protocol.Error: unauthenticated, or unavailable while the issuer's keys have
// never been read. It blocks while they are read for the first time, or anew because of a key that is not known. It does not look for revocations;
// [Gate.Token] does.
func (v *Verifier) Verify(ctx context.Context, token string) (*Identity, error) {
	if err := checkForm(token); err != nil {
		return nil, err
	}
	signed, err := jose.ParseSignedCompact(token, v.accepts)
	if unexpected := new(jose.ErrUnexpectedSignatureAlgorithm); errors.As(err, &unexpected) {
		return nil, v.errAlgorithm
	}
	if err != nil {
		return nil, errForm
	}
	text, err := v.open(ctx, signed)
	if err != nil {
		return nil, err
	}
	p, err := readPayload(text)
	if err != nil {
		return nil, err
	}
	if err := p.checkTerms(v.terms); err != nil {
		return nil, err
	}
	return p.identity(v.now())
}

// open checks the signature with the keys of the algorithm's kind and returns what was signed.
func (v *Verifier) open(ctx context.Context, signed *jose.JSONWebSignature) ([]byte, error) {
	header := signed.Signatures[0].Header
	if header.Algorithm == string(jose.HS256) {
		text, err := signed.Verify(v.secret)
		if err != nil {
			return nil, errSignature
		}
		return text, nil
	}
	keys, err := v.issuer.known(ctx)
	if err != nil {
		return nil, err
	}
	text, ok := keys.open(signed, header)
	if !ok && !keys.has(header) {
		if keys = v.issuer.renewed(ctx, keys); keys != nil {
			text, ok = keys.open(signed, header)
		}
	}
	if !ok {
		return nil, errSignature
	}
	return text, nil
}

// checkForm looks at everything that can be refused before the signature is computed. It is stricter than the library, which would take line breaks
// within base64, and a last letter with bits that mean nothing: a token has one spelling.
func checkForm(token string) error {
	switch {
	case token == "":
		return errNoToken
	case len(token) > MaxTokenBytes:
		return errTooLong
	case strings.ContainsAny(token, "\r\n"):
		return errForm
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errForm
	}
	var first []byte
	for i, part := range parts {
		text, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return errForm
		}
		if i == 0 {
			first = text
		}
	}
	var h header
	switch e := protocol.DecodeParams(first, &h); {
	case e != nil:
		return errHeader
	case len(h.Critical) > 0:
		return errCritical
	case len(h.KeyID) > 0 && h.KeyID[0] != '"':
		return errKeyID
	}
	return nil
}
