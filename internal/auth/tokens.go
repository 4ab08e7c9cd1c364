package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

const (
	// MaxTokenBytes is the longest token that is looked at (§3).
	MaxTokenBytes = 8 << 10

	// skew is how far the clock of the one who signs may be ahead (§3). It does not lengthen a token's life.
	skew = 60 * time.Second

	// maxDate is the end of the year 9999 in Unix seconds: the last that RFC 3339 can tell. A time in milliseconds is beyond it.
	maxDate = 253402300799
)

// Identity is whom a good token stands for.
type Identity struct {
	User      string
	Name      *string            // overwrites the profile; nil when the token says nothing
	Avatar    *string            // likewise
	Role      protocol.TokenRole // protocol.TokenUser when the token says nothing
	IssuedAt  int64              // iat in Unix seconds, 0 when the token says nothing
	ExpiresAt protocol.Time      // from this moment on the token is refused
}

// Claims are what a token shall say.
type Claims struct {
	User   string
	Name   *string
	Avatar *string
	Role   protocol.TokenRole // "" is protocol.TokenUser
	TTL    time.Duration      // more than 0; the end of the token's life is put up to the next whole second
}

// Tokens makes and checks tokens: JWTs signed with the deployment's secret (HS256). It may be used by many goroutines at once.
type Tokens struct {
	secret []byte
	signer jose.Signer
	now    func() time.Time
}

// NewTokens takes the deployment's secret of at least MinSecretBytes, which must not be changed afterwards.
func NewTokens(secret []byte, now func() time.Time) (*Tokens, error) {
	if err := checkSecret(secret); err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("prepare to sign tokens: %w", err)
	}
	return &Tokens{secret: secret, signer: signer, now: now}, nil
}

// payload is what the protocol says about a token's content. Other claims are ignored; null is the same as absent.
type payload struct {
	Subject   string             `json:"sub"`
	Expires   *float64           `json:"exp,omitzero"`
	NotBefore *float64           `json:"nbf,omitzero"`
	IssuedAt  *float64           `json:"iat,omitzero"`
	Name      *string            `json:"name,omitzero"`
	Avatar    *string            `json:"avatar,omitzero"`
	Role      protocol.TokenRole `json:"role,omitzero"`
}

// header is what is looked at in a token's header, besides the algorithm, which the library compares with the one that is allowed.
type header struct {
	Type     string       `json:"typ"`
	Critical protocol.Raw `json:"crit"`
}

// Sign makes a token. The error says which claim is not good.
func (t *Tokens) Sign(c Claims) (string, error) {
	now := t.now()
	if c.TTL <= 0 {
		return "", errors.New("a token must live for more than no time")
	}
	issued := float64(now.Unix())
	expires := math.Ceil(float64(now.Add(c.TTL).UnixMilli()) / 1000)
	p := payload{Subject: c.User, Expires: &expires, IssuedAt: &issued, Name: c.Name, Avatar: c.Avatar, Role: c.Role}
	if _, err := p.identity(now); err != nil {
		return "", err
	}
	text, err := json.Marshal(&p)
	if err != nil {
		return "", fmt.Errorf("write the token: %w", err)
	}
	signed, err := t.signer.Sign(text)
	if err != nil {
		return "", fmt.Errorf("sign the token: %w", err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("write the token: %w", err)
	}
	if len(token) > MaxTokenBytes {
		return "", errTooLong
	}
	return token, nil
}

var (
	errTooLong   = unauthenticated("The token is longer than 8 KiB.")
	errNoToken   = unauthenticated("There is no token.")
	errForm      = unauthenticated("The token is not a JWT: three parts in base64url, separated by dots.")
	errAlgorithm = unauthenticated("The token is not signed with HS256, which is what this server accepts.")
	errCritical  = unauthenticated("The token's header demands an extension (crit), and none is supported.")
	errSignature = unauthenticated("The token is not signed with this server's secret.")
)

// unauthenticated is the one kind of refusal here. What it says may be told to the caller.
func unauthenticated(format string, args ...any) *protocol.Error {
	return protocol.Errorf(protocol.Unauthenticated, "", format, args...)
}

// Verify checks a token's form, signature, times and claims (§3). An error is a *protocol.Error: unauthenticated. It does not look for revocations;
// [Gate.Token] does.
func (t *Tokens) Verify(token string) (*Identity, error) {
	if err := checkForm(token); err != nil {
		return nil, err
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.HS256})
	if unexpected := new(jose.ErrUnexpectedSignatureAlgorithm); errors.As(err, &unexpected) {
		return nil, errAlgorithm
	}
	if err != nil {
		return nil, errForm
	}
	text, err := signed.Verify(t.secret)
	if err != nil {
		return nil, errSignature
	}
	var p payload
	if e := protocol.DecodeParams(text, &p); e != nil {
		return nil, unauthenticated("The token's claims cannot be read: %s.", e.Message)
	}
	id, err := p.identity(t.now())
	if err != nil {
		return nil, err
	}
	return id, nil
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
		return unauthenticated("The token's header cannot be read: %s.", e.Message)
	case len(h.Critical) > 0:
		return errCritical
	}
	return nil
}

// identity checks the claims.
func (p *payload) identity(now time.Time) (*Identity, error) {
	id := &Identity{User: p.Subject, Name: p.Name, Avatar: p.Avatar, Role: p.Role}
	if !protocol.ValidUser(p.Subject) {
		return nil, unauthenticated("The token's sub must be a user id: 1 to %d of A-Z a-z 0-9 _ - . : @", protocol.MaxUserBytes)
	}
	switch p.Role {
	case "":
		id.Role = protocol.TokenUser
	case protocol.TokenUser, protocol.TokenModerator, protocol.TokenAdmin:
	default:
		return nil, unauthenticated("The token's role must be user, moderator or admin.")
	}
	if err := p.checkTimes(now); err != nil {
		return nil, err
	}
	if e := p.profile().Check(); e != nil {
		return nil, unauthenticated("The token's %s", e.Message)
	}
	id.ExpiresAt = protocol.Time(math.Floor(*p.Expires * 1000))
	if p.IssuedAt != nil {
		id.IssuedAt = int64(*p.IssuedAt)
	}
	return id, nil
}

// profile is the token's profile as a call that would set it: the same bounds hold.
func (p *payload) profile() *protocol.UserUpdateParams {
	u := new(protocol.UserUpdateParams)
	if p.Name != nil {
		u.Name = protocol.Some(*p.Name)
	}
	if p.Avatar != nil {
		u.Avatar = protocol.Some(*p.Avatar)
	}
	return u
}

func (p *payload) checkTimes(now time.Time) error {
	if p.Expires == nil {
		return unauthenticated("The token has no exp: it must end at some time.")
	}
	for name, date := range map[string]*float64{"exp": p.Expires, "nbf": p.NotBefore, "iat": p.IssuedAt} {
		if date != nil && (*date < 0 || *date > maxDate) {
			return unauthenticated("The token's %s must be a time in seconds since 1970.", name)
		}
	}
	present, soon := float64(now.UnixMilli())/1000, float64(now.Add(skew).UnixMilli())/1000
	switch {
	case *p.Expires <= present:
		return unauthenticated("The token has expired.")
	case p.NotBefore != nil && *p.NotBefore > soon:
		return unauthenticated("The token is not valid yet (nbf).")
	case p.IssuedAt != nil && *p.IssuedAt > soon:
		return unauthenticated("The token was issued in the future (iat): are the clocks right?")
	}
	return nil
}
