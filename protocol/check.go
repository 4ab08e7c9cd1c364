package protocol

import (
	"math"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// Checker is a pointer to the params of a method. Check looks at their form and size by the bounds that depend neither on the room nor on a
// configuration (§3, order of checks), and returns the first fault: bad_request, or too_large for what is over a bound of size. It reads no more
// than the params and changes nothing.
//
// Whether a room exists is no matter of form; that it is named is.
type Checker interface{ Check() *Error }

// New makes the method's params, ready for DecodeParams and Check.
func (m Method) New() Checker {
	return reflect.New(reflect.TypeOf(m.Params)).Interface().(Checker) // a test looks at every row of the table
}

// Clamp is how many entries a list may return that was asked for limit: def when it was not said (0), and no more than most. Larger limits are cut,
// not refused (§4.3).
func Clamp(limit, def, most int) int {
	if limit <= 0 {
		return def
	}
	return min(limit, most)
}

// Distinct is the list without doubles, in the order of first occurrence: what a message keeps of its mentions (§4.3). The list itself stays as it is.
func Distinct(users []string) []string {
	var kept []string
	for i, user := range users {
		if !slices.Contains(users[:i], user) {
			kept = append(kept, user)
		}
	}
	return kept
}

// ValidUser reports whether the id may be a user's: 1–128 of A-Z a-z 0-9 _ - . : @ (§1).
func ValidUser(id string) bool {
	if len(id) == 0 || len(id) > MaxUserBytes {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && !strings.ContainsRune("_-.:@", rune(c)) {
			return false
		}
	}
	return true
}

// ValidDevice reports whether the string may be a device: 1–64 printable ASCII characters (§1).
func ValidDevice(device string) bool { return printable(device, MaxDeviceBytes) }

func printable(s string, most int) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= most
}

// Valid reports one of the kinds of §1.
func (k Kind) Valid() bool { return k == Direct || k == Group || k == Channel || k == Live }

// The checks of one param each. The first fault of a list of checks is the fault of the call.

func first(faults ...*Error) *Error {
	for _, e := range faults {
		if e != nil {
			return e
		}
	}
	return nil
}

func checkPresent(field, value string) *Error {
	if value == "" {
		return Errorf(BadRequest, field, "%s is missing", field)
	}
	return nil
}

func checkRoom(room string) *Error { return checkPresent("room", room) }

func checkUser(field, id string) *Error {
	if !ValidUser(id) {
		return Errorf(BadRequest, field, "%s must be a user id: 1–%d of A-Z a-z 0-9 _ - . : @", field, MaxUserBytes)
	}
	return nil
}

// checkBackendUser checks a user that only a back end names, and need not.
func checkBackendUser(id string) *Error {
	if id == "" {
		return nil
	}
	return checkUser("user", id)
}

func checkUsers(field string, users []string, least, most int) *Error {
	switch {
	case len(users) < least:
		return Errorf(BadRequest, field, "%s must name at least %d", field, least)
	case len(users) > most:
		return Errorf(TooLarge, field, "%s must be at most %d; these are %d", field, most, len(users))
	}
	for _, user := range users {
		if !ValidUser(user) {
			return Errorf(BadRequest, field, "%s holds %.200q, which is no user id: 1–%d of A-Z a-z 0-9 _ - . : @", field, user, MaxUserBytes)
		}
	}
	return nil
}

func checkDevice(field, device string) *Error {
	if !ValidDevice(device) {
		return Errorf(BadRequest, field, "%s must be 1–%d printable ASCII characters", field, MaxDeviceBytes)
	}
	return nil
}

func checkClientID(id string, presence Presence) *Error {
	if id == "" && presence == Optional {
		return nil
	}
	if !printable(id, MaxClientIDBytes) {
		return Errorf(BadRequest, "client_id", "client_id must be 1–%d printable ASCII characters, made once for each thing to send", MaxClientIDBytes)
	}
	return nil
}

// checkTarget checks a seq that names a message.
func checkTarget(field string, seq Seq) *Error {
	if seq == 0 {
		return Errorf(BadRequest, field, "%s must name a message: 1 or more", field)
	}
	return checkSeq(field, &seq)
}

// checkSeq checks a position, where there is one. No store counts further than a signed 64-bit integer does.
func checkSeq(field string, seq *Seq) *Error {
	if seq != nil && *seq > math.MaxInt64 {
		return Errorf(BadRequest, field, "%s is no seq: it is over %d", field, math.MaxInt64)
	}
	return nil
}

func checkPositions(field string, positions map[string]Seq, most int) *Error {
	if len(positions) > most {
		return Errorf(TooLarge, field, "%s must be of at most %d rooms; these are %d", field, most, len(positions))
	}
	for _, seq := range positions {
		if e := checkSeq(field, &seq); e != nil {
			return e
		}
	}
	return nil
}

func checkLimit(limit int) *Error {
	if limit < 0 {
		return Errorf(BadRequest, "limit", "limit must not be negative")
	}
	return nil
}

func checkBytes(field, value string, most int) *Error {
	if len(value) > most {
		return Errorf(TooLarge, field, "%s must be at most %d bytes; this is %d", field, most, len(value))
	}
	return nil
}

func checkChars(field, value string, most int) *Error {
	if n := utf8.RuneCountInString(value); n > most {
		return Errorf(TooLarge, field, "%s must be at most %d characters; this is %d", field, most, n)
	}
	return nil
}

func checkData(data Raw) *Error {
	if len(data) <= MaxDataBytes {
		return nil
	}
	if n := len(Compact(data)); n > MaxDataBytes {
		return Errorf(TooLarge, "data", "data must be at most %d bytes without white space; this is %d", MaxDataBytes, n)
	}
	return nil
}

func checkAvatar(avatar string) *Error {
	if avatar == "" {
		return nil
	}
	if e := checkBytes("avatar", avatar, MaxAvatarBytes); e != nil {
		return e
	}
	u, err := url.Parse(avatar)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return Errorf(BadRequest, "avatar", "avatar must be an http or https URL, or empty")
	}
	return nil
}

// checkAttachments wants an array of at most MaxAttachments objects, or null. What is in them is the application's own.
func checkAttachments(attachments Raw) *Error {
	if len(attachments) == 0 || attachments.Kind() == 'n' {
		return nil
	}
	var list []Raw
	if json.Unmarshal(attachments, &list) != nil {
		return Errorf(BadRequest, "attachments", "attachments must be an array of objects")
	}
	if len(list) > MaxAttachments {
		return Errorf(TooLarge, "attachments", "attachments must be at most %d; these are %d", MaxAttachments, len(list))
	}
	for _, attachment := range list {
		if attachment.Kind() != '{' {
			return Errorf(BadRequest, "attachments", "attachments must hold objects only")
		}
	}
	return nil
}

func checkSettings(s SettingsPatch) *Error {
	switch {
	case given(s.History) && s.History.Value != HistoryAll && s.History.Value != HistorySinceJoin:
		return Errorf(BadRequest, "settings", "settings.history must be %q or %q", HistoryAll, HistorySinceJoin)
	case given(s.Post) && s.Post.Value != PostMembers && s.Post.Value != PostModerators:
		return Errorf(BadRequest, "settings", "settings.post must be %q or %q", PostMembers, PostModerators)
	}
	return first(
		checkSetting("slow_mode_s", s.SlowModeS.Value, MaxSlowModeS),
		checkSetting("sample_per_s", s.SamplePerS.Value, MaxSamplePerS),
		checkSetting("retention_days", s.RetentionDays.Value, MaxRetentionDays),
	)
}

func given[T any](o Opt[T]) bool { return o.Set && !o.Null }

func checkSetting(name string, value, most int64) *Error {
	if value < 0 || value > most {
		return Errorf(BadRequest, "settings", "settings.%s must be 0 (off) to %d", name, most)
	}
	return nil
}
