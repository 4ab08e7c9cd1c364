package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/parley-im/parley/internal/config"
)

// with is the default configuration with a change.
func with(change func(c *config.Config)) *config.Config {
	c := config.Default()
	change(c)
	return c
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "parley.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const wholeFile = `
listen: 127.0.0.1:9000
admin_listen: 127.0.0.1:9001
data: /var/lib/parley
store: postgres://parley@db/parley
broker: nats://a:4222,nats://b:4222
feed:
  url: kafka://k:9092/chat
  keep: 48h
  length: 5000
  queues:
    - name: moderation
      exchange: topic
      bind: ["*.message.*", group.#.created]
    - {name: live, exchange: headers, headers: {kind: live, user: ann}, match: any}
    - {name: all, exchange: fanout}
state: redis://c:6379/1
node: node-1
secret_file: /run/secrets/parley
auth:
  jwks: https://issuer.example.com/jwks.json
  issuer: https://issuer.example.com
  audience: [chat, chat-staging]
  algorithms: [EdDSA]
  secret_tokens: true
egress:
  allow: [10.1.0.0/16, "fd00::/8"]
  ca_file: /etc/parley/ca.pem
tls:
  cert_file: /etc/parley/cert.pem
  key_file: /etc/parley/key.pem
proxies:
  trusted: [10.0.0.0/8, unix]
  protocol: true
  header: Forwarded
compression: true
origins:
  - https://app.example.com
  - http://localhost:5173
log:
  level: debug
  format: json
limits:
  messages_per_second: 0.5
  burst: 2
  room_messages_per_second: 3
  room_burst: 4
  frame_bytes: 5000
  replay: 6
  connections: 7
  calls_per_second: 8
  handshakes_per_address: 9
cluster:
  listen: 10.0.0.1:9090
  advertise: node-1:9090
  differences: warn
trace:
  endpoint: http://collector:4318/v1/traces
  sample: 0.5
heartbeat: 30s
drain: 1m
dev: true
dev_insecure: true
`

// whole is what wholeFile says.
func whole() *config.Config {
	return &config.Config{
		Listen: "127.0.0.1:9000", AdminListen: "127.0.0.1:9001", Data: "/var/lib/parley",
		Store: "postgres://parley@db/parley", Broker: "nats://a:4222,nats://b:4222", State: "redis://c:6379/1",
		Feed: config.Feed{URL: "kafka://k:9092/chat", Keep: 48 * time.Hour, Length: 5000, Queues: []config.FeedQueue{
			{Name: "moderation", Exchange: "topic", Bind: []string{"*.message.*", "group.#.created"}},
			{Name: "live", Exchange: "headers", Headers: map[string]string{"kind": "live", "user": "ann"}, Match: "any"},
			{Name: "all", Exchange: "fanout"},
		}},
		Node: "node-1", SecretFile: "/run/secrets/parley", TLS: config.TLS{CertFile: "/etc/parley/cert.pem", KeyFile: "/etc/parley/key.pem"},
		Proxies: config.Proxies{Trusted: []string{"10.0.0.0/8", "unix"}, Protocol: true, Header: "Forwarded"}, Compression: true,
		Auth: config.Auth{
			JWKS: "https://issuer.example.com/jwks.json", Issuer: "https://issuer.example.com", Audience: []string{"chat", "chat-staging"},
			Algorithms: []string{"EdDSA"}, SecretTokens: true,
		},
		Egress:  config.Egress{Allow: []string{"10.1.0.0/16", "fd00::/8"}, CAFile: "/etc/parley/ca.pem"},
		Origins: []string{"https://app.example.com", "http://localhost:5173"},
		Log:     config.Log{Level: "debug", Format: "json"},
		Limits: config.Limits{
			MessagesPerSecond: 0.5, Burst: 2, RoomMessagesPerSecond: 3, RoomBurst: 4,
			FrameBytes: 5000, Replay: 6, Connections: 7, CallsPerSecond: 8, HandshakesPerAddress: 9,
		},
		Cluster:   config.Cluster{Listen: "10.0.0.1:9090", Advertise: "node-1:9090", Differences: config.DifferencesWarn},
		Trace:     config.Trace{Endpoint: "http://collector:4318/v1/traces", Sample: 0.5},
		Heartbeat: 30 * time.Second, Drain: time.Minute, Dev: true, DevInsecure: true,
	}
}

func TestLoad(t *testing.T) {
	tests := []struct {
		name      string
		file      string
		env       []string
		overrides map[string]string
		want      *config.Config
	}{
		{name: "nothing", want: config.Default()},
		{name: "an empty file", file: "# nothing\n", want: config.Default()},
		{name: "every setting in the file", file: wholeFile, want: whole()},
		{name: "empty settings and groups", file: "listen:\nlimits:\nlog: ~\n", want: config.Default()},
		{
			name: "one origin without a list", file: "origins: https://a.example\n",
			want: with(func(c *config.Config) { c.Origins = []string{"https://a.example"} }),
		},
		{
			name: "variables",
			env: []string{
				"PARLEY_LIMITS_BURST=7", "PARLEY_ORIGINS=https://a.example, https://b.example", "PARLEY_DEV=1",
				"PARLEY_HEARTBEAT=1m30s", "PARLEY_STORE=", "HOME=/root", "parley_listen=x", "PARLEY_CONFIG=",
			},
			want: with(func(c *config.Config) {
				c.Limits.Burst = 7
				c.Origins = []string{"https://a.example", "https://b.example"}
				c.Dev = true
				c.Heartbeat = 90 * time.Second
			}),
		},
		{
			name: "queues of the feed in a variable",
			env:  []string{"PARLEY_FEED_URL=nats://a:4222", "PARLEY_FEED_QUEUES=[{name: a, exchange: direct, bind: group.message.created}]"},
			want: with(func(c *config.Config) {
				c.Feed.URL = "nats://a:4222"
				c.Feed.Queues = []config.FeedQueue{{Name: "a", Exchange: "direct", Bind: []string{"group.message.created"}}}
			}),
		},
		{
			name: "variables of a service of the same name",
			env: []string{
				"PARLEY_SERVICE_HOST=10.0.0.1", "PARLEY_SERVICE_PORT=8080", "PARLEY_SERVICE_PORT_HTTP=8080", "PARLEY_PORT=tcp://10.0.0.1:8080",
				"PARLEY_PORT_8080_TCP=tcp://10.0.0.1:8080", "PARLEY_PORT_8080_TCP_PROTO=tcp", "PARLEY_DB_PORT_5432_TCP_ADDR=10.0.0.2",
			},
			want: config.Default(),
		},
		{
			name: "flags, in any spelling",
			overrides: map[string]string{
				"limits-burst": "9", "log.format": "json", "dev_insecure": "true", "admin-listen": "127.0.0.1:1", "origins": "",
			},
			want: with(func(c *config.Config) {
				c.Limits.Burst, c.Log.Format, c.DevInsecure, c.AdminListen = 9, "json", true, "127.0.0.1:1"
			}),
		},
		{
			name:      "each source over the one before",
			file:      "node: file\ndata: file\nlisten: 127.0.0.1:1\norigins: [https://file.example]\n",
			env:       []string{"PARLEY_NODE=env", "PARLEY_DATA=env", "PARLEY_ORIGINS=https://env.example"},
			overrides: map[string]string{"node": "flag"},
			want: with(func(c *config.Config) {
				c.Node, c.Data, c.Listen, c.Origins = "flag", "env", "127.0.0.1:1", []string{"https://env.example"}
			}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := ""
			if tt.file != "" {
				file = writeFile(t, tt.file)
			}
			got, err := config.Load(file, tt.env, tt.overrides)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestLoadFileFromVariable(t *testing.T) {
	env := []string{"PARLEY_CONFIG=" + writeFile(t, "node: from-variable\n")}
	c, err := config.Load("", env, nil)
	if err != nil || c.Node != "from-variable" {
		t.Errorf("without an argument: %v, %v", c, err)
	}
	c, err = config.Load(writeFile(t, "node: from-argument\n"), env, nil)
	if err != nil || c.Node != "from-argument" {
		t.Errorf("with an argument: %v, %v", c, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name      string
		file      string
		env       []string
		overrides map[string]string
		want      []string // pieces of the error
	}{
		{name: "not YAML", file: "listen: [", want: []string{"parley.yaml: line 1"}},
		{name: "a list", file: "- listen\n", want: []string{"parley.yaml:1: the file must be settings"}},
		{name: "two documents", file: "node: a\n---\nnode: b\n", want: []string{"more than one YAML document"}},
		{name: "unknown", file: "node: a\nlisen: x\n", want: []string{"parley.yaml:2: there is no setting lisen; did you mean listen?"}},
		{name: "unknown in a group", file: "limits:\n  brust: 1\n", want: []string{"parley.yaml:2: there is no setting limits.brust; did you mean limits.burst?"}},
		{name: "unknown and like nothing", file: "colour: red\n", want: []string{"parley.yaml:1: there is no setting colour"}},
		{name: "alias", file: "data: &d x\nnode: *d\n", want: []string{"parley.yaml:2: node must be one value"}},
		{name: "merge key", file: "<<: {node: a}\n", want: []string{"there is no setting <<"}},
		{name: "twice", file: "node: a\ndata: d\nnode: b\n", want: []string{"parley.yaml:3: node stands twice, first on line 1"}},
		{name: "group twice", file: "log: {level: info}\nlog: {level: info}\n", want: []string{"parley.yaml:2: log stands twice"}},
		{name: "group as value", file: "limits: 5\n", want: []string{"parley.yaml:1: limits must be settings"}},
		{name: "value as group", file: "node: {a: b}\n", want: []string{"parley.yaml:1: node must be one value"}},
		{name: "value as list", file: "node: [a]\n", want: []string{"node must be one value"}},
		{name: "list of groups", file: "origins:\n  - {a: b}\n", want: []string{"parley.yaml:2: origins must be a list of texts"}},
		{name: "whole number", file: "limits: {burst: 1.5}\n", want: []string{`parley.yaml:1: limits.burst: "1.5" is not a whole number`}},
		{name: "huge number", file: "limits: {burst: 99999999999999999999}\n", want: []string{"limits.burst: 99999999999999999999 is beyond"}},
		{name: "number", file: "limits: {messages_per_second: many}\n", want: []string{`limits.messages_per_second: "many" is not a number`}},
		{name: "queues as a text", file: "feed:\n  queues: all\n", want: []string{"parley.yaml:2: feed.queues: must be a list of queues"}},
		{name: "queues as a group", file: "feed:\n  queues: {name: all}\n", want: []string{"parley.yaml:2: feed.queues: must be a list of queues"}},
		{name: "a queue as a text", file: "feed:\n  queues:\n    - all\n", want: []string{"parley.yaml:3: feed.queues: each queue must have a name"}},
		{name: "unknown in a queue", file: "feed:\n  queues:\n    - {name: all, exchang: fanout}\n", want: []string{"parley.yaml:3", "a queue has no exchang; did you mean exchange?"}},
		{name: "twice in a queue", file: "feed:\n  queues:\n    - {name: a, name: b}\n", want: []string{"name stands twice"}},
		{name: "a queue's headers", file: "feed:\n  queues:\n    - {name: a, headers: [b]}\n", want: []string{"headers of a queue must be"}},
		{name: "a queue's bindings", file: "feed:\n  queues:\n    - {name: a, bind: [{b: c}]}\n", want: []string{"bind of a queue must be"}},
		{name: "infinity", overrides: map[string]string{"limits-messages-per-second": "Inf"}, want: []string{`"Inf" is not a number`}},
		{name: "NaN", overrides: map[string]string{"limits-messages-per-second": "NaN"}, want: []string{`"NaN" is not a number`}},
		{name: "duration without unit", file: "heartbeat: 25\n", want: []string{`heartbeat: "25" is not a duration, such as 10s`}},
		{name: "boolean", file: "dev: maybe\n", want: []string{`dev: "maybe" is neither true nor false`}},
		{name: "all faults at once", file: "a: 1\nb: 2\n", want: []string{"parley.yaml:1", "parley.yaml:2"}},
		{name: "unknown variable", env: []string{"PARLEY_LIMIT_BURST=1"}, want: []string{"no setting for the variable PARLEY_LIMIT_BURST; did you mean PARLEY_LIMITS_BURST?"}},
		{name: "port that is no service's", env: []string{"PARLEY_PORT=8080"}, want: []string{"no setting for the variable PARLEY_PORT"}},
		{name: "variable's value", env: []string{"PARLEY_DRAIN=soon"}, want: []string{`PARLEY_DRAIN: "soon" is not a duration`}},
		{name: "unknown flag", overrides: map[string]string{"lisen": "x"}, want: []string{"no setting for the flag --lisen; did you mean listen?"}},
		{name: "flag's value", overrides: map[string]string{"limits.burst": ""}, want: []string{`--limits-burst: "" is not a whole number`}},
		{name: "replaced but bad", env: []string{"PARLEY_DRAIN=soon"}, overrides: map[string]string{"drain": "1s"}, want: []string{"PARLEY_DRAIN"}},
		{name: "endpoint", overrides: map[string]string{"trace-endpoint": "collector:4318"}, want: []string{"trace.endpoint: must be http://"}},
		{name: "sample", overrides: map[string]string{"trace-sample": "1.5"}, want: []string{"trace.sample: 1.5 is not between 0 and 1"}},
		{name: "checked at the end", overrides: map[string]string{"drain": "-1s"}, want: []string{"drain: -1s is not between 0s and 10m0s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := ""
			if tt.file != "" {
				file = writeFile(t, tt.file)
			}
			_, err := config.Load(file, tt.env, tt.overrides)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
	if _, err := config.Load(filepath.Join(t.TempDir(), "absent"), nil, nil); err == nil {
		t.Error("a file that is not there was accepted")
	}
}

// What is said about tokens and about requests to other servers.
func TestValidateTrust(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(c *config.Config)
		want   string // "" when it is good
	}{
		"an issuer":                {func(c *config.Config) { c.Auth.Issuer = "https://issuer.example.com/tenant" }, ""},
		"a file of keys":           {func(c *config.Config) { c.Auth.JWKS, c.Auth.Issuer = "/etc/parley/jwks.json", "any text" }, ""},
		"an address":               {func(c *config.Config) { c.Egress.Allow = []string{"127.0.0.1/32", "::1/128"} }, ""},
		"an issuer without scheme": {func(c *config.Config) { c.Auth.Issuer = "issuer.example.com" }, "auth.issuer: must be an https URL"},
		"keys by ftp":              {func(c *config.Config) { c.Auth.JWKS = "ftp://issuer.example.com/jwks.json" }, "auth.jwks: must be an https URL"},
		"a secret's algorithm":     {func(c *config.Config) { c.Auth.Algorithms = []string{"HS256"} }, `auth.algorithms: "HS256" is none of`},
		"no algorithm":             {func(c *config.Config) { c.Auth.JWKS, c.Auth.Algorithms = "jwks.json", nil }, "auth.algorithms: must name at least one"},
		"an address, no range":     {func(c *config.Config) { c.Egress.Allow = []string{"10.0.0.1"} }, `egress.allow: "10.0.0.1" is not a range`},
		"a range by an address":    {func(c *config.Config) { c.Egress.Allow = []string{"10.0.0.1/8"} }, "in the range 10.0.0.0/8"},
		"IPv4 in IPv6":             {func(c *config.Config) { c.Egress.Allow = []string{"::ffff:10.0.0.0/104"} }, "is a range of IPv4"},
	} {
		switch err := with(tt.change).Validate(); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

type change = func(c *config.Config)

func TestGoodValues(t *testing.T) {
	good := map[string]change{
		"all addresses":   func(c *config.Config) { c.Listen = ":8080" },
		"IPv6":            func(c *config.Config) { c.Listen = "[::1]:0" },
		"dev on loopback": func(c *config.Config) { c.Dev, c.Listen, c.AdminListen = true, "localhost:0", "[::1]:0" },
		"dev told twice":  func(c *config.Config) { c.Dev, c.DevInsecure, c.Listen = true, true, "0.0.0.0:80" },
		"unix sockets": func(c *config.Config) {
			c.Dev, c.Listen, c.AdminListen = true, "unix:/run/parley/clients", "unix:admin"
		},
		"TLS": func(c *config.Config) { c.TLS = config.TLS{CertFile: "cert.pem", KeyFile: "key.pem"} },
		"proxies": func(c *config.Config) {
			c.Proxies = config.Proxies{Trusted: []string{"::1", "10.0.0.1/8", "unix"}, Header: "X-Real-IP"}
		},
		"sqlite":             func(c *config.Config) { c.Store = "sqlite:/var/lib/x.db" },
		"several postgres":   func(c *config.Config) { c.Store = "postgres://u:p@a:5432,b:5432/db?sslmode=disable" },
		"nats with TLS":      func(c *config.Config) { c.Broker = "tls://a:4222,nats://token@b:4222" },
		"redis":              func(c *config.Config) { c.Broker = "redis://u:p@a:6379/3" },
		"kafka":              func(c *config.Config) { c.Broker = "kafka://u:p@a:9092/chat?partitions=24,kafka://b" },
		"rabbitmq":           func(c *config.Config) { c.Broker = "amqp://u:p@a:5672/chat,amqp://u:p@b/%2Fchat" },
		"rabbitmq with TLS":  func(c *config.Config) { c.Broker = "amqps://a?cacertfile=/etc/ca.pem" },
		"kafka with TLS":     func(c *config.Config) { c.Broker = "kafkas://a" },
		"state":              func(c *config.Config) { c.State = "redis://u:p@a" },
		"redis with TLS":     func(c *config.Config) { c.Broker = "rediss://a" },
		"origins":            func(c *config.Config) { c.Origins = []string{"https://a.example:8443", "http://[::1]:5173"} },
		"no limits":          func(c *config.Config) { c.Limits = config.Limits{FrameBytes: 1024} },
		"drain at once":      func(c *config.Config) { c.Drain = 0 },
		"two free ports":     func(c *config.Config) { c.Listen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0" },
		"a node with a name": func(c *config.Config) { c.Node = "eu-1.a_b" },
	}
	for name, change := range good {
		if err := with(change).Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadValues(t *testing.T) {
	bad := map[string]struct {
		change change
		want   string
	}{
		"no address":        {func(c *config.Config) { c.Listen = "" }, "listen"},
		"no port":           {func(c *config.Config) { c.Listen = "localhost" }, "listen"},
		"a named port":      {func(c *config.Config) { c.Listen = "localhost:http" }, "listen"},
		"a large port":      {func(c *config.Config) { c.Listen = "localhost:70000" }, "listen"},
		"admin address":     {func(c *config.Config) { c.AdminListen = "9080" }, "admin_listen"},
		"admin for clients": {func(c *config.Config) { c.AdminListen = c.Listen }, "admin_listen"},
		"unix nowhere":      {func(c *config.Config) { c.Listen = "unix:" }, "listen"},
		"unix too far":      {func(c *config.Config) { c.AdminListen = "unix:/" + strings.Repeat("p", 107) }, "admin_listen"},
		"no key":            {func(c *config.Config) { c.TLS.CertFile = "cert.pem" }, "tls"},
		"no certificate":    {func(c *config.Config) { c.TLS.KeyFile = "key.pem" }, "tls"},
		"a proxy's name":    {func(c *config.Config) { c.Proxies.Trusted = []string{"proxy.internal"} }, "proxies.trusted"},
		"any header":        {func(c *config.Config) { c.Proxies = config.Proxies{Trusted: []string{"::1"}, Header: "X-Client"} }, "proxies.header"},
		"nobody's header":   {func(c *config.Config) { c.Proxies.Header = "Forwarded" }, "proxies.trusted"},
		"nobody's protocol": {func(c *config.Config) { c.Proxies.Protocol = true }, "proxies.trusted"},
		"no data":           {func(c *config.Config) { c.Data = "" }, "data"},
		"store":             {func(c *config.Config) { c.Store = "mysql://a/b" }, "store"},
		"store is a path":   {func(c *config.Config) { c.Store = "parley.db" }, "store"},
		"store without":     {func(c *config.Config) { c.Store = ":x" }, "store"},
		"sqlite nowhere":    {func(c *config.Config) { c.Store = "sqlite:" }, "store"},
		"postgres opaque":   {func(c *config.Config) { c.Store = "postgres:db" }, "store"},
		"broker":            {func(c *config.Config) { c.Broker = "mqtt://a" }, "broker"},
		"one bad broker":    {func(c *config.Config) { c.Broker = "nats://a, nats://b" }, "broker"},
		"several redis":     {func(c *config.Config) { c.Broker = "redis://a,redis://b" }, "one server"},
		"feed nowhere":      {func(c *config.Config) { c.Feed.Queues = []config.FeedQueue{{Name: "a", Exchange: "fanout"}} }, "feed.url"},
		"feed of nothing":   {func(c *config.Config) { c.Feed.URL = "nats://a" }, "feed.queues"},
		"feed's engine":     {func(c *config.Config) { c.Feed = feedAt("mqtt://a") }, "feed.url"},
		"feed's redis":      {func(c *config.Config) { c.Feed = feedAt("redis://a/x") }, "number of a database"},
		"feed for a second": {func(c *config.Config) { c.Feed.Keep = time.Second }, "feed.keep"},
		"feed of three":     {func(c *config.Config) { c.Feed.Length = 3 }, "feed.length"},
		"a queue's match":   {func(c *config.Config) { c.Feed = feedAt("nats://a"); c.Feed.Queues[0].Match = "some" }, "match is all or any"},
		"match of topics":   {func(c *config.Config) { c.Feed = feedAt("nats://a"); c.Feed.Queues[0].Match = "any" }, "match is for exchange: headers"},
		"a queue's kind":    {func(c *config.Config) { c.Feed = feedAt("nats://a"); c.Feed.Queues[0].Exchange = "queue" }, "none of direct, topic"},
		"state":             {func(c *config.Config) { c.State = "nats://a" }, "state"},
		"redis database":    {func(c *config.Config) { c.Broker = "redis://a/x" }, "number of a database"},
		"kafka nowhere":     {func(c *config.Config) { c.Broker = "kafka:a" }, "broker"},
		"kafka and nats":    {func(c *config.Config) { c.Broker = "kafka://a,nats://b" }, "kafka://HOST:9092"},
		"two topics":        {func(c *config.Config) { c.Broker = "kafka://a/t,kafka://b/t" }, "first URL"},
		"rabbitmq nowhere":  {func(c *config.Config) { c.Broker = "amqp:///chat" }, "amqp://HOST:5672"},
		"two of a vhost":    {func(c *config.Config) { c.Broker = "amqp://a/x/y" }, "%2F"},
		"rabbitmq and nats": {func(c *config.Config) { c.Broker = "amqp://a,nats://b" }, "amqp://HOST:5672"},
		"redis nowhere":     {func(c *config.Config) { c.Broker = "redis:a" }, "broker"},
		"unescaped #":       {func(c *config.Config) { c.Store = "postgres://u:#p@db/parley" }, "percent-encoded"},
		"unescaped /":       {func(c *config.Config) { c.Store = "postgres://u:1/p@db/parley" }, "percent-encoded"},
		"node":              {func(c *config.Config) { c.Node = "a b" }, "node"},
		"long node":         {func(c *config.Config) { c.Node = strings.Repeat("n", 65) }, "node"},
		"any origin":        {func(c *config.Config) { c.Origins = []string{"*"} }, "origins"},
		"wild origin":       {func(c *config.Config) { c.Origins = []string{"https://*.example.com"} }, "origins"},
		"origin's path":     {func(c *config.Config) { c.Origins = []string{"https://a.example/"} }, "write https://a.example"},
		"origin's scheme":   {func(c *config.Config) { c.Origins = []string{"a.example"} }, "origins"},
		"origin's letters":  {func(c *config.Config) { c.Origins = []string{"https://A.example"} }, "origins"},
		"origin's port":     {func(c *config.Config) { c.Origins = []string{"https://a.example:443"} }, "origins"},
		"null origin":       {func(c *config.Config) { c.Origins = []string{"null"} }, "origins"},
		"level":             {func(c *config.Config) { c.Log.Level = "INFO" }, "log.level"},
		"format":            {func(c *config.Config) { c.Log.Format = "xml" }, "log.format"},
		"negative":          {func(c *config.Config) { c.Limits.Replay = -1 }, "limits.replay: -1 is below 0"},
		"negative rate":     {func(c *config.Config) { c.Limits.MessagesPerSecond = -0.5 }, "limits.messages_per_second: -0.5 is below 0"},
		"small frames":      {func(c *config.Config) { c.Limits.FrameBytes = 0 }, "limits.frame_bytes"},
		"large frames":      {func(c *config.Config) { c.Limits.FrameBytes = 1 << 30 }, "limits.frame_bytes"},
		"no heartbeat":      {func(c *config.Config) { c.Heartbeat = 0 }, "heartbeat"},
		"long drain":        {func(c *config.Config) { c.Drain = time.Hour }, "drain"},
		"dev for all":       {func(c *config.Config) { c.Dev, c.Listen = true, ":8080" }, "dev_insecure"},
		"dev on a name":     {func(c *config.Config) { c.Dev, c.Listen = true, "laptop:8080" }, "dev_insecure"},
		"dev admin":         {func(c *config.Config) { c.Dev, c.AdminListen = true, "0.0.0.0:1" }, "dev_insecure"},
	}
	for name, tt := range bad {
		if err := with(tt.change).Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error about %q", name, err, tt.want)
		}
	}
}

// feedAt is a feed with one queue.
func feedAt(url string) config.Feed {
	return config.Feed{URL: url, Keep: time.Hour, Length: 5000, Queues: []config.FeedQueue{{Name: "a", Exchange: "fanout"}}}
}

// Passwords come into no error and no log.
func TestSecretsStayInside(t *testing.T) {
	const secret = "hunter2"
	for _, c := range []*config.Config{
		{Store: "postgres://u:" + secret + "@db/parley"},
		{Store: "postgres://db/parley?user=u&password=" + secret},
		{Store: "postgres://db/parley?sslpassword=" + secret + "&a=1"},
		{Store: "postgres://db/parley?password=" + secret + ";"},
		{Store: "postgres://u:#" + secret + "@db/parley"},
		{Store: "postgres://u:1/" + secret + "@db/parley"},
		{Store: "postgres://u:1?" + secret + "@db/parley"},
		{Store: "postgres://u:%zz" + secret + "@db/parley"},
		{Store: "mysql://u:" + secret + "@db/parley"},
		{Broker: "nats://u:" + secret + "@a,nats://b,nats://u:" + secret + "@c"},
		{Broker: "nats://" + secret + "@a"},
		{Broker: "nats://u:" + secret + ":b@a/%"},
		{Broker: "redis://" + secret + "@a/x"},
		{State: "redis://u:" + secret + "@a/x"},
		{Broker: "redis://:" + secret + "@a/x"},
		{Broker: "kafka://u:" + secret + "@a/t,kafka://" + secret + "@b"},
		{Broker: "amqp://u:" + secret + "@a"},
		{Feed: config.Feed{URL: "nats://u:" + secret + "@a,nats://u:" + secret + "@b"}},
	} {
		if shown := fmt.Sprint(c.Redacted()); strings.Contains(shown, secret) {
			t.Errorf("shown: %s", shown)
		}
		if err := c.Validate(); strings.Contains(err.Error(), secret) {
			t.Errorf("in an error: %v", err)
		}
	}
	c := with(func(c *config.Config) { c.Store, c.Broker = "postgres://u:p@db/parley?x=1", "nats://a,nats://u:p@b" })
	r := c.Redacted()
	if r.Store != "postgres://u:xxxxx@db/parley?x=1" || r.Broker != "nats://a,nats://u:xxxxx@b" {
		t.Errorf("redacted too little or too much: %s %s", r.Store, r.Broker)
	}
	if c.Store != "postgres://u:p@db/parley?x=1" {
		t.Errorf("the original was changed: %s", c.Store)
	}
}

// Every setting can be given in each of the three ways, has a help, and takes its default when it is written down.
func TestFlagsAndSourcesAgree(t *testing.T) {
	overrides, env := map[string]string{}, []string{}
	for _, flag := range config.Flags() {
		if flag.Help == "" || !strings.HasSuffix(flag.Help, ".") {
			t.Errorf("--%s: help %q", flag.Name, flag.Help)
		}
		if want := "PARLEY_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_")); flag.Env != want {
			t.Errorf("--%s: variable %s, want %s", flag.Name, flag.Env, want)
		}
		if flag.Switch != slices.Contains([]string{"auth-secret-tokens", "compression", "dev", "dev-insecure", "proxies-protocol"}, flag.Name) {
			t.Errorf("--%s: switch %v", flag.Name, flag.Switch)
		}
		overrides[flag.Name] = flag.Default
		env = append(env, flag.Env+"="+flag.Default)
	}
	for _, name := range []string{"listen", "limits-room-messages-per-second", "log-format", "drain", "secret-file"} {
		if _, ok := overrides[name]; !ok {
			t.Errorf("there is no --%s", name)
		}
	}
	written, err := yaml.Marshal(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	for source, load := range map[string]func() (*config.Config, error){
		"flags": func() (*config.Config, error) { return config.Load("", nil, overrides) },
		"env":   func() (*config.Config, error) { return config.Load("", env, nil) },
		"file":  func() (*config.Config, error) { return config.Load(writeFile(t, string(written)), nil, nil) },
	} {
		got, err := load()
		if err != nil {
			t.Errorf("%s: %v", source, err)
		} else if diff := cmp.Diff(config.Default(), got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", source, diff)
		}
	}
}
