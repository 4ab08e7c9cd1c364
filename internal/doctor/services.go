package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/internal/store"
)

// maxSkew is how far the clocks of this machine and the store may be apart before tokens and leases suffer.
const maxSkew = 2 * time.Second

// ports looks whether the server could listen.
func ports(ctx context.Context, cfg *config.Config) []Finding {
	var findings []Finding
	for _, one := range []struct{ key, address string }{{"listen", cfg.Listen}, {"admin_listen", cfg.AdminListen}} {
		if one.address == "" {
			continue
		}
		network, address := "tcp", one.address
		if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
			network, address = "unix", path
		}
		var config net.ListenConfig
		l, err := config.Listen(ctx, network, address)
		switch {
		case errors.Is(err, unix.EADDRINUSE):
			findings = append(findings, Finding{one.key, Warn, one.address + " is in use", "if that is the server, all is well; if not, it cannot start"})
		case errors.Is(err, unix.EACCES):
			findings = append(findings, Finding{one.key, Fail, err.Error(), "ports below 1024 need CAP_NET_BIND_SERVICE: take another, or have a proxy in front"})
		case err != nil:
			findings = append(findings, Finding{one.key, Fail, err.Error(), "name an address of this machine"})
		default:
			_ = l.Close() // it was only tried
			findings = append(findings, good(one.key, "%s is free", one.address)...)
		}
	}
	return findings
}

// storage asks the store what it is.
func storage(ctx context.Context, cfg *config.Config) []Finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := store.Inspect(ctx, store.Options{URL: cfg.Store, Data: cfg.Data})
	if err != nil {
		return bad(Fail, "store", err.Error(), "the server does not start without it")
	}
	about := strings.TrimSpace(c.Engine + " " + c.Version)
	switch {
	case c.TooOld:
		return bad(Fail, "store", about, "PostgreSQL 15 or newer is needed")
	case c.Replica:
		return bad(Fail, "store", about+" takes no writes: it is a replica", "the URL must lead to the primary")
	}
	findings := safety(cfg, about, c)
	switch {
	case c.Missing:
		return append(findings, good("schema", "is made at the first start")...)
	case c.Schema > c.Newest:
		return append(findings, Finding{"schema", Fail, fmt.Sprintf("%d, and this binary knows only %d", c.Schema, c.Newest), "a newer Parley wrote it: run that one"})
	case c.Schema < c.Newest:
		return append(findings, good("schema", "%d, which the next start brings to %d", c.Schema, c.Newest)...)
	}
	if ahead := time.Until(c.Tip.Go()); ahead > maxSkew {
		findings = append(findings, Finding{"clock", Warn, fmt.Sprintf("the newest event is %s ahead of it", ahead.Round(time.Second)), "this machine's clock is behind, or another node's ahead"})
	}
	last := "no event yet"
	if c.Tip != 0 {
		last = "last event " + c.Tip.String()
	}
	return append(findings, good("schema", "%d, %s", c.Schema, last)...)
}

// safety looks at what a server of PostgreSQL is set to.
func safety(cfg *config.Config, about string, c store.Condition) []Finding {
	if onSQLite(cfg) {
		return good("store", "%s", about)
	}
	findings := good("store", "%s, %d connections", about, c.MaxConns)
	if len(c.Unsafe) > 0 {
		findings = bad(Fail, "store", about+": "+strings.Join(c.Unsafe, ", "), "an acknowledged message may be lost in a crash: set it on")
	}
	if c.MaxConns < 30 {
		findings = append(findings, Finding{"store", Warn, fmt.Sprintf("max_connections is %d", c.MaxConns), "each node takes 12 or more"})
	}
	if c.Skew.Abs() > maxSkew {
		findings = append(findings, Finding{"clock", Warn, fmt.Sprintf("the store's is %s away", c.Skew.Round(time.Millisecond)), "run NTP on both machines"})
	}
	return findings
}

// engines greets the broker and the shared state. The server works without them, so that nothing here is worse than a warning.
func engines(ctx context.Context, cfg *config.Config) []Finding {
	findings := good("broker", "none: this node is alone")
	if cfg.Broker != "" {
		findings = greetAll(ctx, "broker", cfg.Broker, "without it, what other nodes commit is asked of the store every second")
	}
	if cfg.State != "" {
		findings = append(findings, greetAll(ctx, "state", cfg.State, "without it, nodes do not see who is online on others, and each gives its share of the rate limits")...)
	}
	return findings
}

// greetAll greets servers whose URLs are separated by commas.
func greetAll(ctx context.Context, what, servers, without string) (findings []Finding) {
	for server := range strings.SplitSeq(servers, ",") {
		u, err := url.Parse(server)
		if err != nil {
			continue // the configuration was checked
		}
		g := greetingOf(u.Scheme)
		host := u.Host
		if u.Port() == "" {
			host = net.JoinHostPort(u.Hostname(), g.port)
		}
		if err := g.greet(ctx, host); err != nil {
			findings = append(findings, Finding{what, Warn, fmt.Sprintf("%s: %v", host, err), without})
		} else {
			findings = append(findings, good(what, "%s answers", host)...)
		}
	}
	return findings
}

// greeting is how a server is made to say a first word by which it is known.
type greeting struct {
	engine, port string
	tls          bool   // from the first byte on
	question     string // "" where the server speaks first
	knows        func(word string) bool
}

// wordBytes is how much of a server's first word is looked at.
const wordBytes = 5

// greetingOf is for the scheme of a broker's URL.
func greetingOf(scheme string) greeting {
	switch scheme {
	case "redis", "rediss":
		return greeting{"Redis", "6379", scheme == "rediss", "PING\r\n", func(word string) bool {
			return word == "+PONG" || word == "-NOAU" // it wants a password first
		}}
	case "kafka", "kafkas":
		// ApiVersions, version 0, of nobody. The answer is its length, which is small, and the number of the question.
		question := "\x00\x00\x00\x0a" + "\x00\x12\x00\x00" + "Pley" + "\xff\xff"
		return greeting{"Kafka", "9092", scheme == "kafkas", question, func(word string) bool {
			return strings.HasPrefix(word, "\x00\x00") && strings.HasSuffix(word, "P")
		}}
	case "amqp", "amqps":
		// The protocol and its version. The answer is a frame: a method, on the channel 0, of a length below 64 KiB.
		port := map[string]string{"amqp": "5672", "amqps": "5671"}[scheme]
		return greeting{"RabbitMQ", port, scheme == "amqps", "AMQP\x00\x00\x09\x01", func(word string) bool {
			return word == "\x01\x00\x00\x00\x00"
		}}
	}
	return greeting{"NATS", "4222", false, "", func(word string) bool { return word == "INFO " }}
}

// greet waits for the first word of a server.
func (g greeting) greet(ctx context.Context, host string) error {
	conn, err := g.dial(ctx, host)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, g.question); err != nil {
		return err
	}
	word := make([]byte, wordBytes)
	if _, err := io.ReadFull(conn, word); err != nil || !g.knows(string(word)) {
		return fmt.Errorf("what answers there is no %s server", g.engine)
	}
	return nil
}

func (g greeting) dial(ctx context.Context, host string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: patience}
	if g.tls {
		return (&tls.Dialer{NetDialer: dialer}).DialContext(ctx, "tcp", host)
	}
	return dialer.DialContext(ctx, "tcp", host)
}
