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
	History       History `json:"history"`
	Post          Post    `json:"post"`
	SlowModeS     int64   `json:"slow_mode_s"`
	Receipts      bool    `json:"receipts"`
	SamplePerS    int64   `json:"sample_per_s"`
	RetentionDays int64   `json:"retention_days"`
}

// DefaultSettings are those of a room that was given none.
func DefaultSettings() Settings {
	return Settings{History: HistoryAll, Post: PostMembers, Receipts: true}
}

// SettingsPatch merges into settings: absent keeps, null restores the default, a value replaces.
type SettingsPatch struct {
	History       Opt[History] `json:"history,omitzero"`
	Post          Opt[Post]    `json:"post,omitzero"`
	SlowModeS     Opt[int64]   `json:"slow_mode_s,omitzero"`
	Receipts      Opt[bool]    `json:"receipts,omitzero"`
	SamplePerS    Opt[int64]   `json:"sample_per_s,omitzero"`
	RetentionDays Opt[int64]   `json:"retention_days,omitzero"`
}

// Room is a room object (§4.2). CreatedBy is null for a back end; Data is null where there is none.
type Room struct {
	ID        string   `json:"id"`
	Kind      Kind     `json:"kind"`
	Name      string   `json:"name"`
	Topic     string   `json:"topic"`
	Avatar    string   `json:"avatar"`
	Data      Raw      `json:"data"`
	Settings  Settings `json:"settings"`
	CreatedAt Time     `json:"created_at"`
	CreatedBy *string  `json:"created_by"`
	First     Seq      `json:"first"`    // the oldest seq that is kept
	Head      Seq      `json:"head"`     // the newest seq
	Messages  uint64   `json:"messages"` // the number n of the last message; it does not fall
}

// Me is what a member's own entry of a room says (§4.2).
type Me struct {
	Role       Role   `json:"role"`
	Read       Seq    `json:"read"`
	Delivered  Seq    `json:"delivered"`
	Unread     uint64 `json:"unread"`
	Mentions   uint64 `json:"mentions"`
	MutedUntil Time   `json:"muted_until,omitzero"`
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
	Rev         Seq        `json:"rev"` // the seq of the last event that changed it
	N           uint64     `json:"n"`
	User        *string    `json:"user"`
	ClientID    string     `json:"client_id"`
	Text        *string    `json:"text"`
	Data        Raw        `json:"data"`
	Attachments Raw        `json:"attachments"`
	ReplyTo     Seq        `json:"reply_to,omitzero"`
	Thread      Seq        `json:"thread,omitzero"`
	Replies     uint64     `json:"replies"`
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
	Client    string `json:"client"`
	CreatedAt Time   `json:"created_at"`
	Current   bool   `json:"current"`
}

// Limits are the server's bounds, told in the reply to hello; 0 = unlimited.
type Limits struct {
	TextBytes         int64   `json:"text_bytes"`
	FrameBytes        int64   `json:"frame_bytes"`
	MessagesPerSecond float64 `json:"messages_per_second"`
	Burst             int64   `json:"burst"`
	Replay            int64   `json:"replay"`
}
