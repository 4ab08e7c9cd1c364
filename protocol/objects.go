package protocol

// Kind is the kind of a room (§1).
type Kind string

// The kinds of rooms.
const (
	Direct  Kind = "direct"  // exactly two users, one room per pair
	Group   Kind = "group"   // invited members
	Channel Kind = "channel" // anyone may find and join
	Live    Kind = "live"    // an unbounded audience that watches without joining
)

// Role is what a member may do in a room (§4.2), in rising order: member, moderator, admin, owner.
type Role string

// The roles of a member.
const (
	RoleMember    Role = "member"
	RoleModerator Role = "moderator"
	RoleAdmin     Role = "admin"
	RoleOwner     Role = "owner"
)

// Rank orders roles; 0 is no role at all.
func (r Role) Rank() int {
	switch r {
	case RoleMember:
		return 1
	case RoleModerator:
		return 2
	case RoleAdmin:
		return 3
	case RoleOwner:
		return 4
	}
	return 0
}

// TokenRole is the role that a token gives its user in the whole deployment (§3).
type TokenRole string

// The roles of a token.
const (
	TokenUser      TokenRole = "user"
	TokenModerator TokenRole = "moderator"
	TokenAdmin     TokenRole = "admin"
)

// History says what a member may read of the time before they joined.
type History string

// The values of settings.history.
const (
	HistoryAll       History = "all"
	HistorySinceJoin History = "since_join"
)

// Post says who may send to a room.
type Post string

// The values of settings.post.
const (
	PostMembers    Post = "members"
	PostModerators Post = "moderators"
)

// Notify says of what a member wants to be told when away.
type Notify string

// The values of notify.
const (
	NotifyAll      Notify = "all"
	NotifyMentions Notify = "mentions"
	NotifyNone     Notify = "none"
)

// Settings are the rules of a room (§4.2). 0 = off.
type Settings struct {
	History       History `json:"history"`        // what members may read of the time before they joined
	Post          Post    `json:"post"`           // who may send
	SlowModeS     int64   `json:"slow_mode_s"`    // seconds between two messages of one user
	Receipts      bool    `json:"receipts"`       // whether members see each other's cursors
	SamplePerS    int64   `json:"sample_per_s"`   // events a second that a watcher of a live room is pushed
	RetentionDays int64   `json:"retention_days"` // days that events are kept
}

// DefaultSettings are those of a room that was given none.
func DefaultSettings() Settings {
	return Settings{History: HistoryAll, Post: PostMembers, Receipts: true}
}

// SettingsPatch merges into settings: absent keeps, null restores the default, a value replaces.
type SettingsPatch struct {
	History       Opt[History] `json:"history,omitzero"`        // what members may read of the time before they joined
	Post          Opt[Post]    `json:"post,omitzero"`           // who may send
	SlowModeS     Opt[int64]   `json:"slow_mode_s,omitzero"`    // seconds between two messages of one user
	Receipts      Opt[bool]    `json:"receipts,omitzero"`       // whether members see each other's cursors
	SamplePerS    Opt[int64]   `json:"sample_per_s,omitzero"`   // events a second that a watcher of a live room is pushed
	RetentionDays Opt[int64]   `json:"retention_days,omitzero"` // days that events are kept
}

// Room is a room object (§4.2).
type Room struct {
	ID        string   `json:"id"`
	Kind      Kind     `json:"kind"`
	Name      string   `json:"name"`
	Topic     string   `json:"topic"`
	Avatar    string   `json:"avatar"`
	Data      Raw      `json:"data"` // null where there is none
	Settings  Settings `json:"settings"`
	CreatedAt Time     `json:"created_at"`
	CreatedBy *string  `json:"created_by"` // null for a back end
	First     Seq      `json:"first"`      // the oldest seq that is kept
	Head      Seq      `json:"head"`       // the newest seq
	Messages  uint64   `json:"messages"`   // the number n of the last message; it does not fall
}

// Me is what a member's own entry of a room says (§4.2).
type Me struct {
	Role       Role   `json:"role"`
	Read       Seq    `json:"read"`                 // everything up to this seq was read
	Delivered  Seq    `json:"delivered"`            // everything up to this seq has arrived
	Unread     uint64 `json:"unread"`               // messages behind the read cursor
	Mentions   uint64 `json:"mentions"`             // unread messages that name the user
	MutedUntil Time   `json:"muted_until,omitzero"` // the user may not send until then
	Notify     Notify `json:"notify"`
	Pinned     bool   `json:"pinned"`
	Archived   bool   `json:"archived"`
}

// Member is one row of member.list.
type Member struct {
	User       string `json:"user"`
	Role       Role   `json:"role"`
	JoinedAt   Time   `json:"joined_at"`
	MutedUntil Time   `json:"muted_until,omitzero"`
}

// MemberRole is a first member of a room, in room.created.
type MemberRole struct {
	User string `json:"user"`
	Role Role   `json:"role"`
}

// Cursors are how far one member has got, as others may see it.
type Cursors struct {
	User      string `json:"user"`
	Delivered Seq    `json:"delivered"`
	Read      Seq    `json:"read"`
}

// Message is a message as it stands at the head of the list that carries it (§4.3). Text, data and attachments are null where there are none and
// after a deletion.
type Message struct {
	Room        string     `json:"room"`
	Seq         Seq        `json:"seq"`
	Rev         Seq        `json:"rev"`  // the seq of the last event that changed it
	N           uint64     `json:"n"`    // the running number of the message in its room
	User        *string    `json:"user"` // who sent it; null for a back end
	ClientID    string     `json:"client_id"`
	Text        *string    `json:"text"`
	Data        Raw        `json:"data"`
	Attachments Raw        `json:"attachments"`
	ReplyTo     Seq        `json:"reply_to,omitzero"` // the seq of the message that it answers
	Thread      Seq        `json:"thread,omitzero"`   // the seq of the first message of its thread
	Replies     uint64     `json:"replies"`           // how many messages its thread has, on a root
	Mentions    []string   `json:"mentions"`
	Reactions   []Reaction `json:"reactions"`
	At          Time       `json:"at"`
	EditedAt    Time       `json:"edited_at,omitzero"`
	DeletedAt   Time       `json:"deleted_at,omitzero"`
}

// Reaction is how often one emoji stands under a message, and whether the asker is among those who set it.
type Reaction struct {
	Emoji string `json:"emoji"`
	Count uint64 `json:"count"`
	Mine  bool   `json:"mine"`
}

// User is a user's profile.
type User struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Avatar string `json:"avatar"`
	Data   Raw    `json:"data"`
}

// Session is one row of session.list.
type Session struct {
	Session   string `json:"session"`
	Device    string `json:"device"`
	Client    string `json:"client"` // free text about the program
	CreatedAt Time   `json:"created_at"`
	Current   bool   `json:"current"` // the session that asks
}

// Limits are the server's bounds, told in the reply to hello; 0 = unlimited.
type Limits struct {
	TextBytes         int64   `json:"text_bytes"`          // of the text of a message
	FrameBytes        int64   `json:"frame_bytes"`         // of one message of the client
	MessagesPerSecond float64 `json:"messages_per_second"` // of one user, over all sessions
	Burst             int64   `json:"burst"`               // messages of one user at once
	Replay            int64   `json:"replay"`              // missed events of a room that are sent again
}

// ExportType says what a record of an export is about.
type ExportType string

// The types of records: of a user's export the first six, of a room's the others and messages.
const (
	ExportUser       ExportType = "user"       // the profile
	ExportPresence   ExportType = "presence"   // the status that the user has set, and when they were last seen
	ExportSession    ExportType = "session"    // a live session
	ExportMembership ExportType = "membership" // what the user is, or was, to a room
	ExportMessage    ExportType = "message"    // a message as it stands
	ExportReaction   ExportType = "reaction"   // a reaction of the user
	ExportRoom       ExportType = "room"
	ExportMember     ExportType = "member"
	ExportEvent      ExportType = "event" // an entry of the log
)

// ExportRecord is one line of an export; what its type does not speak of is absent.
type ExportRecord struct {
	Type     ExportType    `json:"type"`
	Room     string        `json:"room,omitzero"` // which room it is about
	Name     string        `json:"name,omitzero"` // of a membership: the room's
	User     *User         `json:"user,omitzero"`
	Presence *PresenceData `json:"presence,omitzero"`
	Session  *Session      `json:"session,omitzero"`
	Member   *Member       `json:"member,omitzero"`
	Me       *Me           `json:"me,omitzero"`   // of a membership: the user's own cursors and settings
	Left     bool          `json:"left,omitzero"` // of a membership: it has ended
	Message  *Message      `json:"message,omitzero"`
	Target   Seq           `json:"target,omitzero"` // of a reaction: the message
	Emoji    string        `json:"emoji,omitzero"`
	Object   *Room         `json:"object,omitzero"` // the room
	Event    Raw           `json:"event,omitzero"`  // as it went over the wire
}
