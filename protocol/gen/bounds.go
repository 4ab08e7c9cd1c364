package main

import (
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/internal/openapi"
	"github.com/parley-im/parley/protocol"
)

// What protocol.Checker refuses, in the words of JSON Schema. The numbers are those of bounds.go; that both refuse the same is tested at every bound.
// Bounds in bytes stand as maxLength, which counts characters: what has only ASCII is bounded exactly, the rest by the server.

// The alphabets of ids.
var (
	userPattern      = fmt.Sprintf("^[A-Za-z0-9_.:@-]{1,%d}$", protocol.MaxUserBytes)
	devicePattern    = fmt.Sprintf("^[ -~]{1,%d}$", protocol.MaxDeviceBytes)
	clientIDPattern  = fmt.Sprintf("^[ -~]{1,%d}$", protocol.MaxClientIDBytes)
	avatarPattern    = `^([hH][tT][tT][pP][sS]?://[^/?#].*)?$`
	settableStatuses = []string{string(protocol.StatusOnline), string(protocol.StatusAway), string(protocol.StatusInvisible)}
)

// bounds narrow the members of params, by "Type.member" or else by "member".
func bounds() map[string]func(*openapi.Schema) {
	user := pattern(userPattern)
	return map[string]func(*openapi.Schema){
		"room":        notEmpty,
		"user":        user,
		"users":       list(1, protocol.MaxUsersPerCall, user),
		"members":     list(0, protocol.MaxUsersPerCall, user),
		"mentions":    list(0, protocol.MaxMentions, user),
		"device":      pattern(devicePattern),
		"client_id":   pattern(clientIDPattern),
		"client":      atMost(protocol.MaxClientBytes),
		"text":        atMost(protocol.MaxTextBytes),
		"name":        atMost(protocol.MaxNameChars),
		"topic":       atMost(protocol.MaxTopicChars),
		"reason":      atMost(protocol.MaxReasonChars),
		"query":       atMost(protocol.MaxQueryBytes),
		"avatar":      func(s *openapi.Schema) { s.MaxLength, s.Pattern = protocol.MaxAvatarBytes, avatarPattern },
		"emoji":       func(s *openapi.Schema) { s.MinLength, s.MaxLength = 1, protocol.MaxEmojiBytes },
		"attachments": func(s *openapi.Schema) { s.MaxItems = protocol.MaxAttachments },
		"cursors":     func(s *openapi.Schema) { s.MaxProperties = protocol.MaxCursorsPerCall },
		"seq":         between(1, math.MaxInt64),
		"after":       between(0, math.MaxInt64),
		"before":      between(0, math.MaxInt64),
		"around":      between(0, math.MaxInt64),
		"thread":      between(0, math.MaxInt64),
		"reply_to":    between(0, math.MaxInt64),

		"slow_mode_s":    between(0, protocol.MaxSlowModeS),
		"sample_per_s":   between(0, protocol.MaxSamplePerS),
		"retention_days": between(0, protocol.MaxRetentionDays),

		"Resume.rooms":       func(s *openapi.Schema) { s.MaxProperties = protocol.MaxResumeRooms },
		"HelloParams.rooms":  byDefault(`"all"`),
		"PollParams.rooms":   byDefault(`"all"`),
		"PollParams.session": func(*openapi.Schema) {},
		"PollParams.timeout_ms": func(s *openapi.Schema) {
			between(0, protocol.MaxPollWaitMS)(s)
			s.Default = jsontext.Value(strconv.Itoa(protocol.DefaultPollWaitMS))
		},
		"SessionRefreshParams.token":  notEmpty,
		"PresenceParams.users":        list(0, protocol.MaxUsersPerCall, user),
		"PresenceSetParams.status":    func(s *openapi.Schema) { *s = openapi.Schema{Types: openapi.Types{"string"}, Enum: settableStatuses} },
		"UserSearchParams.query":      func(s *openapi.Schema) { s.MinLength, s.MaxLength = protocol.MinQueryChars, protocol.MaxQueryBytes },
		"MessageSearchParams.query":   func(*openapi.Schema) {}, // any is legal
		"MessageSearchParams.room":    func(*openapi.Schema) {},
		"UserSearchParams.limit":      cut(protocol.DefaultListUsers, protocol.MaxListUsers),
		"UserExportParams.limit":      cut(protocol.DefaultExport, protocol.MaxExport),
		"RoomListParams.limit":        cut(protocol.DefaultListRooms, protocol.MaxListRooms),
		"RoomBrowseParams.limit":      cut(protocol.DefaultListRooms, protocol.MaxListRooms),
		"PageParams.limit":            cut(protocol.DefaultListMembers, protocol.MaxListMembers),
		"MessageListParams.limit":     cut(protocol.DefaultListMessages, protocol.MaxListMessages),
		"MessageSearchParams.limit":   cut(protocol.DefaultListMessages, protocol.MaxListMessages),
		"EventListParams.limit":       cut(protocol.DefaultListEvents, protocol.MaxListEvents),
		"SessionRevokeParams.session": func(*openapi.Schema) {},
	}
}

// narrow applies the bounds of one member of params.
func narrow(s *openapi.Schema, of reflect.Type, member string, all map[string]func(*openapi.Schema)) {
	if apply, ok := all[of.Name()+"."+member]; ok {
		apply(s)
	} else if apply, ok := all[member]; ok {
		apply(s)
	}
}

func notEmpty(s *openapi.Schema) { s.MinLength = 1 }

func pattern(p string) func(*openapi.Schema) { return func(s *openapi.Schema) { s.Pattern = p } }

func atMost(length int) func(*openapi.Schema) {
	return func(s *openapi.Schema) { s.MaxLength = length }
}

func list(least, most int, item func(*openapi.Schema)) func(*openapi.Schema) {
	return func(s *openapi.Schema) {
		s.MinItems, s.MaxItems = least, most
		item(s.Items)
	}
}

func between(least, most int64) func(*openapi.Schema) {
	return func(s *openapi.Schema) { s.Minimum, s.Maximum = &least, &most }
}

func byDefault(value string) func(*openapi.Schema) {
	return func(s *openapi.Schema) { s.Default = jsontext.Value(value) }
}

// cut is a limit: larger ones are cut, not refused, so that there is no maximum.
func cut(normal, most int) func(*openapi.Schema) {
	return func(s *openapi.Schema) {
		s.Minimum = new(int64)
		s.Default = jsontext.Value(strconv.Itoa(normal))
		s.Description = fmt.Sprintf("how many at most; 0 is %d, and more than %d is cut", normal, most)
	}
}
