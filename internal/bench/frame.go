package bench

import (
	"bytes"
	"strconv"

	"github.com/parley-im/parley/protocol"
)

// stampBytes is the length of the time that every text begins with: microseconds since the run began, so that whoever receives it knows how long it took.
const stampBytes = 12

// How frames look where Parley wrote them. Nobody writes to these.
var (
	eventStart = []byte(`{"event":"`)
	roomMember = []byte(`","room":"`)
	seqMember  = []byte(`","seq":`)
	textMember = []byte(`"text":"`)
	cidMember  = []byte(`"client_id":"`)
	seqField   = []byte(`"seq":`)
	replyStart = []byte(`{"id":`)
	resultPart = []byte(`,"result":`)
	userMember = []byte(`"user":"`)
)

// scanEvent finds the room and the seq of an event that is written in the usual order; ok is false for everything else.
func scanEvent(line []byte) (room []byte, seq protocol.Seq, ok bool) {
	rest, ok := bytes.CutPrefix(line, eventStart)
	if !ok {
		return nil, 0, false
	}
	end := bytes.IndexByte(rest, '"')
	if end < 0 || !bytes.HasPrefix(rest[end:], roomMember) {
		return nil, 0, false
	}
	rest = rest[end+len(roomMember):]
	end = bytes.IndexByte(rest, '"')
	if end < 0 || !bytes.HasPrefix(rest[end:], seqMember) {
		return nil, 0, false
	}
	room, rest = rest[:end], rest[end+len(seqMember):]
	seq, n := scanNumber(rest)
	return room, seq, n > 0
}

// scanReply finds the id of a reply with a result, and the first seq in it.
func scanReply(line []byte) (id uint64, seq protocol.Seq, ok bool) {
	rest, ok := bytes.CutPrefix(line, replyStart)
	if !ok {
		return 0, 0, false
	}
	id, n := scanNumber(rest)
	if n == 0 || !bytes.HasPrefix(rest[n:], resultPart) {
		return 0, 0, false
	}
	rest = rest[n:]
	if i := bytes.Index(rest, seqField); i >= 0 {
		seq, _ = scanNumber(rest[i+len(seqField):])
	}
	return id, seq, true
}

// scanNumber reads the digits with which b begins, and how many they are.
func scanNumber(b []byte) (v uint64, digits int) {
	for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' && digits < 19 {
		v = v*10 + uint64(b[digits]-'0')
		digits++
	}
	return v, digits
}

// scanStamp finds the time in the text of a message.
func scanStamp(line []byte) (micros uint64, ok bool) {
	i := bytes.Index(line, textMember)
	if i < 0 {
		return 0, false
	}
	micros, n := scanNumber(line[i+len(textMember):])
	return micros, n == stampBytes
}

// scanText finds a member that is a string without escapes.
func scanText(line, member []byte) []byte {
	i := bytes.Index(line, member)
	if i < 0 {
		return nil
	}
	rest := line[i+len(member):]
	return rest[:max(bytes.IndexByte(rest, '"'), 0)]
}

// appendSend appends the call that sends message n of a user to a room.
func appendSend(b []byte, n uint64, room string, micros uint64, filler string) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendUint(b, n, 10)
	b = append(b, `,"method":"message.send","params":{"room":"`...)
	b = append(b, room...)
	b = append(b, `","client_id":"`...)
	b = strconv.AppendUint(b, n, 10)
	b = append(b, `","text":"`...)
	stamp := strconv.AppendUint(make([]byte, 0, 20), micros, 10)
	for range stampBytes - len(stamp) {
		b = append(b, '0')
	}
	b = append(b, stamp...)
	b = append(b, filler...)
	return append(b, `"}}`...)
}
