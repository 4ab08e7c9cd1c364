package protocol

// Bounds of §2.1 and §5 that do not depend on a room or a configuration.
const (
	MaxFrameBytes       = 64 << 10 // the default of limits.frame_bytes: one message from a client
	MaxServerMessage    = 64 << 10 // a message of the server, unless a single frame is larger
	MaxServerFrame      = 4 << 20  // a frame of the server: long lists stop early
	MaxDepth            = 64       // nesting of a frame
	MaxCallID           = 1<<53 - 1
	MaxTextBytes        = 8 << 10
	MaxDataBytes        = 16 << 10
	MaxNameChars        = 200
	MaxTopicChars       = 1000
	MaxAvatarBytes      = 2 << 10
	MaxUserBytes        = 128
	MaxDeviceBytes      = 64
	MaxClientIDBytes    = 64
	MaxClientBytes      = 200 // hello's `client`, free text
	MaxEmojiBytes       = 32
	MaxReasonChars      = 500 // member.ban's reason
	MaxUsersPerCall     = 200
	MaxMentions         = 50
	MaxAttachments      = 10
	MaxCursorsPerCall   = 1000
	MaxResumeRooms      = 1000
	MaxSessionsPerUser  = 50
	MaxReplay           = 1000 // the default of limits.replay
	MaxReceiptRoom      = 100  // larger rooms push no receipts to others, and no typing
	MaxQueryBytes       = 1024
	MinQueryChars       = 2     // user.search
	MaxSlowModeS        = 86400 // a day
	MaxSamplePerS       = 1000
	MaxRetentionDays    = 36500 // a century
	DefaultListMessages = 50
	MaxListMessages     = 200
	DefaultListRooms    = 100
	MaxListRooms        = 500
	DefaultListEvents   = 100
	MaxListEvents       = 1000
	DefaultListMembers  = 100
	MaxListMembers      = 1000
	DefaultListUsers    = 20
	MaxListUsers        = 100
	DefaultExport       = 50
	MaxExport           = 100
	DefaultPollWaitMS   = 25_000 // /v1/poll's timeout_ms
	MaxPollWaitMS       = 60_000
)
