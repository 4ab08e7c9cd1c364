package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

const (
	maxKeys    = 100  // of a set
	maxTried   = 10   // keys that one signature is checked with
	minRSABits = 2048 // of a key that counts
	maxRSABits = 8192

	firstRetry = 5 * time.Second // after a reading failed; each further failure doubles it
)

// KeySetOptions say where an issuer publishes its keys.
type KeySetOptions struct {
	JWKS       string   // a file or a URL; "": what the issuer's discovery document names
	Issuer     string   // the issuer's URL; looked at only without JWKS
	Algorithms []string // that its tokens may be signed with: RS256, ES256, EdDSA
	Get        Get
	Log        *slog.Logger
}

// KeySet is the public keys of an issuer, as they were when last read. They are read anew when their time has come, and when a token names a key that is
// not among them; while that fails the last good ones stand. It may be used by many goroutines at once.
type KeySet struct {
	source     source
	algorithms []jose.SignatureAlgorithm
	log        *slog.Logger
	wanted     chan struct{} // capacity 1: a reading is wanted before its time

	mu      sync.Mutex    // guards the rest; not held while the source is read
	current *keys         // nil until the source has been read
	reading chan struct{} // closed at the end of the reading that is wanted or under way; nil when there is none
	askedAt time.Time     // when a token last had the source read
}

// NewKeySet makes a set that knows no key until Run reads them. An error says which option cannot be used.
func NewKeySet(o KeySetOptions) (*KeySet, error) {
	source, err := newSource(o)
	if err != nil {
		return nil, err
	}
	s := &KeySet{source: source, log: o.Log, wanted: make(chan struct{}, 1), reading: make(chan struct{})}
	for _, name := range o.Algorithms {
		algorithm := jose.SignatureAlgorithm(name)
		if !slices.Contains([]jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}, algorithm) {
			return nil, fmt.Errorf("tokens of an issuer cannot be signed with %q: only with RS256, ES256 or EdDSA", name)
		}
		s.algorithms = append(s.algorithms, algorithm)
	}
	if len(s.algorithms) == 0 {
		return nil, errors.New("an issuer needs at least one algorithm: RS256, ES256 or EdDSA")
	}
	return s, nil
}

// Run reads the keys, again and again, until ctx ends. It is called once.
func (s *KeySet) Run(ctx context.Context) {
	failures, told := 0, ""
	for {
		fresh, err := s.read(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failures, told = 0, ""
		default:
			fresh = min(firstRetry<<min(failures, 10), s.source.retry)
			failures++
			if err.Error() != told { // once is enough
				told = err.Error()
				s.complain(err)
			}
		}
		timer := time.NewTimer(fresh)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.wanted:
		}
		timer.Stop()
	}
}

func (s *KeySet) complain(err error) {
	s.mu.Lock()
	stands := s.current != nil
	s.mu.Unlock()
	if stands {
		s.log.Warn("the issuer's keys cannot be read; those that were read last stand", "error", err)
	} else {
		s.log.Error("the issuer's keys cannot be read: nobody gets in with its tokens until they can", "error", err)
	}
}

// read reads the source once and answers everybody who waits for that. It returns for how long the keys are to be believed.
func (s *KeySet) read(ctx context.Context) (fresh time.Duration, err error) {
	s.mu.Lock()
	if s.reading == nil {
		s.reading = make(chan struct{})
	}
	select {
	case <-s.wanted: // by someone who waits for the reading that begins now
	default:
	}
	s.mu.Unlock()
	text, fresh, err := s.source.read(ctx)
	var next *keys
	if err == nil {
		next, err = parseKeys(text, s.algorithms)
	}
	s.mu.Lock()
	changed := err == nil && (s.current == nil || s.current.text != next.text)
	if changed {
		s.current = next
	}
	close(s.reading)
	s.reading = nil
	s.mu.Unlock()
	if changed {
		s.log.Info("the issuer's keys", "keys", next.count, "not usable", next.unusable)
	}
	return fresh, err
}

var errNoKeys = &protocol.Error{Code: protocol.Unavailable, Message: "The issuer's keys cannot be read just now; try again.", RetryAfterMS: 5000}

// known returns the keys as they were last read. The first reading is waited for; when it has failed the error is unavailable.
func (s *KeySet) known(ctx context.Context) (*keys, error) {
	s.mu.Lock()
	current, reading := s.current, s.reading
	s.mu.Unlock()
	if current == nil && reading != nil {
		current = s.after(ctx, reading)
	}
	if current == nil {
		return nil, errNoKeys
	}
	return current, nil
}

// after returns the keys as they are when the reading has ended, or ctx.
func (s *KeySet) after(ctx context.Context, reading <-chan struct{}) *keys {
	select {
	case <-reading:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// renewed returns keys that are newer than those in which a token's was not found, or nil. All who ask at once share one reading, and tokens cause no other
// for the source's patience: what names keys that never were cannot load the issuer.
func (s *KeySet) renewed(ctx context.Context, old *keys) *keys {
	s.mu.Lock()
	current, reading := s.current, s.reading
	if current == old && reading == nil && time.Since(s.askedAt) >= s.source.patience {
		s.askedAt = time.Now()
		reading = make(chan struct{})
		s.reading = reading
		s.wanted <- struct{}{} // there is room: it is taken out before its reading begins, and no other is wanted until that has ended
	}
	s.mu.Unlock()
	if current == old && reading != nil {
		current = s.after(ctx, reading)
	}
	if current == old {
		return nil
	}
	return current
}

// keys are one state of a set. They are never changed.
type keys struct {
	byAlgorithm map[string][]jose.JSONWebKey
	count       int
	unusable    int
	text        string // as it was read
}

// parseKeys reads a JSON Web Key Set. Keys of other kinds, for other uses, or too weak are left out; a set without any other is an error.
func parseKeys(text []byte, algorithms []jose.SignatureAlgorithm) (*keys, error) {
	var set struct {
		Keys []protocol.Raw `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("what was read is not a JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the set has %d keys; %d are the most", len(set.Keys), maxKeys)
	}
	k := &keys{byAlgorithm: map[string][]jose.JSONWebKey{}, text: string(text)}
	for _, one := range set.Keys {
		key, algorithm, ok := parseKey(one)
		if !ok || !slices.Contains(algorithms, algorithm) {
			k.unusable++
			continue
		}
		k.byAlgorithm[string(algorithm)] = append(k.byAlgorithm[string(algorithm)], key)
		k.count++
	}
	if k.count == 0 {
		return nil, fmt.Errorf("none of the set's %d keys can check signatures of %v", len(set.Keys), algorithms)
	}
	return k, nil
}

// parseKey reads one public key and says which algorithm it is for: its type has exactly one.
func parseKey(text protocol.Raw) (key jose.JSONWebKey, algorithm jose.SignatureAlgorithm, ok bool) {
	var ops struct {
		Operations []string `json:"key_ops"`
	}
	if json.Unmarshal(text, &ops) != nil || key.UnmarshalJSON(text) != nil {
		return key, "", false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		algorithm, ok = jose.RS256, bits >= minRSABits && bits <= maxRSABits
	case *ecdsa.PublicKey:
		algorithm, ok = jose.ES256, public.Curve == elliptic.P256()
	case ed25519.PublicKey:
		algorithm, ok = jose.EdDSA, true
	}
	ok = ok && (key.Use == "" || key.Use == "sig") && (key.Algorithm == "" || key.Algorithm == string(algorithm)) &&
		(len(ops.Operations) == 0 || slices.Contains(ops.Operations, "verify"))
	return key, algorithm, ok
}

// matching are the keys that may have signed a token with this header: those of its algorithm with its kid, or without one all of its algorithm.
func (k *keys) matching(h jose.Header) []jose.JSONWebKey {
	found := k.byAlgorithm[h.Algorithm]
	if h.KeyID != "" {
		found = slices.DeleteFunc(slices.Clone(found), func(key jose.JSONWebKey) bool { return key.KeyID != h.KeyID })
	}
	return found[:min(len(found), maxTried)]
}

// has reports whether the key that the header names is among the keys.
func (k *keys) has(h jose.Header) bool { return h.KeyID != "" && len(k.matching(h)) > 0 }

// open checks a signature with each key that may have made it.
func (k *keys) open(signed *jose.JSONWebSignature, h jose.Header) (text []byte, ok bool) {
	for _, key := range k.matching(h) {
		if text, err := signed.Verify(key.Key); err == nil {
			return text, true
		}
	}
	return nil, false
}
