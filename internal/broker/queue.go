package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-im/parley/protocol"
)

// ExchangeKind is how a queue is bound, as AMQP 0-9-1 has it.
type ExchangeKind string

// The kinds.
const (
	DirectExchange  ExchangeKind = "direct"  // entries whose routing key is one of the queue's
	TopicExchange   ExchangeKind = "topic"   // entries whose routing key one of the queue's patterns matches
	FanoutExchange  ExchangeKind = "fanout"  // all entries
	HeadersExchange ExchangeKind = "headers" // entries with the queue's headers
)

// Queue is a queue of the feed, as it is declared.
type Queue struct {
	Name     string
	Exchange ExchangeKind
	Bind     []string          // direct: routing keys; topic: patterns, in which * stands for one word and # for any number of them
	Headers  map[string]string // headers: what an entry's must be
	Any      bool              // headers: one of them is enough
}

// Matches reports whether an entry belongs into the queue: what RabbitMQ decides for the same bindings.
func (q *Queue) Matches(e *Entry) bool {
	switch q.Exchange {
	case DirectExchange:
		return slices.Contains(q.Bind, e.RoutingKey())
	case TopicExchange:
		key := strings.Split(e.RoutingKey(), ".")
		return slices.ContainsFunc(q.Bind, func(pattern string) bool { return matchTopic(strings.Split(pattern, "."), key) })
	case HeadersExchange:
		return q.matchHeaders(e)
	default:
		return q.Exchange == FanoutExchange
	}
}

// matchHeaders: of no header at all, all are there and not one of them is.
func (q *Queue) matchHeaders(e *Entry) bool {
	for name, want := range q.Headers {
		if got, ok := e.Header(name); (ok && got == want) == q.Any {
			return q.Any
		}
	}
	return !q.Any
}

// matchTopic matches the words of a key with those of a pattern.
func matchTopic(pattern, key []string) bool {
	if len(pattern) == 0 {
		return len(key) == 0
	}
	if pattern[0] == "#" {
		return matchTopic(pattern[1:], key) || len(key) > 0 && matchTopic(pattern, key[1:])
	}
	return len(key) > 0 && (pattern[0] == "*" || pattern[0] == key[0]) && matchTopic(pattern[1:], key[1:])
}

// Bounds of what is declared.
const (
	MaxQueues    = 64 // in a feed: every event is offered to each
	maxQueueName = 64
	maxBindings  = 64  // of one queue
	maxPattern   = 255 // bytes, as AMQP has it
)

// CheckQueues says what makes no sense about the queues of a feed, in the words of its settings.
func CheckQueues(queues []Queue) error {
	if len(queues) > MaxQueues {
		return fmt.Errorf("there are %d queues, and at most %d can be declared", len(queues), MaxQueues)
	}
	var faults []error
	seen := map[string]bool{}
	for i := range queues {
		q := &queues[i]
		if err := q.check(); err != nil {
			faults = append(faults, fmt.Errorf("queue %q: %w", q.Name, err))
		}
		if seen[q.Name] {
			faults = append(faults, fmt.Errorf("queue %q is declared twice", q.Name))
		}
		seen[q.Name] = true
	}
	return errors.Join(faults...)
}

func (q *Queue) check() error {
	if !isQueueName(q.Name) {
		return fmt.Errorf("its name must have 1 to %d letters, digits, _ or -", maxQueueName)
	}
	if len(q.Bind) > maxBindings {
		return fmt.Errorf("it has %d bindings, and at most %d are possible", len(q.Bind), maxBindings)
	}
	if q.Exchange != HeadersExchange && (len(q.Headers) > 0 || q.Any) {
		return fmt.Errorf("headers and match are for exchange: headers, and this is %s", q.Exchange)
	}
	switch q.Exchange {
	case DirectExchange, TopicExchange:
		if len(q.Bind) == 0 {
			return fmt.Errorf("exchange: %s needs bind, or nothing gets into the queue; fanout takes everything", q.Exchange)
		}
		return q.checkBindings()
	case FanoutExchange:
		if len(q.Bind) > 0 {
			return errors.New("exchange: fanout takes everything and has no bind; topic has patterns")
		}
	case HeadersExchange:
		if len(q.Bind) > 0 {
			return errors.New("exchange: headers has headers, and no bind")
		}
		return q.checkHeaders()
	default:
		return fmt.Errorf("exchange %q is none of direct, topic, fanout, headers", q.Exchange)
	}
	return nil
}

// checkBindings refuses what nothing can match: every routing key is known.
func (q *Queue) checkBindings() error {
	for i, bound := range q.Bind {
		switch {
		case len(bound) > maxPattern:
			return fmt.Errorf("the binding %.20q… is longer than %d bytes", bound, maxPattern)
		case slices.Contains(q.Bind[:i], bound):
			return fmt.Errorf("the binding %q stands twice", bound)
		case q.Exchange == DirectExchange && strings.ContainsAny(bound, "*#"):
			return fmt.Errorf("the binding %q is a pattern: exchange: topic has them", bound)
		}
		one := Queue{Exchange: q.Exchange, Bind: []string{bound}}
		if len(one.Keys()) == 0 {
			return fmt.Errorf("the binding %q matches no event: routing keys are KIND.EVENT, such as group.message.created, and KIND is direct, group, channel or live", bound)
		}
	}
	return nil
}

func (q *Queue) checkHeaders() error {
	if len(q.Headers) == 0 {
		return errors.New("exchange: headers needs headers; fanout takes everything")
	}
	for name, value := range q.Headers {
		switch _, known := new(Entry).Header(name); {
		case !known:
			return fmt.Errorf("no entry has the header %q: there are %s", name, strings.Join(HeaderNames(), ", "))
		case name == HeaderKind && !slices.Contains(kinds(), value):
			return fmt.Errorf("no room is of the kind %q: they are %s", value, strings.Join(kinds(), ", "))
		case name == HeaderEvent && !slices.Contains(events(), value):
			return fmt.Errorf("there is no event %q: they are %s", value, strings.Join(events(), ", "))
		}
	}
	return nil
}

// isQueueName is what every engine takes in its own names.
func isQueueName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxQueueName
}

// Keys are the routing keys that belong into a queue, of all that there are. It is not for a headers exchange, which routes by more.
func (q *Queue) Keys() []string {
	var keys []string
	for _, e := range everyKey() {
		if q.Matches(&e) {
			keys = append(keys, e.RoutingKey())
		}
	}
	return keys
}

// everyKey has an entry for each routing key.
func everyKey() []Entry {
	var all []Entry
	for _, kind := range kinds() {
		for _, event := range events() {
			all = append(all, Entry{Kind: kind, Event: event})
		}
	}
	return all
}

func kinds() []string {
	return []string{string(protocol.Direct), string(protocol.Group), string(protocol.Channel), string(protocol.Live)}
}

func events() []string {
	var names []string
	for _, p := range protocol.Pushes() {
		if p.Event {
			names = append(names, string(p.Name))
		}
	}
	return names
}

// FindQueue is the queue of a name, nil if none is declared.
func FindQueue(queues []Queue, name string) *Queue {
	for i := range queues {
		if queues[i].Name == name {
			return &queues[i]
		}
	}
	return nil
}
