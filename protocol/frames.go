package protocol

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrNotFrame is what ParseCall returns for bytes that are no frame at all: the session is closed with CloseBadFrame (§2.1).
var ErrNotFrame = errors.New("not a frame")

// Call is one frame from a client (§2.1).
type Call struct {
	ID     uint64 // 0: nothing is answered
	Method string // "" with ID 0: a heartbeat
	Params Raw    // an object, or empty when absent; shares memory with the frame it was parsed from
}

// Heartbeat reports a frame with neither method nor id.
func (c Call) Heartbeat() bool { return c.Method == "" && c.ID == 0 }

// Event is an event of a room's log as it stands in the store and goes over the wire.
type Event struct {
	Room string
	Seq  Seq
	Name Name
	At   Time
	User string // "" is a back end: null on the wire
	Data Raw    // a JSON object
}

// AppendEvent appends the event's frame to b, without a newline. The order of the members is fixed (event, room, seq, at, user, data), so that
// ParseFrame can take a short way.
func AppendEvent(b []byte, e *Event) []byte {
	b = append(b, `{"event":"`...)
	b = append(b, e.Name...)
	b = append(b, `","room":"`...)
	b = append(b, e.Room...)
	b = append(b, `","seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = append(b, `,"at":"`...)
	b, _ = e.At.AppendText(b)
	b = append(b, `","user":`...)
	if e.User == "" {
		b = append(b, "null"...)
	} else {
		b = append(b, '"')
		b = append(b, e.User...) // the alphabet of user ids needs no escape
		b = append(b, '"')
	}
	b = append(b, `,"data":`...)
	b = append(b, e.Data...)
	return append(b, '}')
}

// AppendSignal appends a signal's frame to b, without a newline. Room and user may be empty; data is encoded as JSON.
func AppendSignal(b []byte, name Name, room, user string, data any) []byte {
	b = append(b, `{"event":"`...)
	b = append(b, name...)
	b = append(b, '"')
	if room != "" {
		b = append(b, `,"room":`...)
		b = appendText(b, room)
	}
	if user != "" {
		b = append(b, `,"user":`...)
		b = appendText(b, user)
	}
	b = append(b, `,"data":`...)
	b = appendJSON(b, data)
	return append(b, '}')
}

// AppendResult appends the reply to the call id to b, without a newline.
func AppendResult(b []byte, id uint64, result any) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, `,"result":`...)
	b = appendJSON(b, result)
	return append(b, '}')
}

// AppendError appends the refusal of the call id to b, without a newline.
func AppendError(b []byte, id uint64, e *Error) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, `,"error":`...)
	b = appendJSON(b, e)
	return append(b, '}')
}

// appendJSON encodes a value of this package's own types; those always encode, so that an error here is a fault of the program.
func appendJSON(b []byte, v any) []byte {
	buf := bytes.NewBuffer(b) // writes behind b, into its free capacity
	if err := json.MarshalWrite(buf, v, encoding); err != nil {
		panic("protocol: a value that does not encode: " + err.Error())
	}
	return buf.Bytes()
}

// appendText appends a string as JSON.
func appendText(b []byte, text string) []byte {
	b, err := jsontext.AppendQuote(b, text)
	if err != nil {
		panic("protocol: a text that is not UTF-8: " + err.Error())
	}
	return b
}

// Encoding are the options with which everything on the wire is encoded.
func Encoding() json.Options { return encoding }

var encoding = json.JoinOptions(jsontext.EscapeForHTML(false), jsontext.AllowInvalidUTF8(false), jsontext.PreserveRawStrings(true))

// Frame is one frame from the server: a reply (ID set) or a push (Event set); neither is a heartbeat.
type Frame struct {
	ID     uint64
	Result Raw
	Error  *Error
	Event  Name
	Room   string
	Seq    Seq
	At     Time
	User   string
	Data   Raw
}
