package app

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

// Trace is what has become of one event, as GET /trace?room=…&seq=… of the operators' listener tells it. No content is in it.
type Trace struct {
	Room  string        `json:"room"`
	Kind  protocol.Kind `json:"kind"`
	Seq   protocol.Seq  `json:"seq"`
	Head  protocol.Seq  `json:"head"`
	Event protocol.Name `json:"event"`
	At    protocol.Time `json:"at"`
	User  string        `json:"user"` // who did it, "" for a back end

	Relayed bool         `json:"relayed"` // the relay has applied it: a message can be found by search
	Applied protocol.Seq `json:"applied"` // up to where the relay has got

	Node      string `json:"node"`       // that answers
	Followed  bool   `json:"followed"`   // somebody follows the room on this node
	FannedOut bool   `json:"fanned_out"` // and it was offered to them
	Sessions  int    `json:"sessions"`   // that follow the room on this node

	Members   int           `json:"members"` // of the room, now
	Delivered int           `json:"delivered"`
	Read      int           `json:"read"`
	Listed    []TraceMember `json:"listed"` // the first of the members by id; of a room of up to 1,000 all
}

// TraceMember is how far one member has come.
type TraceMember struct {
	User      string         `json:"user"`
	Joined    protocol.Seq   `json:"joined"` // the event that made them a member
	Delivered protocol.Seq   `json:"delivered"`
	Read      protocol.Seq   `json:"read"`
	Sessions  []TraceSession `json:"sessions"`
}

// TraceSession is a live session of a member.
type TraceSession struct {
	Session string       `json:"session"` // the beginning of its id
	Device  string       `json:"device"`
	Client  string       `json:"client"`
	Node    string       `json:"node"`
	State   TraceState   `json:"state"`
	Next    protocol.Seq `json:"next,omitzero"` // the next event that it is to be offered, where it is behind
}

// TraceState is how a session stands to an event.
type TraceState string

// The states.
const (
	TraceOffered   TraceState = "offered"       // it was written to the session or waits in its queue
	TraceBehind    TraceState = "behind"        // the session is being caught up, or waits for the room's fan-out
	TraceElsewhere TraceState = "elsewhere"     // the session is on another node, which knows
	TraceAside     TraceState = "not following" // the session does not follow the room
)

const (
	traceAll   = 1000 // members of a room of which all are listed
	traceFew   = 100  // members of a larger one that are
	tracePart  = 8    // characters of a session's id that are shown
	traceLimit = 10 * time.Second
)

// serveTrace is GET /trace.
func (a *App) serveTrace(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), traceLimit)
	defer cancel()
	room := r.URL.Query().Get("room")
	seq, err := strconv.ParseUint(r.URL.Query().Get("seq"), 10, 53)
	if room == "" || err != nil || seq == 0 {
		http.Error(w, "Say which event: /trace?room=ROOM&seq=SEQ, seq from 1 on.", http.StatusBadRequest)
		return
	}
	found, err := a.store.Whereabouts(ctx, room, seq, traceAll)
	switch {
	case err != nil:
		a.log.Warn("an event could not be traced", "error", err)
		http.Error(w, "The store does not answer; try again.", http.StatusServiceUnavailable)
	case found == nil:
		http.Error(w, "There is no room "+strconv.Quote(room)+".", http.StatusNotFound)
	case seq > found.Head:
		http.Error(w, fmt.Sprintf("The log of this room ends with %d: no event has come to %d yet.", found.Head, seq), http.StatusNotFound)
	case !found.Found:
		http.Error(w, fmt.Sprintf("This event is no longer kept: the log of this room begins with %d.", found.First), http.StatusGone)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.MarshalWrite(w, a.trace(room, seq, found), jsontext.Multiline(true)) // who does not take it has gone
	}
}

// trace joins what the store knows with what this node's delivery does.
func (a *App) trace(room string, seq protocol.Seq, found *store.Whereabouts) *Trace {
	listed := found.Listed
	if found.Members > traceAll {
		listed = listed[:min(len(listed), traceFew)]
	}
	users := make([]string, len(listed))
	for i, m := range listed {
		users[i] = m.User
	}
	here := a.hub.Whereabouts(room, users)
	t := &Trace{
		Room: room, Kind: found.Kind, Seq: seq, Head: found.Head, Event: found.Name, At: found.At, User: found.User,
		Relayed: seq <= found.Applied, Applied: found.Applied,
		Node: a.api.Node, Followed: here.Followed, FannedOut: here.Followed && here.Next > seq, Sessions: here.Sessions,
		Members: found.Members, Delivered: found.Delivered, Read: found.Read, Listed: []TraceMember{},
	}
	standing := map[string]delivery.SessionWhereabouts{}
	for _, s := range here.Of {
		standing[s.Session] = s
	}
	for _, m := range listed {
		t.Listed = append(t.Listed, a.traceMember(seq, m, found.Sessions[m.User], standing))
	}
	return t
}

func (a *App) traceMember(seq protocol.Seq, m *chat.Member, sessions []auth.Session, standing map[string]delivery.SessionWhereabouts) TraceMember {
	member := TraceMember{User: m.User, Joined: m.JoinedSeq, Delivered: m.Delivered, Read: m.Read, Sessions: []TraceSession{}}
	for _, s := range sessions {
		one := TraceSession{Session: s.ID[:min(len(s.ID), tracePart)], Device: s.Device, Client: s.Client, Node: s.Node, State: TraceElsewhere}
		at, here := standing[s.ID]
		switch {
		case s.Node != a.api.Node:
		case !here || !at.Follows:
			one.State = TraceAside
		case at.Next > seq:
			one.State = TraceOffered
		default:
			one.State, one.Next = TraceBehind, at.Next
		}
		member.Sessions = append(member.Sessions, one)
	}
	return member
}
