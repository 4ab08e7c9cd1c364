package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"syscall"
	"time"
)

// The bounds of what is passed on.
const (
	maxCalls  = 1024
	maxPolls  = 16_384           // a poll waits for up to a minute, and so there are more at a time
	callTime  = 35 * time.Second // a little more than a node takes for a call at the most
	dialTime  = 2 * time.Second
	lookAgain = time.Second // nodes are not read more often because somebody names one that is not known
	drainWait = time.Second // a poll that is passed on by a node that drains waits for no longer
)

// nodeHeader names the node that a request is for: the address that was known of it may have become another's.
const nodeHeader = "Parley-Node"

// passedOn are the headers of a request that the session's node looks at.
var passedOn = [...]string{"Authorization", "Parley-User", "Parley-Session", "Traceparent", "Content-Type"}

func newTransport(identity *Identity) *http.Transport {
	return &http.Transport{
		DialContext:     (&net.Dialer{Timeout: dialTime, KeepAlive: 5 * time.Second}).DialContext,
		TLSClientConfig: identity.config(), ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTime,
		IdleConnTimeout: time.Minute, DisableCompression: true,
		// A machine that has vanished without a word is noticed by what does not come back, while polls wait.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 3 * time.Second, PingTimeout: 2 * time.Second},
	}
}

// Elsewhere reports whether a session is on another node, as far as its id says.
func (c *Cluster) Elsewhere(session string) bool {
	tag := tagOf(session)
	return tag != "" && tag != Tag(c.Self.ID)
}

// errTooMany is the answer of a node that passes on as much as it may.
var errTooMany = errors.New("cluster: too much is being passed on")

// Forward has the node that has a session answer a request about it, whose body has been read, and passes the answer on. The request may wait for so long there,
// besides the time of a call. Found is false when the session's node is gone; an error says that it has not answered, which may change. In both cases nothing was written. When r's
// client goes away, the request ends on the other node too.
func (c *Cluster) Forward(w http.ResponseWriter, r *http.Request, session string, body []byte, wait time.Duration) (found bool, err error) {
	flying, most := &c.calls, int64(maxCalls)
	if wait > 0 {
		flying, most = &c.polls, maxPolls
	}
	defer flying.Add(-1)
	if flying.Add(1) > most {
		c.counters.refused.Add(1)
		return true, errTooMany
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait+callTime)
	defer cancel()
	if wait > drainWait {
		stop := context.AfterFunc(c.draining, func() { time.AfterFunc(drainWait, cancel) })
		defer stop()
	}
	found, err = c.try(ctx, w, r, session, body)
	switch {
	case ctx.Err() != nil: // the client has gone, or this node drains
	case err != nil:
		c.counters.failed.Add(1)
	case !found:
		c.counters.gone.Add(1)
	default:
		c.counters.forwarded.Add(1)
	}
	return found, err
}

// try finds the node and asks it. Where it is not to be reached as it was known, it is looked up anew.
func (c *Cluster) try(ctx context.Context, w http.ResponseWriter, r *http.Request, session string, body []byte) (found bool, err error) {
	tag := tagOf(session)
	n, known := c.node(tag)
	if !known {
		if err := c.refresh(ctx, lookAgain); err != nil {
			return true, err
		}
		if n, known = c.node(tag); !known {
			return false, nil
		}
	}
	err = c.pass(ctx, w, r, n, body)
	if !unreached(err) {
		return true, err
	}
	if err := c.refresh(ctx, lookAgain); err != nil {
		return true, err
	}
	again, known := c.node(tag)
	if known && again.Address != n.Address {
		return true, c.pass(ctx, w, r, again, body)
	}
	if !known || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, errOther) {
		return false, nil // nobody listens any more where it has listened: its sessions have gone with it
	}
	return true, err // what does not answer at all may come back
}

// node is the node with a tag that can be reached.
func (c *Cluster) node(tag string) (Node, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.byTag[tag]
	return n, ok && n.Address != ""
}

// errOther is what was learned instead of an answer: another node has the address now.
var errOther = errors.New("cluster: another node answers at this address")

// unreached reports whether a request has not got to the node that it was for.
func unreached(err error) bool {
	var op *net.OpError
	return errors.Is(err, errOther) || errors.As(err, &op) && op.Op == "dial"
}

// pass asks a node. With an error nothing was written; an answer that breaks off breaks off ours.
func (c *Cluster) pass(ctx context.Context, w http.ResponseWriter, r *http.Request, to Node, body []byte) error {
	var failed error
	proxy := &httputil.ReverseProxy{
		Transport: c.transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL = &url.URL{Scheme: "https", Host: to.Address, Path: p.In.URL.Path}
			p.Out.Host, p.Out.Header = to.Address, http.Header{nodeHeader: {to.ID}}
			for _, name := range passedOn {
				if values := p.In.Header.Values(name); len(values) > 0 {
					p.Out.Header[http.CanonicalHeaderKey(name)] = values
				}
			}
			p.Out.Body, p.Out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			p.Out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		},
		ModifyResponse: func(response *http.Response) error {
			if response.StatusCode == http.StatusMisdirectedRequest {
				return errOther
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err },
	}
	proxy.ServeHTTP(w, r.WithContext(ctx))
	return failed
}

// Handler serves other nodes: next gets what is for this one.
func (c *Cluster) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(nodeHeader) != c.Self.ID {
			w.WriteHeader(http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
