package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// verdict is what the logs say.
type verdict struct {
	lost       uint64 // acknowledged, and not in the log where it was said
	duplicated uint64 // in the log twice
	reordered  uint64 // a user's messages to a room in another order than sent
	strange    uint64 // seen by a member, or in the log, and not what was sent
	gaps       uint64 // numbers that are missing in the log
}

func (v *verdict) add(o verdict) {
	v.lost += o.lost
	v.duplicated += o.duplicated
	v.reordered += o.reordered
	v.strange += o.strange
	v.gaps += o.gaps
}

// readLogs reads the logs of all rooms and compares them with what was acknowledged and seen.
func (r *run) readLogs(ctx context.Context) error {
	seen := make(map[string][]sighting)
	for _, u := range r.users {
		u.mu.Lock()
		for _, s := range u.seen {
			seen[s.room] = append(seen[s.room], s)
		}
		u.mu.Unlock()
	}
	var mu sync.Mutex
	read := 0
	return each(len(r.rooms), 4, func(i int) error {
		log, err := r.readLog(ctx, r.rooms[i])
		if err != nil {
			return fmt.Errorf("bench: reading the log of a room: %w", err)
		}
		v := r.judge(r.rooms[i], log, seen[r.rooms[i].id])
		mu.Lock()
		defer mu.Unlock()
		r.measured.heads[r.rooms[i].id] = protocol.Seq(len(log) - 1)
		r.measured.logs.add(v)
		read++
		r.bar.say("reading the logs: %s of %s", number(uint64(read)), number(uint64(len(r.rooms))))
		return nil
	})
}

// readLog reads a log: by seq the message that stands there, 0 for another event, absent for a seq that is missing.
func (r *run) readLog(ctx context.Context, of *room) (log []uint64, err error) {
	h, err := r.http(of.members[0])
	if err != nil {
		return nil, err
	}
	log = []uint64{0}
	for {
		var events []protocol.Event
		var head protocol.Seq
		err := r.insist(ctx, func() (err error) {
			events, head, err = h.Messages.Events(ctx, protocol.EventListParams{
				Room: of.id, After: protocol.Seq(len(log) - 1), Limit: protocol.MaxListEvents,
			})
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			for protocol.Seq(len(log)) < e.Seq {
				log = append(log, absent)
			}
			log = append(log, r.identify(e))
		}
		if len(events) == 0 || protocol.Seq(len(log)) > head {
			return log, nil
		}
	}
}

// absent stands for a seq that is missing in a log.
const absent = ^uint64(0)

// identify tells which message of this run an event is; 0: none.
func (r *run) identify(e protocol.Event) uint64 {
	index, ours := r.indexOf([]byte(e.User))
	if e.Name != protocol.MessageCreated || !ours {
		return 0
	}
	data, err := client.Data[protocol.MessageCreatedData](e.Data)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(data.ClientID, 10, 40)
	if err != nil {
		return 0
	}
	return message(index, n)
}

// judge compares one log with what is known of it.
func (r *run) judge(of *room, log []uint64, seen []sighting) (v verdict) {
	places := make(map[uint64]bool, len(log))
	last := make(map[uint64]uint64) // by user: the number of the last message in order
	for _, what := range log[1:] {
		switch {
		case what == absent:
			v.gaps++
			continue
		case what == 0:
			continue
		case places[what]:
			v.duplicated++
			continue
		}
		places[what] = true
		user, n := what>>40, what&(1<<40-1)
		if int(user) >= len(r.users) || n > r.users[user].numbered() {
			v.strange++
		}
		if r.overtakable(what) {
			continue
		}
		if n < last[user] {
			v.reordered++
		}
		last[user] = n
	}
	of.mu.Lock()
	defer of.mu.Unlock()
	v.lost += of.bad
	for seq, what := range of.acks {
		if what != 0 && (seq >= len(log) || log[seq] != what) {
			v.lost++
		}
	}
	for _, s := range seen {
		if s.seq >= protocol.Seq(len(log)) || log[s.seq] != s.what {
			v.strange++
		}
	}
	return v
}

// numbered is the number of the user's last message.
func (u *user) numbered() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.made
}

// overtakable reports a message that was refused for now at least once.
func (r *run) overtakable(what uint64) bool {
	r.refusals.mu.Lock()
	defer r.refusals.mu.Unlock()
	_, ok := r.refusals.disorder[what]
	return ok
}
