package protocol

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Seq is the place of an event in its room's log: 1, 2, 3 … without gap or reuse (§1). 0 stands for "before the first".
type Seq = uint64

// Time is an instant in milliseconds since the Unix epoch; on the wire RFC 3339 in UTC with milliseconds (§2.1). The zero Time means "not set".
type Time int64

// At converts a time.Time, cutting it to the millisecond.
func At(t time.Time) Time { return Time(t.UnixMilli()) }

// Go is the instant as a time.Time in UTC.
func (t Time) Go() time.Time { return time.UnixMilli(int64(t)).UTC() }

// timeFormat is RFC 3339 with exactly three digits of fraction.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// AppendText appends the wire form.
func (t Time) AppendText(b []byte) ([]byte, error) { return t.Go().AppendFormat(b, timeFormat), nil }

// MarshalText is the wire form.
func (t Time) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// UnmarshalText accepts any RFC 3339 time.
func (t *Time) UnmarshalText(b []byte) error {
	v, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return err
	}
	*t = At(v)
	return nil
}

// String is the wire form.
func (t Time) String() string { return t.Go().Format(timeFormat) }

// Raw is a JSON value kept as it came: `data`, attachments, and what a table of types cannot foresee. Empty means absent.
type Raw = jsontext.Value

// Opt is a param of which "absent", "null" and "a value" are three different things (message.edit, room.update).
type Opt[T any] struct {
	Set   bool // the param was there
	Null  bool // it was null
	Value T    // the value, when Set and not Null
}

// Some is a param that is there with a value.
func Some[T any](v T) Opt[T] { return Opt[T]{Set: true, Value: v} }

// IsZero reports an absent param; `omitzero` leaves it out.
func (o Opt[T]) IsZero() bool { return !o.Set }
