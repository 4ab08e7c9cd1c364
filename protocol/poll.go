package protocol

// Long polling (§2.6), the one call over HTTP that is no method.

// PollParams are the body of a poll. The first has no Session, and says what hello says.
type PollParams struct {
	Session   string     `json:"session,omitzero"`    // the session to poll; without it one is opened
	Ack       string     `json:"ack,omitzero"`        // the cursor of the last answer that has arrived: its frames do not come again
	Device    string     `json:"device,omitzero"`     // as in hello
	Client    string     `json:"client,omitzero"`     // as in hello
	Rooms     RoomsToAll `json:"rooms,omitzero"`      // as in hello
	Resume    *Resume    `json:"resume,omitzero"`     // as in hello
	TimeoutMS *int64     `json:"timeout_ms,omitzero"` // how long to wait for a frame
}

// PollResult is the answer to a poll.
type PollResult struct {
	Session string `json:"session"` // names the session: the next poll's
	Cursor  string `json:"cursor"`  // the next poll's ack
	Frames  []Raw  `json:"frames"`  // as they are pushed over a WebSocket, in order; none when the time is over
}

// Check wants what hello wants of a poll that opens a session, and a wait within bounds.
func (p *PollParams) Check() *Error {
	if p.TimeoutMS != nil && (*p.TimeoutMS < 0 || *p.TimeoutMS > MaxPollWaitMS) {
		return Errorf(BadRequest, "timeout_ms", "timeout_ms is 0 to %d.", MaxPollWaitMS)
	}
	if p.Session != "" {
		return nil
	}
	return (&HelloParams{Device: p.Device, Client: p.Client, Rooms: p.Rooms, Resume: p.Resume}).Check()
}
