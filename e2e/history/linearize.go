package history

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"
)

// Linearizable is a second opinion on a small history, by a model that shares nothing with Check: every room is a list to which messages are appended once
// and whose length is read. It tells the rooms for which there is no order in time that explains every answer, and those that it could not decide within the
// time given for each. It looks at Send and Sync entries alone, and takes rooms to have begun with one event, which was no message; a room of more than some hundred messages takes it minutes and
// gigabytes.
func Linearizable(entries []Entry, patience time.Duration) (illegal, undecided []string) {
	type begun struct{ room, user, cid string }
	sends := map[begun]int{}
	ops := map[string][]porcupine.Operation{}
	clients := map[Conn]int{}
	for _, e := range entries {
		id, ok := clients[e.Conn.device()]
		if !ok {
			id = len(clients)
			clients[e.Conn.device()] = id
		}
		name := begun{e.Room, e.Conn.User, e.CID}
		switch {
		case e.Op == Send && e.Phase == Invoke:
			if _, again := sends[name]; again {
				continue
			}
			sends[name] = len(ops[e.Room])
			// Whether it was carried out is not known until it is answered: it may be, at any time to come.
			ops[e.Room] = append(ops[e.Room], porcupine.Operation{
				ClientId: id, Input: e.Conn.User + "/" + e.CID, Call: int64(e.T), Output: uint64(0), Return: math.MaxInt64,
			})
		case e.Op == Send && e.Phase == OK:
			op := &ops[e.Room][sends[name]]
			op.Output, op.Return = e.Seq, int64(e.T)
		case e.Op == Sync:
			ops[e.Room] = append(ops[e.Room], porcupine.Operation{ClientId: id, Input: "", Call: int64(e.Since), Output: e.Seq, Return: int64(e.T)})
		}
	}
	for room, of := range ops {
		switch porcupine.CheckOperationsTimeout(appendOnly(), of, patience) {
		case porcupine.Illegal:
			illegal = append(illegal, room)
		case porcupine.Unknown:
			undecided = append(undecided, room)
		case porcupine.Ok:
		}
	}
	slices.Sort(illegal)
	slices.Sort(undecided)
	return illegal, undecided
}

// appendOnly is the model. A state is the messages so far; an input is a message, or "" for a read of the head.
func appendOnly() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return []string(nil) },
		Step: func(state, input, output any) (bool, any) {
			log, message, seq := state.([]string), input.(string), output.(uint64)
			if message == "" {
				return seq == uint64(len(log))+1, log
			}
			at := slices.Index(log, message)
			if at < 0 {
				at = len(log)
				log = append(slices.Clip(log), message)
			}
			return seq == 0 || seq == uint64(at)+2, log
		},
		Equal: func(a, b any) bool { return slices.Equal(a.([]string), b.([]string)) },
		DescribeOperation: func(input, output any) string {
			return input.(string) + " → " + strconv.FormatUint(output.(uint64), 10)
		},
	}
}
