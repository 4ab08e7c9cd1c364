package gateway

// Parked reports whether nobody is working off what the session has read: then its times are what they will be.
func (s *Session) Parked() bool { return !s.read.working.Load() }

// ReadEnded reports whether the end of the client's bytes has been seen.
func (s *Session) ReadEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.readDone
}
