// Package config knows every setting of a server: its name, its default and what values it may have.
//
// A setting has one name, written three ways: limits.burst in the file, PARLEY_LIMITS_BURST in the environment and --limits-burst on the command line.
// Sources in rising order are the defaults, one YAML file, the environment and the flags. All are strict: a name that is not known, a name given
// twice and a value of the wrong form are errors that say where they stand. The struct [Config] is the only list of settings; everything else is
// derived from it.
package config

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/parley-im/parley/internal/broker"
)

// Config holds the settings of a server. The tag `help` says what a setting is for; `nodes:"same"`, that all nodes of a cluster must be given the same.
type Config struct {
	Listen      string            `yaml:"listen" help:"Address that clients connect to: HOST:PORT, where port 0 takes a free one, or unix:PATH."`
	AdminListen string            `yaml:"admin_listen" help:"Address for operators (metrics, health, profiles): HOST:PORT or unix:PATH; it must not be reachable for clients. Empty: off."`
	Data        string            `yaml:"data" help:"Folder for everything that this node keeps on disk; made if it is not there."`
	Store       string            `yaml:"store" help:"Where rooms and messages are kept: sqlite:PATH or postgres://USER@HOST/DATABASE. Empty: parley.db in the data folder."`
	Shards      map[string]string `yaml:"shards" help:"The other stores over which rooms and users are spread, by name: one: postgres://HOST/DATABASE; outside the file NAME=URL, separated by commas. Each was made one with parley shards add; store is then the home of the map."`
	Broker      string            `yaml:"broker" nodes:"same" help:"What connects the nodes of a cluster: nats://HOST:4222, or several separated by commas; or redis://HOST:6379/DB; or kafka://HOST:9092/TOPIC; or amqp://HOST:5672/VHOST. Empty: this node is alone."`
	Feed        Feed              `yaml:"feed"`
	State       string            `yaml:"state" nodes:"same" help:"What nodes share that may be lost, presence and rates: redis://HOST:6379/DB. Empty: each node has its own."`
	Node        string            `yaml:"node" help:"Name of this node, unique in its cluster: up to 64 letters, digits and _ - . characters. Empty: a new name at every start."`
	SecretFile  string            `yaml:"secret_file" help:"File with the secret that signs users' tokens, readable by its owner alone. Empty: secret in the data folder, made at the first start."`
	Auth        Auth              `yaml:"auth"`
	Egress      Egress            `yaml:"egress"`
	TLS         TLS               `yaml:"tls"`
	Cluster     Cluster           `yaml:"cluster"`
	Proxies     Proxies           `yaml:"proxies"`
	Compression bool              `yaml:"compression" help:"Compresses what WebSocket clients send and get, if they offer it (permessage-deflate): less traffic for more work."`
	Origins     []string          `yaml:"origins" nodes:"same" help:"Web origins, besides the server's own, whose pages may connect: https://app.example.com, separated by commas."`
	Log         Log               `yaml:"log"`
	Limits      Limits            `yaml:"limits"`
	Trace       Trace             `yaml:"trace"`
	Heartbeat   time.Duration     `yaml:"heartbeat" nodes:"same" help:"Silence after which a connection is asked for a sign of life; after two it is closed."`
	Drain       time.Duration     `yaml:"drain" help:"Time over which a server that is told to stop sends its connections to other nodes."`
	Dev         bool              `yaml:"dev" nodes:"same" help:"For trying things out on one's own machine: relaxes what protects a server that others can reach."`
	DevInsecure bool              `yaml:"dev_insecure" help:"Lets --dev listen on addresses that other machines can reach."`
}

// Feed says where events go for the application's own systems.
type Feed struct {
	URL    string        `yaml:"url" nodes:"same" help:"Engine of the feed of events for the application's own systems: amqp://HOST:5672/VHOST, or nats://HOST:4222, or kafka://HOST:9092/TOPIC, or redis://HOST:6379/DB. It need not be the broker. Empty: off."`
	Keep   time.Duration `yaml:"keep" nodes:"same" help:"How long the engine keeps an event for those who have not consumed it yet; deleted and erased texts too."`
	Length int           `yaml:"length" nodes:"same" help:"Events that a queue of the feed holds at most in Redis, and all together in NATS; the oldest go."`
	Queues []FeedQueue   `yaml:"queues" nodes:"same" help:"The queues of the feed, each with its name, exchange (direct, topic, fanout or headers) and bind or headers and match: [{name: moderation, exchange: topic, bind: ['*.message.*']}]."`
}

// FeedQueue is a queue of the feed.
type FeedQueue struct {
	Name     string            `yaml:"name"`
	Exchange string            `yaml:"exchange"`
	Bind     []string          `yaml:"bind,omitempty,flow"`
	Headers  map[string]string `yaml:"headers,omitempty,flow"`
	Match    string            `yaml:"match,omitempty"` // headers: all or any; "" is all
}

// Declared are the queues as the broker takes them.
func (f *Feed) Declared() []broker.Queue {
	var queues []broker.Queue
	for _, q := range f.Queues {
		queues = append(queues, broker.Queue{Name: q.Name, Exchange: broker.ExchangeKind(q.Exchange), Bind: q.Bind, Headers: q.Headers, Any: q.Match == "any"})
	}
	return queues
}

// Log says what is logged, and how.
type Log struct {
	Level  string `yaml:"level" help:"Least important kind of line that is logged: debug, info, warn or error."`
	Format string `yaml:"format" help:"Form of the log: text or json."`
}

// Auth says which tokens are good.
type Auth struct {
	JWKS         string   `yaml:"jwks" nodes:"same" help:"Public keys of the issuer whose tokens are good: a file, or an https URL. Empty: those that auth-issuer names, if any."`
	Issuer       string   `yaml:"issuer" nodes:"same" help:"What a token's iss must be. Without auth-jwks it is an https URL, and its OpenID discovery document names the keys."`
	Audience     []string `yaml:"audience" nodes:"same" help:"Names of this deployment, one of which a token's aud must hold, separated by commas. Empty: aud does not matter."`
	Algorithms   []string `yaml:"algorithms" nodes:"same" help:"Algorithms that the issuer may sign with, out of RS256, ES256 and EdDSA."`
	SecretTokens bool     `yaml:"secret_tokens" nodes:"same" help:"With an issuer, tokens signed with the deployment's secret are good as well."`
}

// Egress bounds the server's requests to other servers.
type Egress struct {
	Allow  []string `yaml:"allow" help:"Ranges of addresses that requests may go to, on any port, though they are not of the public internet: 10.1.0.0/16, separated by commas."`
	CAFile string   `yaml:"ca_file" help:"File with certificates that are trusted besides the system's, PEM."`
}

// TLS says how the server proves itself to clients that encrypt.
type TLS struct {
	CertFile string `yaml:"cert_file" help:"File with the certificate for TLS and those that vouch for it, PEM; read again when it changes. Empty: clients are served in plain text."`
	KeyFile  string `yaml:"key_file" help:"File with the private key of tls-cert-file, PEM."`
}

// Cluster says how the nodes reach each other.
type Cluster struct {
	Listen      string `yaml:"listen" help:"Address at which the other nodes reach this one, HOST:PORT, to pass on what is about its sessions; they prove by the store's secret who they are. Empty: off."`
	Advertise   string `yaml:"advertise" help:"Address that the other nodes are told, HOST:PORT. Empty: that of cluster-listen."`
	Differences string `yaml:"differences" help:"What a node does at its start whose settings differ from those of a node that runs, where all must be the same: refuse, or warn."`
}

// Trace says which calls are traced, and who is told.
type Trace struct {
	Endpoint string  `yaml:"endpoint" help:"Where traces go, by OTLP over HTTP: http://HOST:4318/v1/traces. Empty: nothing is traced."`
	Sample   float64 `yaml:"sample" help:"Part of all calls that is traced, 0 to 1; a back end that sends a traceparent decides itself."`
}

// Proxies says who stands in front of the server, and how they tell whom they speak for.
type Proxies struct {
	Trusted  []string `yaml:"trusted" help:"Addresses and networks of the proxies in front, whose word about clients is believed: 10.0.0.0/8, separated by commas; unix is whoever comes over a unix socket. Empty: nobody."`
	Protocol bool     `yaml:"protocol" help:"Connections for clients begin with a header of the PROXY protocol, version 1 or 2; those of others than proxies-trusted are refused."`
	Header   string   `yaml:"header" help:"Header in which proxies-trusted name the client: X-Forwarded-For, Forwarded or X-Real-IP. Empty: none."`
}

// Limits bound what clients may ask of the server.
type Limits struct {
	MessagesPerSecond     float64 `yaml:"messages_per_second" nodes:"same" help:"Messages a second of one user over all sessions; each room takes half of it from one user. 0: no limit."`
	Burst                 int     `yaml:"burst" nodes:"same" help:"Messages that one user may send at once before limits-messages-per-second holds. 0: no limit."`
	RoomMessagesPerSecond float64 `yaml:"room_messages_per_second" nodes:"same" help:"Messages a second of one room, from all users and back ends. 0: no limit."`
	RoomBurst             int     `yaml:"room_burst" nodes:"same" help:"Messages that one room takes at once before limits-room-messages-per-second holds. 0: no limit."`
	FrameBytes            int     `yaml:"frame_bytes" nodes:"same" help:"Longest message that a client may send, in bytes."`
	Replay                int     `yaml:"replay" nodes:"same" help:"Missed events of one room that are sent again to a client that returns; one that missed more loads the room anew. 0: no limit."`
	Connections           int     `yaml:"connections" help:"Connections that this node accepts at a time. 0: no limit."`
	HandshakesPerAddress  int     `yaml:"handshakes_per_address" help:"Connections a second from one address (IPv6: from one /64), of which those of 6 seconds may come at once. 0: no limit."`
	CallsPerSecond        int     `yaml:"calls_per_second" nodes:"same" help:"Calls a second of one connection, other than message.send. 0: no limit."`
}

// Default is the configuration of a server that is told nothing.
func Default() *Config {
	return &Config{
		Listen: "127.0.0.1:8080",
		Data:   ".parley",
		Feed:   Feed{Keep: 7 * 24 * time.Hour, Length: 1_000_000},
		Auth:   Auth{Algorithms: []string{"RS256", "ES256", "EdDSA"}},
		Log:    Log{Level: "info", Format: "text"},
		Limits: Limits{
			MessagesPerSecond:     10,
			Burst:                 50,
			RoomMessagesPerSecond: 50,
			RoomBurst:             200,
			FrameBytes:            64 << 10,
			Replay:                1000,
			CallsPerSecond:        200,
		},
		Cluster:   Cluster{Differences: DifferencesRefuse},
		Trace:     Trace{Sample: 0.01},
		Heartbeat: 25 * time.Second,
		Drain:     10 * time.Second,
	}
}

// The values of Cluster.Differences.
const (
	DifferencesRefuse = "refuse"
	DifferencesWarn   = "warn"
)

// redaction stands where a secret was.
const redaction = "xxxxx"

// Redacted is a copy that may be logged and shown: URLs have lost their passwords and tokens.
func (c *Config) Redacted() *Config {
	r := *c
	r.Origins, r.Proxies.Trusted = slices.Clone(c.Origins), slices.Clone(c.Proxies.Trusted)
	r.Auth.Audience, r.Auth.Algorithms = slices.Clone(c.Auth.Audience), slices.Clone(c.Auth.Algorithms)
	if strings.Contains(c.Auth.JWKS, "://") {
		r.Auth.JWKS = redactURL(c.Auth.JWKS)
	}
	r.Egress.Allow = slices.Clone(c.Egress.Allow)
	r.Store = redactURL(c.Store)
	r.Shards = maps.Clone(c.Shards)
	for name, url := range r.Shards {
		r.Shards[name] = redactURL(url)
	}
	r.Broker, r.Feed.URL = redactURLs(c.Broker), redactURLs(c.Feed.URL)
	r.Feed.Queues = slices.Clone(c.Feed.Queues)
	r.State = redactURL(c.State)
	r.Trace.Endpoint = redactURL(c.Trace.Endpoint)
	return &r
}

// Common are the settings that must be the same on all nodes of a cluster, by their keys, as they may be shown. The order of lists, and of a broker's servers, is no
// difference.
func (c *Config) Common() map[string]string {
	common := map[string]string{}
	for _, s := range settings(c.Redacted()) {
		if s.common {
			values := strings.Split(s.text(), ",")
			slices.Sort(values)
			common[s.key] = strings.Join(values, ",")
		}
	}
	return common
}

// redactURLs redacts several, separated by commas.
func redactURLs(s string) string {
	list := strings.Split(s, ",")
	for i, one := range list {
		list[i] = redactURL(one)
	}
	return strings.Join(list, ",")
}

// redactURL takes out whatever may be secret. A user without a password is a token for some engines; drivers take passwords as query parameters too.
func redactURL(s string) string {
	if s == "" || strings.HasPrefix(s, "sqlite:") {
		return s
	}
	u, err := parseURL(s)
	if err != nil {
		return "(not a URL)"
	}
	if u.User != nil {
		if _, ok := u.User.Password(); ok {
			u.User = url.UserPassword(u.User.Username(), redaction)
		} else if u.Scheme != "postgres" && u.Scheme != "postgresql" {
			u.User = url.User(redaction)
		}
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(name, "password") {
			query.Set(name, redaction)
			u.RawQuery = query.Encode()
		}
	}
	return u.String()
}

// parseURL refuses what would put a piece of a password into another part of the URL. Its error does not say what exactly is wrong: that might be
// such a piece as well.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err == nil {
		_, err = url.ParseQuery(u.RawQuery)
	}
	if err != nil || u.Fragment != "" || strings.Contains(u.Path+u.RawQuery, "@") {
		return nil, errors.New("is not a URL; characters such as @ : / ? # % in a name or password must be percent-encoded")
	}
	return u, nil
}
