// Package egress is the one way by which the server asks other servers for something whose address somebody else may have chosen: an issuer's keys,
// and whatever follows.
//
// The rule is kept where the connection is made, on the address that a name has led to: it may not be the server's own machine, its network, or any
// other range that is not the public internet, unless the operator has opened it. What a name meant when it was looked at does not matter, so a
// resolver that changes its mind gains nothing. Redirects are not followed, proxies of the environment are not used, answers are bounded in size and
// time, and errors tell what was asked for and never what was found there.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	maxBody   = 1 << 20
	maxHeader = 64 << 10
	timeout   = 10 * time.Second // from the name's lookup to the last byte
)

// ErrRefused is wrapped by errors about URLs and addresses that requests may not go to.
var ErrRefused = errors.New("requests may not go there")

// Options say what else than the public internet may be reached.
type Options struct {
	Allow    []netip.Prefix // reachable on any port, whatever kind of range it is
	Roots    *x509.CertPool // the authorities that are trusted; nil: the system's
	Resolver *net.Resolver  // nil: the system's
}

// Client makes guarded requests. It may be used by many goroutines at once.
type Client struct {
	http  *http.Client
	rules rules
}

// Response is an answer, whole.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// MaxAge is for how long the answer may be kept by its Cache-Control; negative when that does not say.
func (r *Response) MaxAge() time.Duration {
	age := time.Duration(-1)
	for directive := range strings.SplitSeq(strings.Join(r.Header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return age
}

// New makes a client. Close it when it is not used any more.
func New(o Options) *Client {
	c := &Client{rules: rules{allow: o.Allow, ports: []uint16{80, 443}}}
	dialer := &net.Dialer{Timeout: timeout, Resolver: o.Resolver, Control: c.control}
	c.http = &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would make the connection, unguarded
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    timeout,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true, // so that the bound holds for what is read
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Close ends connections that are kept for later requests.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// control is called for every address that a name has led to, before anything is sent to it.
func (c *Client) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !c.rules.permit(to) {
		return ErrRefused
	}
	return nil
}

// Get reads a document with GET. An answer that is a redirect, or any other than 200, is an error.
func (c *Client) Get(ctx context.Context, address string) (*Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", ErrRefused) // what is wrong in it may be a secret
	}
	response, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	if response.Status != http.StatusOK {
		return nil, fmt.Errorf("%s answered with status %d", r.URL.Hostname(), response.Status)
	}
	return response, nil
}

// Do carries out a request, whose URL is http or https and names no user, and reads the answer, at most 1 MiB in 10 s.
func (c *Client) Do(r *http.Request) (*Response, error) {
	if err := checkURL(r.URL); err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, failure(r.URL, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err != nil {
		return nil, failure(r.URL, err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("the answer of %s is over %d bytes", r.URL.Hostname(), maxBody)
	}
	return &Response{Status: answer.StatusCode, Header: answer.Header, Body: body}, nil
}

func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%w: a URL begins with https:// or http://", ErrRefused)
	case u.User != nil:
		return fmt.Errorf("%w: a URL may not hold a user or a password", ErrRefused)
	case u.Hostname() == "":
		return fmt.Errorf("%w: the URL names no host", ErrRefused)
	}
	return nil
}

// failure says what became of a request without the rest of its URL, which may be secret, and without the addresses and answers that were found, which
// are not the business of whoever chose the URL.
func failure(u *url.URL, err error) error {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	host := u.Hostname()
	switch {
	case errors.Is(err, ErrRefused):
		return fmt.Errorf("%w: %s leads to an address or a port that is not of the public internet, and that egress.allow does not open", ErrRefused, host)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("asking %s: %w", host, context.Canceled)
	case errors.As(err, &certificate):
		return fmt.Errorf("the certificate of %s is not trusted", host)
	case errors.As(err, &name):
		return fmt.Errorf("the name %s does not resolve", host)
	case isTimeout(err):
		return fmt.Errorf("%s did not answer within %v", host, timeout)
	}
	return fmt.Errorf("%s cannot be asked", host)
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timed) && timed.Timeout()
}
