package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/egress"
)

// openTrust prepares whose tokens are good: those signed with the deployment's secret, those of the configured issuer, or both. Only a server whose issuer
// cannot be what is meant does not start; one that cannot be reached may come back.
func (a *App) openTrust(secret []byte) (*auth.Signer, *auth.Verifier, error) {
	cfg := a.cfg.Auth
	o := auth.VerifierOptions{Terms: auth.Terms{Issuer: cfg.Issuer, Audience: cfg.Audience}, Now: time.Now}
	var err error
	if cfg.JWKS != "" || cfg.Issuer != "" {
		if a.egress, err = a.openEgress(); err != nil {
			return nil, nil, err
		}
		a.issuer, err = auth.NewKeySet(auth.KeySetOptions{JWKS: cfg.JWKS, Issuer: cfg.Issuer, Algorithms: cfg.Algorithms, Get: a.get, Log: a.log})
		if err != nil {
			return nil, nil, err
		}
		if len(cfg.Audience) == 0 {
			a.log.Warn("auth.audience is not set: a token that the issuer made for any other service is good here too")
		}
	}
	o.Issuer = a.issuer
	if a.issuer == nil || cfg.SecretTokens || a.cfg.Dev { // development mode signs tokens itself
		o.Secret = secret
	}
	verifier, err := auth.NewVerifier(o)
	if err != nil {
		return nil, nil, err
	}
	signer, err := auth.NewSigner(secret, o.Terms, time.Now)
	return signer, verifier, err
}

// openEgress prepares requests to other servers.
func (a *App) openEgress() (*egress.Client, error) {
	var o egress.Options
	for _, text := range a.cfg.Egress.Allow {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("egress.allow: %w", err)
		}
		o.Allow = append(o.Allow, prefix)
	}
	if file := a.cfg.Egress.CAFile; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("egress.ca_file: %w", err)
		}
		if o.Roots, err = x509.SystemCertPool(); err != nil {
			o.Roots = x509.NewCertPool() // a system without any
		}
		if !o.Roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("egress.ca_file: %s holds no certificate in PEM", file)
		}
	}
	return egress.New(o), nil
}

// get implements auth.Get.
func (a *App) get(ctx context.Context, url string) (body []byte, maxAge time.Duration, err error) {
	r, err := a.egress.Get(ctx, url)
	if err != nil {
		return nil, 0, err
	}
	return r.Body, r.MaxAge(), nil
}
