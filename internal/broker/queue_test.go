package broker_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-im/parley/internal/broker"
)

// What RabbitMQ itself does is held against Matches by brokertest, in the adapter's test with the real server.
func TestMatches(t *testing.T) {
	e := broker.Entry{Room: "r_a", Seq: 7, Kind: "group", Event: "message.created", User: "ann", Epoch: "e"}
	topic := func(patterns ...string) broker.Queue {
		return broker.Queue{Exchange: broker.TopicExchange, Bind: patterns}
	}
	headers := func(anyOf bool, pairs ...string) broker.Queue {
		q := broker.Queue{Exchange: broker.HeadersExchange, Any: anyOf, Headers: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			q.Headers[pairs[i]] = pairs[i+1]
		}
		return q
	}
	const all, some = false, true
	for _, tt := range []struct {
		q    broker.Queue
		want bool
	}{
		{broker.Queue{Exchange: broker.FanoutExchange}, true},
		{broker.Queue{}, false},
		{broker.Queue{Exchange: broker.DirectExchange, Bind: []string{"live.message.created", "group.message.created"}}, true},
		{broker.Queue{Exchange: broker.DirectExchange, Bind: []string{"group.message"}}, false},
		{topic("group.message.created"), true},
		{topic("#"), true},
		{topic("#.#"), true},
		{topic("*.*.*"), true},
		{topic("*.*"), false},
		{topic("*.*.*.*"), false},
		{topic("*.*.*.#"), true},
		{topic("#.created"), true},
		{topic("group.#"), true},
		{topic("group.#.created"), true},
		{topic("group.#.message.*"), true},
		{topic("#.message"), false},
		{topic("live.#", "*.message.*"), true},
		{topic(""), false},
		{topic("group.message.created."), false},
		{headers(all, "event", "message.created", "seq", "7"), true},
		{headers(all, "event", "message.created", "seq", "8"), false},
		{headers(some, "event", "message.created", "seq", "8"), true},
		{headers(some, "user", "bob"), false},
		{headers(all, "id", "r_a/7", "room", "r_a", "kind", "group", "user", "ann", "epoch", "e"), true},
		{headers(all, "absent", ""), false},
		{headers(all), true},
		{headers(some), false},
	} {
		if got := tt.q.Matches(&e); got != tt.want {
			t.Errorf("%+v matches: %v", tt.q, got)
		}
	}
}

// A pattern with # is as all patterns in which # was replaced by up to three times *.
func TestHashIsAnyNumberOfStars(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"group", "message", "created", "*", "#"}), 1, 5).Draw(t, "pattern")
		e := broker.Entry{Kind: rapid.SampledFrom([]string{"group", "live"}).Draw(t, "kind"), Event: "message.created"}
		var expand func(done, rest []string) bool
		expand = func(done, rest []string) bool {
			if len(rest) == 0 {
				if len(done) != 3 {
					return false
				}
				for i, word := range strings.Split(e.RoutingKey(), ".") {
					if done[i] != "*" && done[i] != word {
						return false
					}
				}
				return true
			}
			if rest[0] != "#" {
				return expand(append(done[:len(done):len(done)], rest[0]), rest[1:])
			}
			for n := range 4 {
				stars := done[:len(done):len(done)]
				for range n {
					stars = append(stars, "*")
				}
				if expand(stars, rest[1:]) {
					return true
				}
			}
			return false
		}
		q := broker.Queue{Exchange: broker.TopicExchange, Bind: []string{strings.Join(words, ".")}}
		if got, want := q.Matches(&e), expand(nil, words); got != want {
			t.Errorf("%v matches %s: %v, want %v", words, e.RoutingKey(), got, want)
		}
	})
}

func TestCheckQueues(t *testing.T) {
	many := make([]broker.Queue, broker.MaxQueues+1)
	for _, tt := range []struct {
		queues []broker.Queue
		want   string // a part of the error; "" for none
	}{
		{[]broker.Queue{
			{Name: "a", Exchange: "fanout"},
			{Name: "b_B-2", Exchange: "direct", Bind: []string{"group.message.created"}},
			{Name: "c", Exchange: "topic", Bind: []string{"#.message.*", "live.#"}},
			{Name: "d", Exchange: "headers", Headers: map[string]string{"user": "ann", "kind": "live"}, Any: true},
		}, ""},
		{[]broker.Queue{{Name: "a", Exchange: "fanout"}, {Name: "a", Exchange: "fanout"}}, `queue "a" is declared twice`},
		{[]broker.Queue{{Name: "a.b", Exchange: "fanout"}}, "letters, digits"},
		{[]broker.Queue{{Exchange: "fanout"}}, "letters, digits"},
		{[]broker.Queue{{Name: "a", Exchange: "fan"}}, `"fan" is none of direct, topic, fanout, headers`},
		{[]broker.Queue{{Name: "a"}}, "is none of"},
		{[]broker.Queue{{Name: "a", Exchange: "fanout", Bind: []string{"#"}}}, "has no bind"},
		{[]broker.Queue{{Name: "a", Exchange: "direct"}}, "needs bind"},
		{[]broker.Queue{{Name: "a", Exchange: "direct", Bind: []string{"*.message.created"}}}, "is a pattern"},
		{[]broker.Queue{{Name: "a", Exchange: "direct", Bind: []string{"message.created"}}}, "matches no event"},
		{[]broker.Queue{{Name: "a", Exchange: "topic", Bind: []string{"*.mesage.*"}}}, "matches no event"},
		{[]broker.Queue{{Name: "a", Exchange: "topic", Bind: []string{"#", "#"}}}, "stands twice"},
		{[]broker.Queue{{Name: "a", Exchange: "topic", Bind: []string{"#" + strings.Repeat(".#", 150)}}}, "longer than"},
		{[]broker.Queue{{Name: "a", Exchange: "topic", Bind: []string{"#"}, Any: true}}, "are for exchange: headers"},
		{[]broker.Queue{{Name: "a", Exchange: "headers"}}, "needs headers"},
		{[]broker.Queue{{Name: "a", Exchange: "headers", Bind: []string{"#"}}}, "no bind"},
		{[]broker.Queue{{Name: "a", Exchange: "headers", Headers: map[string]string{"colour": "red"}}}, `no entry has the header "colour"`},
		{[]broker.Queue{{Name: "a", Exchange: "headers", Headers: map[string]string{"kind": "red"}}}, "no room is of the kind"},
		{[]broker.Queue{{Name: "a", Exchange: "headers", Headers: map[string]string{"event": "typing"}}}, "there is no event"},
		{[]broker.Queue{{Name: "a", Exchange: "direct", Bind: make([]string, 65)}}, "has 65 bindings"},
		{many, "at most 64"},
	} {
		err := broker.CheckQueues(tt.queues)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%.200v: %v, want %q", tt.queues, err, tt.want)
		}
	}
}

func TestWaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rooms := rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c"})).Draw(t, "rooms")
		var entries []broker.Entry
		seqs := map[string]uint64{}
		for _, room := range rooms {
			seqs[room]++
			entries = append(entries, broker.Entry{Room: room, Seq: seqs[room]})
		}
		came := map[string]uint64{}
		for _, wave := range broker.Waves(entries) {
			in := map[string]bool{}
			for _, e := range wave {
				if in[e.Room] || e.Seq != came[e.Room]+1 {
					t.Fatalf("room %s: %d came after %d, twice in a wave: %v", e.Room, e.Seq, came[e.Room], in[e.Room])
				}
				in[e.Room], came[e.Room] = true, e.Seq
			}
		}
		for room, seq := range seqs {
			if came[room] != seq {
				t.Errorf("room %s ends with %d of %d", room, came[room], seq)
			}
		}
	})
}
