package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/parley-im/parley/e2e/history"
	"github.com/parley-im/parley/protocol"
)

// Talk begins the load: messages at the rate of the configuration, people who read lists, and guests who come and go. Hush ends it.
func (f *Fleet) Talk() {
	ctx, stop := context.WithCancel(context.Background())
	f.stopLoad = stop
	f.T.Cleanup(func() { // also for a test that ends early
		stop()
		f.load.Wait()
	})
	f.load.Go(func() { f.talk(ctx) })
	for i := range uint64(2) {
		f.load.Go(func() { f.readLists(ctx, f.random(10+i)) })
	}
	f.load.Go(func() { f.invite(ctx) })
}

// Hush ends the load, when whatever it does is done.
func (f *Fleet) Hush() {
	f.stopLoad()
	f.load.Wait()
}

// talk sends at a constant rate, whatever becomes of the messages.
func (f *Fleet) talk(ctx context.Context) {
	random := f.random(1)
	pace := time.NewTicker(time.Second / time.Duration(f.PerSecond))
	defer pace.Stop()
	for number := 1; ; number++ {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		r := f.rooms[random.IntN(len(f.rooms))]
		members := r.members
		if r.guest != nil {
			members = members[:len(members)-1] // a guest who is away may not send
		}
		members[random.IntN(len(members))].say(r, number)
	}
}

// readLists has people read what is there, one after another.
func (f *Fleet) readLists(ctx context.Context, random *rand.Rand) {
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		r := f.rooms[random.IntN(len(f.rooms))]
		p := r.members[random.IntN(len(r.members)-1)]
		since := f.History.Now()
		asking, done := context.WithTimeout(ctx, 5*time.Second)
		list, err := p.Messages.List(asking, protocol.MessageListParams{Room: r.id, Limit: 10})
		done()
		if err != nil {
			if refusal := new(protocol.Error); errors.As(err, &refusal) && refusal.Code != protocol.Unavailable {
				f.complain("a list for %s was refused: %w", p.User, err)
			}
			continue // nothing is promised to a call that is made once
		}
		p.note(history.Entry{Op: history.Sync, Phase: history.OK, Since: since, Room: r.id, Seq: list.Head})
		for _, m := range list.Messages {
			p.note(history.Entry{
				Op: history.List, Phase: history.OK, Room: r.id, Seq: m.Seq, Name: string(protocol.MessageCreated), By: *m.User, CID: m.ClientID, Hash: hash(m.Text),
			})
		}
	}
}

// invite has the owners of some rooms remove a member and bring them back, until everybody is back.
func (f *Fleet) invite(ctx context.Context) {
	pace := time.NewTicker(300 * time.Millisecond)
	defer pace.Stop()
	for number := 0; ; number++ {
		for _, r := range f.rooms {
			if r.guest == nil {
				continue
			}
			over := false
			select {
			case <-pace.C:
			case <-ctx.Done():
				over = true
			}
			if r.away || !over {
				f.turn(r, number)
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// turn removes the guest of a room, or brings them back. Like any application it repeats the call until it is answered for good.
func (f *Fleet) turn(r *room, number int) {
	back := r.away
	r.mu.Lock()
	r.away = true // while it is not known
	r.mu.Unlock()
	owner, id := r.members[0], fmt.Sprint("g", number)
	for end := time.Now().Add(2 * time.Minute); ; {
		ctx, done := context.WithTimeout(context.Background(), 5*time.Second)
		var seq protocol.Seq
		var err error
		if back {
			var added protocol.MemberAddResult
			added, err = owner.Members.Add(ctx, protocol.MemberAddParams{Room: r.id, Users: []string{r.guest.User}, ClientID: id})
			seq = added.Seq
		} else {
			var left protocol.SeqResult
			left, err = owner.Members.Remove(ctx, protocol.MemberParams{Room: r.id, User: r.guest.User, ClientID: id})
			seq = left.Seq
		}
		done()
		switch refusal := new(protocol.Error); {
		case err == nil:
			r.reached(seq)
			r.mu.Lock()
			r.away = !back
			r.mu.Unlock()
			return
		case errors.As(err, &refusal) && refusal.Code != protocol.Unavailable, time.Now().After(end):
			f.complain("%s and the guest %s: %w", owner.User, r.guest.User, err)
			return
		}
	}
}
