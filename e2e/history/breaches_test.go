package history

import (
	"slices"
	"time"
)

// breach breaks one promise somewhere in a history; nil: there is no place for it. It may change what it is given.
type breach struct {
	name      string
	invariant Invariant
	in        func(pick func(int) int, entries []Entry) []Entry
}

// where picks one of the entries that fit.
func where(pick func(int) int, entries []Entry, fits func(i int) bool) int {
	var found []int
	for i := range entries {
		if fits(i) {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return -1
	}
	return found[pick(len(found))]
}

// at changes one of the entries that fit.
func at(fits func(e Entry) bool, change func(e *Entry)) func(func(int) int, []Entry) []Entry {
	return func(pick func(int) int, entries []Entry) []Entry {
		i := where(pick, entries, func(i int) bool { return fits(entries[i]) })
		if i < 0 {
			return nil
		}
		change(&entries[i])
		return entries
	}
}

func is(op Op, phase Phase) func(e Entry) bool {
	return func(e Entry) bool { return e.Op == op && e.Phase == phase }
}

// pair is where a session gets an event of a room and its next push of that room is another event.
func pair(pick func(int) int, entries []Entry) (i, j int) {
	next := func(i int) int {
		for j := i + 1; j < len(entries); j++ {
			if e := entries[j]; e.Room == entries[i].Room && e.Conn == entries[i].Conn && slices.Contains([]Op{Recv, Reset, Skipped, Removed}, e.Op) {
				return j
			}
		}
		return 0
	}
	i = where(pick, entries, func(i int) bool { return entries[i].Op == Recv && entries[next(i)].Op == Recv })
	if i < 0 {
		return -1, -1
	}
	return i, next(i)
}

// breaches are at least one for each invariant.
func breaches() []breach {
	return slices.Concat(ofSends(), ofLogs(), ofStreams(), ofReads(), ofTheEnd())
}

func ofSends() []breach {
	return []breach{
		{"acknowledged and not there", Stored, func(_ func(int) int, entries []Entry) []Entry {
			lost := Entry{T: entries[0].T, Op: Send, Phase: Invoke, Conn: entries[0].Conn, Room: "r_0", CID: "lost"}
			answered := lost
			answered.Phase, answered.Seq, answered.T = OK, 1_000_000, entries[len(entries)-1].T
			return append([]Entry{lost}, append(entries, answered)...)
		}},
		{"nobody sent it", FromSomewhere, func(pick func(int) int, entries []Entry) []Entry {
			i := where(pick, entries, func(i int) bool { return is(Send, OK)(entries[i]) })
			if i < 0 {
				return nil
			}
			of := entries[i]
			return slices.DeleteFunc(entries, func(e Entry) bool { return e.Op == Send && e.CID == of.CID })
		}},
		{"refused and stored", FromSomewhere, at(is(Send, OK), func(e *Entry) { e.Phase = Fail })},
		{"other content", FromSomewhere, func(pick func(int) int, entries []Entry) []Entry {
			i := where(pick, entries, func(i int) bool { return is(Send, OK)(entries[i]) })
			if i < 0 {
				return nil
			}
			entries[slices.IndexFunc(entries, func(e Entry) bool { return is(Send, Invoke)(e) && e.CID == entries[i].CID })].Hash ^= 1
			return entries
		}},
		{"stored twice", Once, twice},
		{"acknowledged twice, differently", Once, func(pick func(int) int, entries []Entry) []Entry {
			i := where(pick, entries, func(i int) bool { return is(Send, OK)(entries[i]) })
			if i < 0 {
				return nil
			}
			again := entries[i]
			again.Seq++
			return slices.Insert(entries, i+1, again)
		}},
	}
}

func ofLogs() []breach {
	message := func(e Entry) bool { return e.Op == Recv && e.Name == messageCreated }
	return []breach{
		{"another event for one", Agreement, at(message, func(e *Entry) { e.CID = "x" })},
		{"other content for one", Agreement, at(message, func(e *Entry) { e.Hash++ })},
		{"another event in a list", Agreement, at(is(List, OK), func(e *Entry) { e.By = "x" })},
		{"another log on a node", Agreement, at(func(e Entry) bool { return e.Op == Log && e.Node == "two" }, func(e *Entry) { e.CID += "x" })},
		{"a shorter log on a node", Agreement, func(_ func(int) int, entries []Entry) []Entry { return entries[:len(entries)-1] }},
		{"a hole in the log", Dense, func(pick func(int) int, entries []Entry) []Entry {
			i := where(pick, entries, func(i int) bool {
				return entries[i].Op == Log && i+1 < len(entries) && entries[i+1].Seq == entries[i].Seq+1
			})
			room, seq := entries[i].Room, entries[i].Seq
			return slices.DeleteFunc(entries, func(e Entry) bool { return e.Op == Log && e.Room == room && e.Seq == seq })
		}},
		{"a message with another number", Dense, at(func(e Entry) bool { return e.Op == Log && e.N > 0 && e.Node == "one" }, func(e *Entry) { e.N++ })},
	}
}

func ofStreams() []breach {
	return []breach{
		{"two events in the wrong order", InOrder, func(pick func(int) int, entries []Entry) []Entry {
			i, j := pair(pick, entries)
			if i < 0 {
				return nil
			}
			a, b := entries[i], entries[j]
			entries[i], entries[j] = b, a
			entries[i].T, entries[j].T = a.T, b.T
			return entries
		}},
		{"an event twice", InOrder, func(pick func(int) int, entries []Entry) []Entry {
			i, j := pair(pick, entries)
			if i < 0 {
				return nil
			}
			again := entries[i]
			again.T = entries[j].T
			return slices.Insert(entries, j, again)
		}},
		{"not all is named as left out", InOrder, func(pick func(int) int, entries []Entry) []Entry {
			i := where(pick, entries, func(i int) bool {
				return entries[i].Op == Skipped && before(entries, i).Op == Recv
			})
			if i < 0 {
				return nil
			}
			entries[i].From++
			return entries
		}},
		{"an event missing after a resume", Resumed, func(pick func(int) int, entries []Entry) []Entry {
			i := where(pick, entries, func(i int) bool {
				if entries[i].Op != Resume {
					return false
				}
				first, second := firstTwo(entries, i)
				return second > 0 && entries[first].Op == Recv && entries[second].Op == Recv
			})
			if i < 0 {
				return nil
			}
			first, _ := firstTwo(entries, i)
			return slices.Delete(entries, first, first+1)
		}},
		{"an event for one who was removed", Private, func(pick func(int) int, entries []Entry) []Entry {
			i := where(pick, entries, func(i int) bool {
				return is(Removed, OK)(entries[i]) && entries[i-1].Op == Recv && entries[i-1].Conn == entries[i].Conn && entries[i-1].Name == memberLeft &&
					!slices.ContainsFunc(entries, func(e Entry) bool {
						return e.Name == memberJoined && e.Room == entries[i].Room && e.Seq == entries[i-1].Seq+1
					})
			})
			if i < 0 {
				return nil
			}
			entries[i] = Entry{T: entries[i].T, Op: Recv, Phase: OK, Conn: entries[i].Conn, Room: entries[i].Room, Seq: entries[i-1].Seq + 1}
			return entries
		}},
	}
}

func ofReads() []breach {
	return []breach{
		{"answered before the other was sent, and behind it", RealTime, swapped},
		{"one's own write not read", OwnWrites, staleAfter(func(e Entry) bool { return is(Send, OK)(e) })},
		{"a head that goes back", Monotonic, staleAfter(func(e Entry) bool { return is(Sync, OK)(e) && e.Seq > 1 })},
		{"a cursor that goes back", Cursors, func(pick func(int) int, entries []Entry) []Entry {
			i := where(pick, entries, func(i int) bool { return is(Cursor, OK)(entries[i]) && entries[i].Read > 1 })
			if i < 0 {
				return nil
			}
			back := entries[i]
			back.Read, back.Since = 1, 0
			entries[i].Since = 0
			return slices.Insert(entries, i+1, back)
		}},
		{"a cursor that is read to go back", Cursors, func(pick func(int) int, entries []Entry) []Entry {
			i := where(pick, entries, func(i int) bool { return is(Cursor, OK)(entries[i]) && entries[i].Read > 1 })
			if i < 0 {
				return nil
			}
			back := entries[i]
			back.Conn, back.Read = Conn{User: "somebody else"}, 1
			back.Since, back.T = entries[i].T+1, entries[i].T+2
			return slices.Insert(entries, i+1, back)
		}},
		{"a cursor that nobody has set", Cursors, at(is(Cursor, OK), func(e *Entry) { e.Delivered = 1_000_000 })},
	}
}

func ofTheEnd() []breach {
	return []breach{
		{"unread miscounted", Counted, at(is(Unread, OK), func(e *Entry) { e.Value++ })},
		{"beyond a bound", Bounded, at(is(Bound, OK), func(e *Entry) { e.Value = e.Most + 1 })},
		{"never answered", Live, func(pick func(int) int, entries []Entry) []Entry {
			i := where(pick, entries, func(i int) bool { return is(Send, OK)(entries[i]) })
			if i < 0 {
				return nil
			}
			return slices.Delete(entries, i, i+1)
		}},
		{"the last event not delivered", Live, func(pick func(int) int, entries []Entry) []Entry {
			heads := map[string]uint64{}
			for _, e := range entries {
				if e.Op == Log {
					heads[e.Room] = e.Seq
				}
			}
			i := where(pick, entries, func(i int) bool {
				return entries[i].Op == Recv && entries[i].Seq == heads[entries[i].Room] && entries[i].Seq > 1
			})
			if i < 0 || entries[i].Name == memberLeft || entries[i].Name == memberJoined {
				return nil
			}
			return slices.Delete(entries, i, i+1)
		}},
		{"delivered late", Live, func(_ func(int) int, entries []Entry) []Entry {
			return late(entries, func(e Entry) bool { return e.Op == Recv && e.Name == messageCreated })
		}},
	}
}

// firstTwo are the first pushes of the room to a session that has resumed.
func firstTwo(entries []Entry, resume int) (first, second int) {
	of := entries[resume]
	for i := resume + 1; i < len(entries); i++ {
		if e := entries[i]; e.Room == of.Room && e.Conn == of.Conn && slices.Contains([]Op{Recv, Reset, Skipped, Removed}, e.Op) {
			if first > 0 {
				return first, i
			}
			first = i
		}
	}
	return 0, 0
}

// before is what the session was pushed of the room last.
func before(entries []Entry, i int) Entry {
	for j := i - 1; j >= 0; j-- {
		if e := entries[j]; e.Room == entries[i].Room && e.Conn == entries[i].Conn && slices.Contains([]Op{Recv, Reset, Skipped, Removed}, e.Op) {
			return e
		}
	}
	return Entry{}
}

// twice stores the last message of a room again.
func twice(pick func(int) int, entries []Entry) []Entry {
	i := where(pick, entries, func(i int) bool { return entries[i].Op == Log && entries[i].Name == messageCreated })
	if i < 0 {
		return nil
	}
	of := entries[i]
	for j := len(entries) - 1; j >= 0; j-- {
		if e := entries[j]; e.Op == Log && e.Room == of.Room && (j == len(entries)-1 || entries[j+1].Room != of.Room || entries[j+1].Node != e.Node) {
			again := of
			again.T, again.Node, again.Seq, again.N = e.T, e.Node, e.Seq+1, 0
			entries = slices.Insert(entries, j+1, again)
		}
	}
	return entries
}

// swapped has two messages of a room change their places for everybody, of which one was answered before the other was sent.
func swapped(pick func(int) int, entries []Entry) []Entry {
	invoked := map[string]time.Duration{}
	for _, e := range entries {
		if is(Send, Invoke)(e) {
			invoked[e.CID] = e.T
		}
	}
	var b int
	a := where(pick, entries, func(i int) bool {
		if !is(Send, OK)(entries[i]) {
			return false
		}
		later := where(pick, entries, func(j int) bool {
			return is(Send, OK)(entries[j]) && entries[j].Room == entries[i].Room && invoked[entries[j].CID] > entries[i].T
		})
		if later >= 0 {
			b = later
		}
		return later >= 0
	})
	if a < 0 {
		return nil
	}
	// The last that fitted has set b; a must be before it.
	first, second := entries[a], entries[b]
	if first.Room != second.Room || invoked[second.CID] <= first.T {
		return nil
	}
	for i := range entries {
		switch e := &entries[i]; {
		case e.Room != first.Room:
		case e.CID == first.CID && e.Seq == first.Seq:
			e.CID, e.By, e.Hash = second.CID, second.Conn.User, 0
		case e.CID == second.CID && e.Seq == second.Seq:
			e.CID, e.By, e.Hash = first.CID, first.Conn.User, 0
		}
		if e := &entries[i]; is(Send, OK)(*e) && e.Room == first.Room {
			switch e.CID {
			case first.CID:
				e.Conn, e.T = first.Conn, first.T
			case second.CID:
				e.Conn, e.T = second.Conn, second.T
			}
		}
	}
	return entries
}

// staleAfter has a device read that there is nothing, after it knows better.
func staleAfter(knows func(e Entry) bool) func(func(int) int, []Entry) []Entry {
	return func(pick func(int) int, entries []Entry) []Entry {
		i := where(pick, entries, func(i int) bool { return knows(entries[i]) })
		if i < 0 {
			return nil
		}
		e := entries[i]
		return slices.Insert(entries, i+1, Entry{T: e.T + 2, Since: e.T + 1, Op: Sync, Phase: OK, Conn: e.Conn, Room: e.Room, Seq: 1})
	}
}

// late puts a long time between the end of the last fault and what follows it.
func late(entries []Entry, matters func(e Entry) bool) []Entry {
	heal := slices.IndexFunc(entries, is(Heal, OK))
	if !slices.ContainsFunc(entries[heal:], matters) {
		return nil
	}
	if !slices.ContainsFunc(entries[:heal], is(Send, OK)) || slices.ContainsFunc(entries, func(e Entry) bool { return e.Name == memberLeft }) {
		return nil // nobody has to catch up, or not everybody
	}
	// Nothing that was pushed before counts.
	before := slices.DeleteFunc(slices.Clone(entries[:heal]), func(e Entry) bool { return slices.Contains([]Op{Recv, Reset, Skipped, Resume, Removed}, e.Op) })
	after := slices.Clone(entries[heal:])
	for i := range after[1:] {
		after[i+1].T += time.Hour
	}
	return append(before, after...)
}
