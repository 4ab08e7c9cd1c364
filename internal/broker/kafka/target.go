package kafka

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	defaultTopic      = "parley"
	defaultPartitions = 12
	mostPartitions    = 1000
	defaultPort       = "9092"
)

// The mechanisms of SASL, as they are written in a URL.
const (
	scram512 = "scram-sha-512"
	scram256 = "scram-sha-256"
	plain    = "plain" // the password itself
)

// target is what a URL says.
type target struct {
	hosts          []string // HOST:PORT
	tls            bool
	user, password string // "" for none
	sasl           string // how they are told: one of the mechanisms
	topic          string
	partitions     int32
}

var errURL = errors.New("the URL of Kafka is not kafka://HOST:PORT/TOPIC or kafkas://…, or several separated by commas, all but the first without a topic")

// parse reads a URL. Its errors do not show it: it may hold a password.
func parse(text string) (target, error) {
	t := target{topic: defaultTopic, partitions: defaultPartitions, sasl: scram512}
	scheme := ""
	for i, server := range strings.Split(text, ",") {
		u, err := url.Parse(server)
		if err != nil || u.Hostname() == "" || u.Fragment != "" {
			return t, errURL
		}
		if i == 0 {
			scheme, t.tls = u.Scheme, u.Scheme == "kafkas"
			if err := t.describe(u); err != nil {
				return t, err
			}
		} else if u.Scheme != scheme || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return t, errURL
		}
		port := u.Port()
		if port == "" {
			port = defaultPort
		}
		t.hosts = append(t.hosts, net.JoinHostPort(u.Hostname(), port))
	}
	if scheme != "kafka" && scheme != "kafkas" {
		return t, errURL
	}
	return t, nil
}

// describe takes from the first URL what is said once for all servers.
func (t *target) describe(u *url.URL) error {
	t.user = u.User.Username()
	t.password, _ = u.User.Password()
	if (t.user == "") != (t.password == "") {
		return errors.New("the URL of Kafka has a user without a password, or the reverse")
	}
	if topic := strings.Trim(u.Path, "/"); topic != "" {
		t.topic = topic
	}
	if !isTopic(t.topic) {
		return fmt.Errorf("the topic %q is not made of letters, digits, dots, underscores and dashes", t.topic)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errURL
	}
	for name, values := range query {
		value := values[0]
		switch {
		case name == "partitions" && len(values) == 1:
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > mostPartitions {
				return fmt.Errorf("partitions of Kafka's topic must be a number from 1 to %d", mostPartitions)
			}
			t.partitions = int32(n)
		case name == "sasl" && len(values) == 1 && (value == scram512 || value == scram256):
			t.sasl = value
		case name == "sasl" && len(values) == 1 && value == plain:
			if !t.tls {
				return errors.New("sasl=plain shows the password: it needs kafkas://")
			}
			t.sasl = value
		default:
			return errors.New("the URL of Kafka may say partitions=NUMBER and sasl=scram-sha-512, scram-sha-256 or plain, each once")
		}
	}
	return nil
}

// isTopic reports whether Kafka would take the name.
func isTopic(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return 0 < len(name) && len(name) <= 249 && name != "." && name != ".."
}

// mechanism is how the user proves who it is.
func (t *target) mechanism() sasl.Mechanism {
	secret := scram.Auth{User: t.user, Pass: t.password}
	switch t.sasl {
	case plain:
		return saslplain.Auth{User: t.user, Pass: t.password}.AsMechanism()
	case scram256:
		return secret.AsSha256Mechanism()
	default:
		return secret.AsSha512Mechanism()
	}
}
