package auth

import (
	"math"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

const (
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

// Terms are what every token must say besides whom it stands for.
type Terms struct {
	Issuer   string   // its iss is exactly this; "": its iss does not matter
	Audience []string // its aud names one of these; empty: its aud does not matter
}

// payload is what the protocol says about a token's content. Other claims are ignored; null is the same as absent.
type payload struct {
	Subject   string             `json:"sub"`
	Issuer    *string            `json:"iss,omitzero"`
	Audience  protocol.Raw       `json:"aud,omitzero"` // a text, or a list of texts
	Expires   *float64           `json:"exp,omitzero"`
	NotBefore *float64           `json:"nbf,omitzero"`
	IssuedAt  *float64           `json:"iat,omitzero"`
	Name      *string            `json:"name,omitzero"`
	Avatar    *string            `json:"avatar,omitzero"`
	Role      protocol.TokenRole `json:"role,omitzero"`
}

// readPayload decodes claims. What the error says is ours: nothing of the token is repeated.
func readPayload(text []byte) (*payload, error) {
	p := new(payload)
	if e := protocol.DecodeParams(text, p); e != nil {
		switch e.Field {
		case "sub", "iss", "aud", "exp", "nbf", "iat", "name", "avatar", "role":
			return nil, unauthenticated("The token's %s is not of the right type, or stands twice.", e.Field)
		}
		return nil, errClaims
	}
	return p, nil
}

// checkTerms checks who issued the token, and for whom.
func (p *payload) checkTerms(terms Terms) error {
	audience, err := p.audience()
	wanted := func(name string) bool { return slices.Contains(terms.Audience, name) }
	switch {
	case err != nil:
		return err
	case terms.Issuer != "" && (p.Issuer == nil || *p.Issuer != terms.Issuer):
		return unauthenticated("The token's iss is not the issuer that this server trusts.")
	case len(terms.Audience) > 0 && !slices.ContainsFunc(audience, wanted):
		return unauthenticated("The token's aud does not name this server.")
	}
	return nil
}

func (p *payload) audience() (names []string, err error) {
	switch {
	case len(p.Audience) == 0:
		return nil, nil
	case p.Audience[0] == '"':
		names = make([]string, 1)
		err = json.Unmarshal(p.Audience, &names[0])
	default: // null is none
		err = json.Unmarshal(p.Audience, &names)
	}
	if err != nil {
		return nil, unauthenticated("The token's aud must be a text, or a list of texts.")
	}
	return names, nil
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
