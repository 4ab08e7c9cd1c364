package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-im/parley/internal/broker"
)

// Bounds of values. A frame smaller than a small message makes no sense; one larger than what the server itself may send in a frame could not be
// delivered.
const (
	minFrameBytes = 1 << 10
	maxFrameBytes = 4 << 20
	minHeartbeat  = 100 * time.Millisecond
	maxHeartbeat  = 10 * time.Minute
	maxDrain      = 10 * time.Minute
	maxNodeName   = 64
	maxSocketPath = 107 // of Linux
)

// unixPrefix begins an address that is a unix socket.
const unixPrefix = "unix:"

// Validate tells everything that is wrong with the values, in terms of the settings. No secret is in its error.
func (c *Config) Validate() error {
	var faults []error
	check := func(key string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", key, err))
		}
	}
	check("listen", checkAddress(c.Listen))
	if c.AdminListen != "" {
		check("admin_listen", checkAddress(c.AdminListen))
		if c.AdminListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
			check("admin_listen", errors.New("must differ from listen: operators' pages are not for clients"))
		}
	}
	if c.Data == "" {
		check("data", errors.New("must name a folder"))
	}
	check("store", checkStore(c.Store))
	check("shards", c.checkShards())
	check("broker", checkBroker(c.Broker))
	c.checkFeed(check)
	if c.State != "" {
		check("state", checkRedis(c.State))
	}
	check("node", checkNode(c.Node))
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		check("tls", errors.New("cert_file and key_file go together"))
	}
	check("cluster.differences", checkOneOf(c.Cluster.Differences, DifferencesRefuse, DifferencesWarn))
	c.checkCluster(check)
	for _, proxy := range c.Proxies.Trusted {
		check("proxies.trusted", checkNetwork(proxy))
	}
	if c.Proxies.Header != "" {
		check("proxies.header", checkOneOf(c.Proxies.Header, "X-Forwarded-For", "Forwarded", "X-Real-IP"))
	}
	if (c.Proxies.Protocol || c.Proxies.Header != "") && len(c.Proxies.Trusted) == 0 {
		check("proxies.trusted", errors.New("must name the proxies that proxies.protocol and proxies.header are about"))
	}
	for _, origin := range c.Origins {
		check("origins", checkOrigin(origin))
	}
	c.checkAuth(check)
	for _, text := range c.Egress.Allow {
		check("egress.allow", checkPrefix(text))
	}
	check("log.level", checkOneOf(c.Log.Level, "debug", "info", "warn", "error"))
	check("log.format", checkOneOf(c.Log.Format, "text", "json"))
	for _, s := range settings(c) {
		negative := s.value.CanInt() && s.value.Int() < 0 || s.value.CanFloat() && s.value.Float() < 0
		if negative && strings.HasPrefix(s.key, "limits.") {
			check(s.key, fmt.Errorf("%s is below 0", s.text()))
		}
	}
	check("limits.frame_bytes", checkRange(c.Limits.FrameBytes, minFrameBytes, maxFrameBytes))
	check("trace.endpoint", checkEndpoint(c.Trace.Endpoint))
	if c.Trace.Sample < 0 || c.Trace.Sample > 1 {
		check("trace.sample", fmt.Errorf("%v is not between 0 and 1", c.Trace.Sample))
	}
	check("heartbeat", checkRange(c.Heartbeat, minHeartbeat, maxHeartbeat))
	check("drain", checkRange(c.Drain, 0, maxDrain))
	if c.Dev && !c.DevInsecure {
		check("listen", checkLoopback(c.Listen))
		check("admin_listen", checkLoopback(c.AdminListen))
	}
	return errors.Join(faults...)
}

func checkRange[T int | time.Duration](v, least, most T) error {
	if v < least || v > most {
		return fmt.Errorf("%v is not between %v and %v", v, least, most)
	}
	return nil
}

func checkOneOf(v string, allowed ...string) error {
	if !slices.Contains(allowed, v) {
		return fmt.Errorf("%q is none of %s", v, strings.Join(allowed, ", "))
	}
	return nil
}

func checkAddress(address string) error {
	if path, isUnix := strings.CutPrefix(address, unixPrefix); isUnix {
		if path == "" || len(path) > maxSocketPath {
			return fmt.Errorf("the path of a unix socket has 1 to %d bytes", maxSocketPath)
		}
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is neither HOST:PORT nor unix:PATH", address)
	}
	return nil
}

// checkCluster wants to know an address by which other machines find this one.
func (c *Config) checkCluster(check func(key string, err error)) {
	listen, advertise := c.Cluster.Listen, c.Cluster.Advertise
	if listen == "" {
		if advertise != "" {
			check("cluster.advertise", errors.New("says where cluster.listen is reached: name that as well"))
		}
		return
	}
	if strings.HasPrefix(listen, unixPrefix) {
		check("cluster.listen", errors.New("must be HOST:PORT: other machines cannot reach a unix socket"))
		return
	}
	check("cluster.listen", checkAddress(listen))
	if (listen == c.Listen || listen == c.AdminListen) && !strings.HasSuffix(listen, ":0") {
		check("cluster.listen", errors.New("must differ from listen and admin_listen"))
	}
	if advertise == "" {
		if host, _, err := net.SplitHostPort(listen); err == nil && isEverywhere(host) {
			check("cluster.advertise", fmt.Errorf("must say where other nodes reach this one, since cluster.listen is %q", listen))
		}
		return
	}
	host, port, err := net.SplitHostPort(advertise)
	if err != nil || checkAddress(advertise) != nil || port == "0" || isEverywhere(host) {
		check("cluster.advertise", fmt.Errorf("%q is no HOST:PORT that other nodes can reach", advertise))
	}
}

// isEverywhere reports whether a host stands for all addresses of a machine.
func isEverywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// checkLoopback refuses an address that other machines may reach. Only localhost is trusted among names: others may resolve to anything.
func checkLoopback(address string) error {
	if address == "" || strings.HasPrefix(address, unixPrefix) {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil // told by checkAddress
	}
	ip, err := netip.ParseAddr(host)
	if host == "localhost" || err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("%q can be reached from other machines, and dev relaxes what protects them: listen on 127.0.0.1, or say dev_insecure as well", address)
}

// checkAuth looks at the settings of tokens. What is wrong with an issuer's URL beyond its form is told where it is used.
func (c *Config) checkAuth(check func(key string, err error)) {
	for _, name := range c.Auth.Algorithms {
		check("auth.algorithms", checkOneOf(name, "RS256", "ES256", "EdDSA"))
	}
	issuer := c.Auth.JWKS != "" || c.Auth.Issuer != ""
	if issuer && len(c.Auth.Algorithms) == 0 {
		check("auth.algorithms", errors.New("must name at least one of RS256, ES256, EdDSA"))
	}
	if strings.Contains(c.Auth.JWKS, "://") {
		check("auth.jwks", checkWebURL(c.Auth.JWKS))
	} else if c.Auth.JWKS == "" && c.Auth.Issuer != "" {
		check("auth.issuer", checkWebURL(c.Auth.Issuer))
	}
}

func checkWebURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("must be an https URL, such as https://issuer.example.com")
	}
	return nil
}

// checkPrefix wants a range of addresses with nothing but zeros below its length, so that it says what it means.
func checkPrefix(text string) error {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a range of addresses such as 10.1.0.0/16", text)
	case prefix.Addr().Is4In6():
		return fmt.Errorf("%q is a range of IPv4: write it so", text)
	case prefix != prefix.Masked():
		return fmt.Errorf("%q names one address in the range %s", text, prefix.Masked())
	}
	return nil
}

func checkStore(store string) error {
	switch scheme, rest, _ := strings.Cut(store, ":"); scheme {
	case "":
		if store == "" {
			return nil
		}
	case "sqlite":
		if strings.TrimPrefix(rest, "//") != "" {
			return nil
		}
	case "postgres", "postgresql":
		return checkURL(store)
	}
	return errors.New("must be sqlite:PATH or postgres://USER@HOST/DATABASE")
}

// checkShards wants a home in PostgreSQL for shards, and for each a name and a place of its own.
func (c *Config) checkShards() error {
	places := map[string]string{c.Store: "store"}
	for _, name := range sortedKeys(c.Shards) {
		url := c.Shards[name]
		switch {
		case !strings.HasPrefix(c.Store, "postgres"):
			return errors.New("need a store in PostgreSQL, which keeps the map")
		case !isShardName(name):
			return fmt.Errorf("%q is no name of a shard: up to 32 small letters, digits and - , other than home", name)
		case !strings.HasPrefix(url, "postgres"):
			return fmt.Errorf("%s must be postgres://USER@HOST/DATABASE", name)
		case places[url] != "":
			return fmt.Errorf("%s has the URL of %s", name, places[url])
		}
		if err := checkURL(url); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		places[url] = name
	}
	return nil
}

func isShardName(name string) bool {
	return name != "" && len(name) <= 32 && name != "home" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func checkBroker(broker string) error {
	if broker == "" {
		return nil
	}
	if isRedis(broker) {
		return checkRedis(broker)
	}
	if isKafka(broker) {
		return checkKafka(broker)
	}
	if isRabbitMQ(broker) {
		return checkRabbitMQ(broker)
	}
	for server := range strings.SplitSeq(broker, ",") {
		scheme, _, _ := strings.Cut(server, ":")
		if scheme != "nats" && scheme != "tls" {
			return errors.New("must be nats://HOST:4222 (tls:// for a server that wants TLS), or several separated by commas; or redis://HOST:6379/DB; or kafka://HOST:9092/TOPIC; or amqp://HOST:5672/VHOST")
		}
		if err := checkURL(server); err != nil {
			return err
		}
	}
	return nil
}

// Bounds of the feed.
const (
	minFeedKeep   = time.Minute
	maxFeedKeep   = 366 * 24 * time.Hour
	minFeedLength = 1000
	maxFeedLength = 1_000_000_000
)

// checkFeed looks at the settings of the feed.
func (c *Config) checkFeed(check func(key string, err error)) {
	f := &c.Feed
	switch {
	case f.URL == "" && len(f.Queues) > 0:
		check("feed.url", errors.New("must say where the queues are"))
	case f.URL != "" && len(f.Queues) == 0:
		check("feed.queues", errors.New("must declare one queue at least, or nothing is fed: [{name: all, exchange: fanout}]"))
	case f.URL != "":
		check("feed.url", checkFeedURL(f.URL))
	}
	check("feed.keep", checkRange(f.Keep, minFeedKeep, maxFeedKeep))
	check("feed.length", checkRange(f.Length, minFeedLength, maxFeedLength))
	for _, q := range f.Queues {
		if q.Match != "" && q.Match != "all" && q.Match != "any" {
			check("feed.queues", fmt.Errorf("queue %q: match is all or any, and not %q", q.Name, q.Match))
		}
		if q.Match != "" && q.Exchange != string(broker.HeadersExchange) {
			check("feed.queues", fmt.Errorf("queue %q: match is for exchange: headers", q.Name))
		}
	}
	check("feed.queues", broker.CheckQueues(f.Declared()))
}

// checkFeedURL checks a URL as that of a broker, beside which NATS may be told how many servers keep the stream.
func checkFeedURL(s string) error {
	scheme, _, _ := strings.Cut(s, ":")
	if err := checkBroker(s); err != nil || scheme == "nats" || scheme == "tls" || isRedis(s) || isKafka(s) || isRabbitMQ(s) {
		return err
	}
	return errors.New("must be amqp://HOST:5672/VHOST, nats://HOST:4222, kafka://HOST:9092/TOPIC or redis://HOST:6379/DB")
}

// isRedis reports whether a URL is of a Redis server.
func isRedis(s string) bool { return strings.HasPrefix(s, "redis:") || strings.HasPrefix(s, "rediss:") }

// checkRedis checks the URL of a Redis server.
func checkRedis(s string) error {
	if err := checkURL(s); err != nil {
		return err
	}
	u, err := parseURL(s)
	if err != nil || !isRedis(s) || u.Host == "" || u.RawQuery != "" || strings.Contains(s, ",") {
		return errors.New("must be redis://HOST:6379/DB (rediss:// for TLS), of one server")
	}
	if db := strings.TrimPrefix(u.Path, "/"); db != "" {
		if _, err := strconv.ParseUint(db, 10, 16); err != nil {
			return errors.New("must be redis://HOST:6379/DB, where DB is the number of a database")
		}
	}
	return nil
}

// isKafka reports whether a URL is of a Kafka server.
func isKafka(s string) bool { return strings.HasPrefix(s, "kafka:") || strings.HasPrefix(s, "kafkas:") }

// checkKafka checks the URLs of the servers of a Kafka cluster. What the first says besides its host is for all.
func checkKafka(s string) error {
	scheme, _, _ := strings.Cut(s, ":")
	for i, server := range strings.Split(s, ",") {
		if err := checkURL(server); err != nil {
			return err
		}
		u, err := parseURL(server)
		if err != nil || u.Scheme != scheme || u.Hostname() == "" {
			return errors.New("must be kafka://HOST:9092/TOPIC?partitions=12 (kafkas:// for TLS), or several separated by commas")
		}
		if i > 0 && (u.User != nil || u.Path != "" || u.RawQuery != "") {
			return errors.New("must name user, topic and partitions of Kafka in its first URL only")
		}
	}
	return nil
}

// isRabbitMQ reports whether a URL is of a RabbitMQ server.
func isRabbitMQ(s string) bool {
	return strings.HasPrefix(s, "amqp:") || strings.HasPrefix(s, "amqps:")
}

// checkRabbitMQ checks the URLs of the servers of a RabbitMQ cluster. Each is whole: the client library takes them as they are.
func checkRabbitMQ(s string) error {
	for server := range strings.SplitSeq(s, ",") {
		if err := checkURL(server); err != nil {
			return err
		}
		u, err := parseURL(server)
		if err != nil || !isRabbitMQ(server) || u.Hostname() == "" || strings.Count(u.EscapedPath(), "/") > 1 {
			return errors.New("must be amqp://HOST:5672/VHOST (amqps:// for TLS), with %2F for a slash in VHOST, or several separated by commas")
		}
	}
	return nil
}

func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := parseURL(endpoint)
	if err == nil && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("must be http://HOST:4318/v1/traces, or https")
	}
	return err
}

func checkURL(s string) error {
	u, err := parseURL(s)
	if err == nil && u.Opaque != "" {
		return errors.New("is not a URL: // must follow the colon")
	}
	return err
}

func checkNode(node string) error {
	if len(node) > maxNodeName {
		return fmt.Errorf("is longer than %d characters", maxNodeName)
	}
	for _, c := range node {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("_-.", c) {
			return fmt.Errorf("%q may hold letters, digits, _ - and . only", node)
		}
	}
	return nil
}

func checkNetwork(s string) error {
	if s == "unix" {
		return nil
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return nil
	}
	if _, err := netip.ParsePrefix(s); err != nil {
		return fmt.Errorf("%q is neither an address, nor a network such as 10.0.0.0/8, nor unix", s)
	}
	return nil
}

// checkOrigin wants an origin as browsers write it, since it is compared as a text.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Contains(u.Host, "*"):
		return fmt.Errorf("%q is not an origin such as https://app.example.com; each must be named", origin)
	case origin != u.Scheme+"://"+u.Host:
		return fmt.Errorf("%q is more than an origin: write %s://%s", origin, u.Scheme, u.Host)
	case origin != strings.ToLower(origin):
		return fmt.Errorf("%q: browsers write origins in small letters", origin)
	case u.Scheme == "http" && u.Port() == "80", u.Scheme == "https" && u.Port() == "443":
		return fmt.Errorf("%q: browsers leave out the usual port", origin)
	}
	return nil
}
