package auth

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

// Claims are what a token shall say.
type Claims struct {
	User   string
	Name   *string
	Avatar *string
	Role   protocol.TokenRole // "" is protocol.TokenUser
	TTL    time.Duration      // more than 0; the end of the token's life is put up to the next whole second
}

// Signer makes tokens: JWTs signed with the deployment's secret (HS256). It may be used by many goroutines at once.
type Signer struct {
	signer jose.Signer
	terms  Terms
	now    func() time.Time
}

// NewSigner takes the deployment's secret of at least MinSecretBytes, and what its tokens say besides their claims.
func NewSigner(secret []byte, terms Terms, now func() time.Time) (*Signer, error) {
	if err := checkSecret(secret); err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("prepare to sign tokens: %w", err)
	}
	return &Signer{signer: signer, terms: terms, now: now}, nil
}

// Sign makes a token. The error says which claim is not good.
func (s *Signer) Sign(c Claims) (string, error) {
	now := s.now()
	if c.TTL <= 0 {
		return "", errors.New("a token must live for more than no time")
	}
	issued := float64(now.Unix())
	expires := math.Ceil(float64(now.Add(c.TTL).UnixMilli()) / 1000)
	p := payload{Subject: c.User, Expires: &expires, IssuedAt: &issued, Name: c.Name, Avatar: c.Avatar, Role: c.Role}
	if _, err := p.identity(now); err != nil {
		return "", err
	}
	if s.terms.Issuer != "" {
		p.Issuer = &s.terms.Issuer
	}
	if len(s.terms.Audience) > 0 {
		audience, err := json.Marshal(s.terms.Audience)
		if err != nil {
			return "", fmt.Errorf("write the token's aud: %w", err)
		}
		p.Audience = audience
	}
	text, err := json.Marshal(&p)
	if err != nil {
		return "", fmt.Errorf("write the token: %w", err)
	}
	signed, err := s.signer.Sign(text)
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
