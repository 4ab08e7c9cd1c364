package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/feed"
	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/protocol"
)

var (
	_ feed.Source = (*Feed)(nil)
	_ feed.Keeper = (*Feed)(nil)
)

var (
	insertSink  = database.SQL(`INSERT INTO sinks (name, since) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`)
	selectSink  = database.SQL(`SELECT since FROM sinks WHERE name = $1`)
	deleteSink  = database.SQL(`DELETE FROM sinks WHERE name = $1`)
	countSinks  = database.SQL(`SELECT count(*) FROM sinks`)
	ofTheFeed   = `sink >= 'feed' AND sink < 'feed0'` // feed, and all that begins with feed/
	deleteJobs  = database.SQL(`DELETE FROM jobs WHERE ` + ofTheFeed)
	deleteDead  = database.SQL(`DELETE FROM dead_letters WHERE ` + ofTheFeed)
	countJobs   = database.SQL(`SELECT count(*), COALESCE(min(p.at), 0) FROM (SELECT at FROM jobs WHERE ` + ofTheFeed + ` {rooms room} LIMIT CAST($1 AS BIGINT)) p`)
	countDead   = database.SQL(`SELECT count(*) FROM dead_letters WHERE ` + ofTheFeed + ` {rooms room}`)
	selectDead  = database.SQL(`SELECT sink, room, seq, at, reason FROM dead_letters WHERE ` + ofTheFeed + ` {rooms room} ORDER BY sink, room, seq LIMIT CAST($1 AS BIGINT)`)
	jobsForDead = database.SQL(`INSERT INTO jobs (sink, room, seq, at) SELECT CASE WHEN sink = 'feed' THEN 'feed/again' ELSE sink END, room, seq, $1 FROM dead_letters
		WHERE ` + ofTheFeed + ` {writes room} ON CONFLICT (sink, room, seq) DO NOTHING`)
	settleDead = database.SQL(`DELETE FROM dead_letters WHERE ` + ofTheFeed + ` {writes room}`)

	// makeJobs makes the jobs of a span, before its mark moves. After a rebuild of the search index the relay comes by again: what was handed is left out.
	makeJobs = database.SQL(`INSERT INTO jobs (sink, room, seq, at) SELECT s.name, e.room, e.seq, $4 FROM room_heads h CROSS JOIN events e CROSS JOIN sinks s
		WHERE h.room = $1 AND e.room = h.room AND e.seq > $2 AND e.seq <= $3 AND e.seq > h.handed ON CONFLICT (sink, room, seq) DO NOTHING`)
	addJobs = database.SQL(`INSERT INTO jobs (sink, room, seq, at) SELECT CAST($1 AS TEXT), p.a, p.b, $3 FROM {places $2} p WHERE true ON CONFLICT (sink, room, seq) DO NOTHING`)

	// From one sink or room with jobs to the next, without a look at the jobs between.
	nextSink    = database.SQL(`SELECT COALESCE(min(sink), '') FROM jobs WHERE sink > $1 AND ` + ofTheFeed)
	selectLines = database.SQL(`WITH RECURSIVE r (room) AS (SELECT (SELECT min(j.room) FROM jobs j WHERE j.sink = $1 AND j.room > $2)
		UNION ALL SELECT (SELECT min(j.room) FROM jobs j WHERE j.sink = $1 AND j.room > r.room) FROM r WHERE r.room IS NOT NULL)
		SELECT r.room FROM r WHERE r.room IS NOT NULL AND substr(r.room, 3, 1) IN {list $3} {upkeep r.room} LIMIT CAST($4 AS BIGINT)`)
	selectJobs = database.SQL(`SELECT j.seq, COALESCE(r.kind, ''), COALESCE(e.name, ''), COALESCE(e.at, 0), COALESCE(e.user_id, ''), COALESCE(e.data, '')
		FROM jobs j LEFT JOIN rooms r ON r.id = j.room LEFT JOIN events e ON e.room = j.room AND e.seq = j.seq
		WHERE j.sink = $1 AND j.room = $2 ORDER BY j.seq LIMIT CAST($3 AS BIGINT)`)
	dropJobs = database.SQL(`DELETE FROM jobs WHERE sink = $1 AND (room, seq) IN (SELECT p.a, p.b FROM {places $2} p)`)
	bury     = database.SQL(`INSERT INTO dead_letters (sink, room, seq, at, reason) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (sink, room, seq) DO NOTHING`)

	selectGrown = database.SQL(`SELECT h.room FROM room_heads h WHERE h.room > $1 AND h.room < $2 AND h.at >= $3 ORDER BY h.room LIMIT CAST($4 AS BIGINT)`)
	selectSince = database.SQL(`SELECT e.seq FROM room_heads h CROSS JOIN events e WHERE h.room = $1 AND e.room = h.room AND e.seq > $2 AND e.seq <= h.handed
		AND e.at >= $3 ORDER BY e.seq LIMIT CAST($4 AS BIGINT)`)

	takeFeedLeases = leasing("feed_leases")
)

// Feed is a store as the feed uses it. All methods may be called from any goroutine.
type Feed struct {
	*db
	epoch func() string
}

// Feed is what the store has to be put.
func (s *Store) Feed() *Feed { return &Feed{s.db, s.Epoch} }

// Begin has a job made for every event from now on, on whatever node it is applied. Where that was so before it changes nothing.
func (f *Feed) Begin(ctx context.Context) error {
	return f.write(ctx, scope{}, func(t database.Tx) error {
		_, err := t.Exec(ctx, insertSink, feed.First, protocol.At(f.now()))
		return err
	})
}

// Since implements feed.Keeper.
func (f *Feed) Since(ctx context.Context) (since protocol.Time, err error) {
	err = f.read(ctx, scope{}, func(t database.Tx) error {
		_, err := one(ctx, t, selectSink, []any{feed.First}, &since)
		return err
	})
	return since, err
}

// End implements feed.Keeper.
func (f *Feed) End(ctx context.Context) error {
	return f.write(ctx, scope{}, func(t database.Tx) error {
		var b database.Batch
		b.Exec(deleteSink, feed.First)
		b.Exec(deleteJobs)
		b.Exec(deleteDead)
		return t.Batch(ctx, &b)
	})
}

// makeSpans makes the jobs of what the relay applies, if anybody wants them. The marks of the spans move after it, in the same transaction.
func makeSpans(ctx context.Context, t database.Tx, spans []relay.Span, now time.Time) error {
	var sinks int
	if _, err := one(ctx, t, countSinks, nil, &sinks); err != nil || sinks == 0 {
		return err
	}
	var b database.Batch
	for _, span := range spans {
		b.Exec(makeJobs, span.Room, span.After, span.UpTo, protocol.At(now))
	}
	return t.Batch(ctx, &b)
}

// Lease implements feed.Source. A SQLite store has one node, whose share is all.
func (f *Feed) Lease(ctx context.Context, node string, ttl time.Duration) (feed.Share, error) {
	return f.lease(ctx, takeFeedLeases, node, ttl)
}

// Take implements feed.Source.
func (f *Feed) Take(ctx context.Context, share feed.Share, after feed.Line, limit feed.Limit) (jobs []feed.Job, err error) {
	err = f.read(ctx, scope{}, func(t database.Tx) error {
		jobs = nil
		lines, err := takeLines(ctx, t, share, after, limit.Lines)
		if err != nil {
			return err
		}
		var b database.Batch
		bytes := 0
		for _, line := range lines {
			full := false // of bytes: what comes later in this line must wait
			b.Query(selectJobs, func(scan database.Scan) error {
				j, err := f.scanJob(scan, line)
				bytes += len(j.Entry.Data)
				if full = full || bytes > limit.Bytes && len(jobs) > 0; !full && err == nil {
					jobs = append(jobs, j)
				}
				return err
			}, line.Sink, line.Room, limit.Each)
		}
		return t.Batch(ctx, &b)
	})
	return jobs, err
}

// takeLines are the lines of the share that follow one.
func takeLines(ctx context.Context, t database.Tx, share feed.Share, after feed.Line, limit int) (lines []feed.Line, err error) {
	for sink := after.Sink; len(lines) < limit; {
		if sink != "" {
			var rooms []string
			args := []any{sink, after.Room, database.JSONList(share), limit - len(lines)}
			if err := t.Query(ctx, selectLines, args, collect(&rooms, scanString)); err != nil {
				return nil, err
			}
			for _, room := range rooms {
				lines = append(lines, feed.Line{Sink: sink, Room: room})
			}
		}
		after.Room = ""
		if _, err := one(ctx, t, nextSink, []any{sink}, &sink); err != nil || sink == "" {
			return lines, err
		}
	}
	return lines, nil
}

func (f *Feed) scanJob(scan database.Scan, line feed.Line) (j feed.Job, err error) {
	var (
		e          protocol.Event
		kind, data string
	)
	j.Line = line
	if err := scan(&j.Seq, &kind, &e.Name, &e.At, &e.User, &data); err != nil || e.Name == "" || kind == "" {
		return j, err
	}
	e.Room, e.Seq, e.Data = line.Room, j.Seq, raw(data)
	j.Entry = broker.Entry{
		Room: e.Room, Seq: e.Seq, Kind: kind, Event: string(e.Name), User: e.User, Epoch: f.epoch(), Data: protocol.AppendEvent(make([]byte, 0, len(data)+192), &e),
	}
	return j, nil
}

// Done implements feed.Source.
func (f *Feed) Done(ctx context.Context, jobs []feed.Job) error {
	return f.write(ctx, scope{}, func(t database.Tx) error {
		var b database.Batch
		dropAll(&b, jobs)
		return t.Batch(ctx, &b)
	})
}

// dropAll adds the removal of jobs to a batch, in the order of the keys, so that two feeders do not wait for each other.
func dropAll(b *database.Batch, jobs []feed.Job) {
	bySink := map[string][][2]any{}
	var sinks []string
	for _, j := range jobs {
		if bySink[j.Sink] == nil {
			sinks = append(sinks, j.Sink)
		}
		bySink[j.Sink] = append(bySink[j.Sink], [2]any{j.Room, j.Seq})
	}
	slices.Sort(sinks)
	for _, sink := range sinks {
		b.Exec(dropJobs, sink, database.JSONList(bySink[sink]))
	}
}

// maxReason is how much of a reason is kept.
const maxReason = 500

// Bury implements feed.Source.
func (f *Feed) Bury(ctx context.Context, jobs []feed.Job, reason string) error {
	reason = strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
	return f.write(ctx, scope{}, func(t database.Tx) error {
		var b database.Batch
		for _, j := range jobs {
			b.Exec(bury, j.Sink, j.Room, j.Seq, protocol.At(f.now()), reason)
		}
		dropAll(&b, jobs)
		return t.Batch(ctx, &b)
	})
}

// Backlog implements feed.Source and feed.Keeper.
func (f *Feed) Backlog(ctx context.Context) (backlog feed.Backlog, err error) {
	err = f.read(ctx, scope{}, func(t database.Tx) error {
		var oldest protocol.Time
		var b database.Batch
		b.Query(countJobs, func(scan database.Scan) error { return scan(&backlog.Jobs, &oldest) }, feed.MostCounted)
		b.Query(countDead, func(scan database.Scan) error { return scan(&backlog.Dead) })
		err := t.Batch(ctx, &b)
		if oldest != 0 {
			backlog.Oldest = max(f.now().Sub(oldest.Go()), 0)
		}
		return err
	})
	return backlog, err
}

// Dead implements feed.Keeper.
func (f *Feed) Dead(ctx context.Context, limit int) (dead []feed.DeadLetter, err error) {
	err = f.read(ctx, scope{}, func(t database.Tx) error {
		return t.Query(ctx, selectDead, []any{limit}, collect(&dead, func(scan database.Scan, _ ...any) (d feed.DeadLetter, err error) {
			return d, scan(&d.Sink, &d.Room, &d.Seq, &d.At, &d.Reason)
		}))
	})
	return dead, err
}

// Settle implements feed.Keeper.
func (f *Feed) Settle(ctx context.Context, again bool) (letters int, err error) {
	err = f.write(ctx, scope{}, func(t database.Tx) error {
		if again {
			if _, err := t.Exec(ctx, jobsForDead, protocol.At(f.now())); err != nil {
				return err
			}
		}
		n, err := t.Exec(ctx, settleDead)
		letters = int(n)
		return err
	})
	return letters, err
}

// maxReplayed is how many rooms one step of a replay looks at, or how many jobs it makes.
const maxReplayed = 1000

// Rooms implements feed.Keeper. Where the store is one of several it is about the slot of after, which may be a room or how the ids of a slot's rooms begin.
func (f *Feed) Rooms(ctx context.Context, after string, since protocol.Time) (rooms []string, err error) {
	err = f.read(ctx, ofRooms(after), func(t database.Tx) error {
		rooms = nil
		past := "~"
		if t.Owned() != nil {
			past = slots.Prefix(slots.Room(after)) + "~"
		}
		return t.Query(ctx, selectGrown, []any{after, past, since, maxReplayed}, collect(&rooms, scanString))
	})
	return rooms, err
}

// Again implements feed.Keeper.
func (f *Feed) Again(ctx context.Context, room string, after protocol.Seq, since protocol.Time, queue string) (events int, last protocol.Seq, err error) {
	err = f.write(ctx, ofRooms(room), func(t database.Tx) error {
		events = 0
		var sinks int
		var places [][2]any
		if _, err := one(ctx, t, countSinks, nil, &sinks); err != nil {
			return err
		}
		if sinks == 0 {
			return feed.ErrNone
		}
		err := t.Query(ctx, selectSince, []any{room, after, since, maxReplayed}, func(scan database.Scan) error {
			err := scan(&last)
			places = append(places, [2]any{room, last})
			return err
		})
		if err != nil || len(places) == 0 {
			return err
		}
		events = len(places)
		_, err = t.Exec(ctx, addJobs, feed.AgainFor(queue), database.JSONList(places), protocol.At(f.now()))
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return events, last, nil
}
