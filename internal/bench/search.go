package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// SearchReport is what came of searching.
type SearchReport struct {
	Messages  uint64    `json:"messages"`    // that can be found
	FillPerS  float64   `json:"fill_per_s"`  // at which they were acknowledged
	CaughtUpS float64   `json:"caught_up_s"` // from the last acknowledgement until the last was found: how far the index was behind the log
	Queries   uint64    `json:"queries"`
	QueryMS   Quantiles `json:"query_ms"`
	Partial   uint64    `json:"partial"` // of them, those for which the server's time ran out
	Empty     uint64    `json:"empty"`   // of the others, those that found none, though their words stand in some message
	LagMS     Quantiles `json:"lag_ms"`  // from the acknowledgement of a message to the answer that has it, under load
}

// searchRun is a run of the scenario search: rooms are filled with messages of words as common and as rare as in a language; then some search, while others
// go on talking.
type searchRun struct {
	*run
	people  []*client.HTTP // each is a member of every room
	ids     []string       // theirs
	rooms   []string
	words   []string
	number  atomic.Uint64 // of messages
	wrong   atomic.Uint64
	partial atomic.Uint64
	empty   atomic.Uint64
	query   *latency
	lag     *latency
	queries atomic.Uint64
	report  Report
}

const (
	searchPeople = 64     // at most as many calls at once
	vocabulary   = 20_000 // words
	searchers    = 2
	probeEvery   = 250 * time.Millisecond
	probePause   = 5 * time.Millisecond
)

// runSearch carries out the scenario.
func runSearch(ctx context.Context, c Config) (Report, error) {
	r := &searchRun{run: newRun(c), query: newLatency(), lag: newLatency()}
	defer r.close()
	r.caller.Transport.(*http.Transport).MaxIdleConnsPerHost = searchPeople
	r.caller.Transport.(*http.Transport).MaxConnsPerHost = searchPeople
	for i := range vocabulary {
		r.words = append(r.words, "w"+strconv.FormatInt(int64(i), 36))
	}
	if err := r.setUp(ctx); err != nil {
		return Report{}, err
	}
	began := time.Now()
	if err := r.fill(ctx); err != nil {
		return Report{}, err
	}
	filled := time.Since(began).Seconds()
	found, err := r.probe(ctx, 0)
	if err != nil {
		return Report{}, err
	}
	s := &SearchReport{Messages: r.count.acked.Load(), FillPerS: float64(r.count.acked.Load()) / filled, CaughtUpS: found.Seconds()}
	if err := r.searchUnderLoad(ctx); err != nil {
		return Report{}, err
	}
	s.Queries, s.QueryMS, s.LagMS = r.queries.Load(), r.query.quantiles(), r.lag.quantiles()
	s.Partial, s.Empty = r.partial.Load(), r.empty.Load()
	r.report = Report{
		Scenario: Search, Rooms: len(r.rooms), Seconds: time.Since(began).Seconds(), Sent: r.number.Load(), Acked: r.count.acked.Load(),
		AckMS: r.ack.quantiles(), AckedPerS: s.FillPerS, Strange: r.wrong.Load(), BenchCPUS: processorTime(), Special: Special{Search: s},
	}
	if s.Empty > 0 {
		r.report.Problems = append(r.report.Problems, fmt.Sprintf("%d queries for words that stand in messages found none", s.Empty))
	}
	return r.report, nil
}

// setUp makes the people and the rooms.
func (r *searchRun) setUp(ctx context.Context) error {
	for i := range searchPeople {
		u := &user{id: r.name + "-" + strconv.Itoa(i)}
		h, err := r.http(u)
		if err != nil {
			return err
		}
		if err := r.insist(ctx, func() error { _, err := h.Users.Get(ctx, u.id); return err }); err != nil {
			return fmt.Errorf("bench: making a user: %w", err)
		}
		r.people, r.ids = append(r.people, h), append(r.ids, u.id)
	}
	r.rooms = make([]string, r.c.Rooms)
	return each(len(r.rooms), 16, func(i int) error {
		return r.insist(ctx, func() error {
			result, err := r.people[0].Rooms.Create(ctx, protocol.RoomCreateParams{
				Kind: protocol.Group, Name: fmt.Sprint(r.name, " ", i), Members: r.ids[1:], ClientID: "room-" + strconv.Itoa(i),
			})
			r.rooms[i] = result.Room.ID
			return err
		})
	})
}

// text is some words; a few of them are in most messages, most in few.
func (r *searchRun) text(random *rand.Rand, zipf *rand.Zipf) string {
	words := make([]string, 6+random.IntN(12))
	for i := range words {
		words[i] = r.words[zipf.Uint64()]
	}
	return strings.Join(words, " ")
}

func newWords(seed uint64) (*rand.Rand, *rand.Zipf) {
	random := rand.New(rand.NewPCG(seed, 1))
	return random, rand.NewZipf(random, 1.1, 4, vocabulary-1)
}

// send sends one message and returns when it was acknowledged.
func (r *searchRun) send(ctx context.Context, who int, text string) (time.Time, error) {
	n := r.number.Add(1)
	began := time.Now()
	err := r.insist(ctx, func() error {
		_, err := r.people[who].Messages.Send(ctx, protocol.MessageSendParams{
			Room: r.rooms[n%uint64(len(r.rooms))], ClientID: strconv.FormatUint(n, 10), Text: text,
		})
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("bench: sending a message: %w", err)
	}
	r.ack.add(who, time.Since(began))
	r.count.acked.Add(1)
	return time.Now(), nil
}

// fill sends the messages, as fast as they are taken.
func (r *searchRun) fill(ctx context.Context) error {
	return each(searchPeople, searchPeople, func(who int) error {
		random, zipf := newWords(uint64(who))
		for r.number.Load() < uint64(r.c.Messages) {
			if _, err := r.send(ctx, who, r.text(random, zipf)); err != nil {
				return err
			}
			r.bar.say("filling: %s of %s messages", number(r.count.acked.Load()), number(uint64(r.c.Messages)))
		}
		return nil
	})
}

// probe sends a message with a word of its own, and tells how long after its acknowledgement it was found.
func (r *searchRun) probe(ctx context.Context, who int) (time.Duration, error) {
	word := fmt.Sprint("probe", r.number.Load(), "x", who)
	acked, err := r.send(ctx, who, word)
	if err != nil {
		return 0, err
	}
	limit, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for {
		result, err := r.people[who].Messages.Search(limit, protocol.MessageSearchParams{Query: word})
		switch {
		case err == nil && len(result.Messages) == 1:
			return time.Since(acked), nil
		case limit.Err() != nil:
			return 0, fmt.Errorf("bench: a message was not found: %w", limit.Err())
		}
		r.bar.say("waiting for the index")
		pause := time.NewTimer(probePause)
		select {
		case <-pause.C:
		case <-limit.Done():
		}
	}
}

// searchUnderLoad searches for as long as the load lasts, while messages go on being sent by the clock.
func (r *searchRun) searchUnderLoad(ctx context.Context) error {
	during, cancel := context.WithTimeout(ctx, r.c.Duration)
	defer cancel()
	var workers sync.WaitGroup
	errs := make([]error, searchers+2)
	for i := range searchers {
		workers.Go(func() { errs[i] = r.searchAll(ctx, during, i) })
	}
	workers.Go(func() { errs[searchers] = r.talk(ctx, during) })
	workers.Go(func() {
		for during.Err() == nil {
			lag, err := r.probe(ctx, searchPeople-1)
			if err != nil {
				errs[searchers+1] = err
				return
			}
			r.lag.add(0, lag)
			pause := time.NewTimer(probeEvery)
			select {
			case <-pause.C:
			case <-during.Done():
			}
		}
	})
	workers.Wait()
	return errors.Join(errs...)
}

// talk sends by the clock.
func (r *searchRun) talk(ctx, during context.Context) error {
	random, zipf := newWords(searchPeople)
	tick := time.NewTicker(time.Second / time.Duration(r.c.Comments))
	defer tick.Stop()
	var sending sync.WaitGroup
	defer sending.Wait()
	free := make(chan int, searchPeople/2) // who has nothing on the way
	for who := range cap(free) {
		free <- who
	}
	var failed atomic.Pointer[error]
	for {
		select {
		case <-tick.C:
		case <-during.Done():
			sending.Wait()
			if err := failed.Load(); err != nil {
				return *err
			}
			return nil
		}
		select {
		case who := <-free:
			text := r.text(random, zipf)
			sending.Go(func() {
				if _, err := r.send(ctx, who, text); err != nil {
					failed.Store(&err)
				}
				free <- who
			})
		default: // the server does not keep up: what waits is what the clock owes
		}
	}
}

// search is one question: words that stand in some message.
func search(random *rand.Rand, text string) string {
	words := strings.Fields(text)
	i := random.IntN(len(words) - 1)
	switch random.IntN(4) {
	case 0:
		return words[i]
	case 1:
		return words[i] + " " + words[random.IntN(len(words))]
	case 2:
		return `"` + words[i] + " " + words[i+1] + `"`
	}
	return words[i] + "*"
}

// searchAll asks one question after the other, and looks whether what comes is what was asked for.
func (r *searchRun) searchAll(ctx, during context.Context, who int) error {
	random, _ := newWords(uint64(1000 + who))
	for during.Err() == nil {
		// The words of a message that was sent: those of one of the people, made again from the same beginning.
		known, zipf := newWords(uint64(random.IntN(searchPeople)))
		text := r.text(known, zipf)
		query := search(random, text)
		began := time.Now()
		result, err := r.people[who].Messages.Search(ctx, protocol.MessageSearchParams{Query: query})
		if err != nil {
			return fmt.Errorf("bench: searching for %s: %w", query, err)
		}
		r.query.add(who, time.Since(began))
		r.queries.Add(1)
		switch {
		case result.Partial:
			r.partial.Add(1)
		case len(result.Messages) == 0:
			r.empty.Add(1)
		}
		for i, m := range result.Messages {
			if !answers(query, m.Text) || i > 0 && m.At > result.Messages[i-1].At {
				r.wrong.Add(1)
			}
		}
		r.bar.say("searching: %s questions", number(r.queries.Load()))
	}
	return nil
}

// answers reports whether a text has what a query of search asks for.
func answers(query string, text *string) bool {
	if text == nil {
		return false
	}
	framed := " " + *text + " "
	switch {
	case strings.HasPrefix(query, `"`):
		return strings.Contains(framed, " "+strings.Trim(query, `"`)+" ")
	case strings.HasSuffix(query, "*"):
		return strings.Contains(framed, " "+strings.TrimSuffix(query, "*"))
	}
	for word := range strings.FieldsSeq(query) {
		if !strings.Contains(framed, " "+word+" ") {
			return false
		}
	}
	return true
}

// lines are the report for people, name and text in turn.
func (s *SearchReport) lines(line func(name, format string, args ...any)) {
	line("filled", "%s messages, %s/s; the last was found %.1f s after it was acknowledged", number(s.Messages), number(uint64(s.FillPerS)), s.CaughtUpS)
	line("searched", "%s times, %s of them cut short by the server's time limit", number(s.Queries), number(s.Partial))
	line("", "%s", s.QueryMS)
	line("found after", "%s", s.LagMS)
}
