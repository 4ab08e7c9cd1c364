package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	sdk "github.com/parley-im/parley/client"
	"github.com/parley-im/parley/e2e/history"
	"github.com/parley-im/parley/protocol"
)

// CatchUp is how long after a fault everybody may take to have everything that was acknowledged before it was over.
const CatchUp = 10 * time.Second

// Suffer is one fault: it is written down, and the next does not begin before everybody has got over it, or had more time for that than is allowed.
func (f *Fleet) Suffer(name string, fault func()) {
	f.T.Helper()
	f.History.Add(history.Entry{Op: history.Fault, Phase: history.Invoke, Name: name})
	fault()
	f.History.Add(history.Entry{Op: history.Fault, Phase: history.OK, Name: name})
	f.History.Add(history.Entry{Op: history.Heal, Phase: history.OK})
	began := time.Now()
	type target struct {
		r       *room
		seq     protocol.Seq
		members []*Person
	}
	var targets []target
	for _, r := range f.rooms {
		seq, members := r.newest()
		targets = append(targets, target{r, seq, members})
	}
	caughtUp := within(CatchUp+time.Second, func() bool {
		for _, t := range targets {
			for _, p := range t.members {
				if !p.has(t.r, t.seq) && p != t.r.guest {
					return false
				}
			}
		}
		return true
	})
	f.T.Logf("%s: everybody had caught up (%v) after %v", name, caughtUp, time.Since(began).Round(time.Millisecond))
}

// Verdict is what came of a run.
type Verdict struct {
	*history.Report
	Entries []history.Entry
}

// Finish ends the load, waits until all is quiet, reads the logs from every node, and judges.
func (f *Fleet) Finish() Verdict {
	f.T.Helper()
	return f.finish(60 * time.Second)
}

// finish is Finish with a bound for how long it waits. All that is sent must be answered by then, or the logs are read too early.
func (f *Fleet) finish(patience time.Duration) Verdict {
	f.T.Helper()
	f.Hush()
	quiet := within(patience, func() bool {
		if f.unanswered.Load() > 0 {
			return false
		}
		for _, r := range f.rooms {
			seq, members := r.newest()
			for _, p := range members {
				if !p.has(r, seq) {
					return false
				}
			}
		}
		return true
	})
	if !quiet {
		f.T.Log("it does not get quiet: the judge says what is missing")
	}
	f.sampler.end()
	for _, n := range f.Nodes {
		if err := f.readLogs(n); err != nil {
			f.T.Fatalf("the logs on %s: %v", n.Name, err)
		}
	}
	entries, err := f.History.Entries()
	if err != nil {
		f.T.Fatal(err)
	}
	return Verdict{history.Check(entries, history.Options{CatchUp: CatchUp, Rejoin: time.Second}), entries}
}

// readLogs reads the log of every room from a node, and what its members are told of cursors.
func (f *Fleet) readLogs(n *Node) error {
	for _, r := range f.rooms {
		owner := r.members[0]
		h := f.backend(n, owner.User)
		if err := f.readLog(n, h, r); err != nil {
			return err
		}
		since := f.History.Now()
		list, err := h.Receipts.List(context.Background(), protocol.PageParams{Room: r.id, Limit: protocol.MaxListMembers})
		if err != nil {
			return err
		}
		for _, m := range list.Members {
			f.History.Add(history.Entry{
				Op: history.Cursor, Phase: history.OK, Since: since, Conn: history.Conn{User: owner.User, Device: "reader"},
				Room: r.id, About: m.User, Read: m.Read, Delivered: m.Delivered,
			})
		}
	}
	for i, p := range f.people {
		if i%len(f.Nodes) != 0 { // a part of them is enough
			continue
		}
		inbox, err := f.backend(n, p.User).Rooms.List(context.Background(), protocol.RoomListParams{Limit: protocol.MaxListRooms})
		if err != nil {
			return err
		}
		for _, e := range inbox.Rooms {
			f.History.Add(history.Entry{
				Op: history.Unread, Phase: history.OK, Conn: history.Conn{User: p.User, Device: "reader"}, Room: e.Room.ID, Read: e.Me.Read, Value: float64(e.Me.Unread),
			})
		}
	}
	return nil
}

func (f *Fleet) readLog(n *Node, h *sdk.HTTP, r *room) error {
	for after := protocol.Seq(0); ; {
		events, head, err := h.Messages.Events(context.Background(), protocol.EventListParams{Room: r.id, After: after, Limit: protocol.MaxListEvents})
		if err != nil {
			return err
		}
		for _, e := range events {
			entry, err := logged(e)
			if err != nil {
				return err
			}
			entry.Node, entry.Room = n.Name, r.id
			f.History.Add(entry)
			after = e.Seq
		}
		if len(events) == 0 || after >= head {
			return nil
		}
	}
}

// logged is an event as the judge wants it.
func logged(e protocol.Event) (history.Entry, error) {
	entry := history.Entry{Op: history.Log, Phase: history.OK, Seq: e.Seq, Name: string(e.Name), By: e.User}
	var err error
	switch e.Name {
	case protocol.MessageCreated:
		var data protocol.MessageCreatedData
		data, err = sdk.Data[protocol.MessageCreatedData](e.Data)
		entry.CID, entry.Hash, entry.N = data.ClientID, hash(data.Text), data.N
	case protocol.RoomCreated:
		var data protocol.RoomCreatedData
		data, err = sdk.Data[protocol.RoomCreatedData](e.Data)
		for _, m := range data.Members {
			entry.Users = append(entry.Users, m.User)
		}
	case protocol.MemberJoined:
		var data protocol.MemberJoinedData
		data, err = sdk.Data[protocol.MemberJoinedData](e.Data)
		entry.Users = data.Users
	case protocol.MemberLeft:
		var data protocol.MemberLeftData
		data, err = sdk.Data[protocol.MemberLeftData](e.Data)
		entry.Users = data.Users
	}
	return entry, err
}

// Err is what is wrong with a run, with its whole history in a file for whoever wants to know more; nil if nothing is.
func (f *Fleet) Err(v Verdict) error {
	err := errors.Join(append(f.Complaints(), v.Err())...)
	if err == nil {
		return nil
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("parley-history-%d.jsonl", os.Getpid()))
	file, failed := os.Create(path)
	if failed == nil {
		failed = errors.Join(history.Write(file, v.Entries), file.Close())
	}
	return fmt.Errorf("%w\nthe history is in %s %v", err, path, errors.Join(failed))
}
