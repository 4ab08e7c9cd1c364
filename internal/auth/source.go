package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	maxSetBytes = 1 << 20

	filePoll     = 5 * time.Second // a file is read again so often: it is small, and a change counts soon
	filePatience = time.Second

	freshDefault = 10 * time.Minute // of a URL that does not say
	freshLeast   = time.Minute
	freshMost    = time.Hour
	urlRetry     = time.Minute
	urlPatience  = 30 * time.Second
)

// Get reads a document of another server: all of it, at most 1 MiB and for no longer than 10 s, or an error. maxAge is for how long the server says that it
// may be kept, negative when it does not say.
type Get func(ctx context.Context, url string) (body []byte, maxAge time.Duration, err error)

// source is where a key set is read.
type source struct {
	read     func(ctx context.Context) (text []byte, fresh time.Duration, err error)
	retry    time.Duration // after failures, at the most
	patience time.Duration // between two readings that tokens cause
}

func newSource(o KeySetOptions) (source, error) {
	switch {
	case o.JWKS != "" && !strings.Contains(o.JWKS, "://"):
		return source{readFile(o.JWKS), filePoll, filePatience}, nil
	case o.JWKS != "":
		return source{readURL(o.Get, o.JWKS), urlRetry, urlPatience}, checkSecure(o.JWKS)
	}
	return source{discover(o.Get, o.Issuer), urlRetry, urlPatience}, checkSecure(o.Issuer)
}

// checkSecure refuses a URL from which anyone on the way could put keys of their own among the issuer's.
func checkSecure(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("the issuer's URL is not a URL such as https://issuer.example.com/jwks.json")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("keys of %s would come over an open connection: its URL must be https", u.Hostname())
}

func readFile(path string) func(context.Context) ([]byte, time.Duration, error) {
	return func(context.Context) ([]byte, time.Duration, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, 0, err
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxSetBytes+1))
		if err == nil && len(text) > maxSetBytes {
			err = fmt.Errorf("%s is over %d bytes", path, maxSetBytes)
		}
		return text, filePoll, err
	}
}

func readURL(get Get, address string) func(context.Context) ([]byte, time.Duration, error) {
	return func(ctx context.Context) ([]byte, time.Duration, error) {
		text, maxAge, err := get(ctx, address)
		if maxAge < 0 {
			maxAge = freshDefault
		}
		return text, min(max(maxAge, freshLeast), freshMost), err
	}
}

// discover finds the keys by OpenID Connect Discovery: the issuer's own document names their URL.
func discover(get Get, issuer string) func(context.Context) ([]byte, time.Duration, error) {
	return func(ctx context.Context) ([]byte, time.Duration, error) {
		text, _, err := get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			return nil, 0, err
		}
		var document struct {
			Issuer string `json:"issuer"`
			JWKS   string `json:"jwks_uri"`
		}
		if json.Unmarshal(text, &document) != nil {
			return nil, 0, errors.New("the issuer's discovery document is not JSON")
		}
		if document.Issuer != issuer {
			return nil, 0, errors.New("the issuer's discovery document speaks of another issuer than auth.issuer")
		}
		if err := checkSecure(document.JWKS); err != nil {
			return nil, 0, err
		}
		return readURL(get, document.JWKS)(ctx)
	}
}
