package gateway

// Parked reports whether nobody is working off what the session has read: then its times are what they will be.
func (s *Session) Parked() bool { return !s.read.working.Load() }
