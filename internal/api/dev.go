package api

import (
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/protocol"
)

// serveDevToken is POST /dev/token {user, name?}: it signs a token for anyone who asks. Only a server in development mode has it.
func (s *Server) serveDevToken(w http.ResponseWriter, r *http.Request) {
	var params struct {
		User string `json:"user"`
		Name string `json:"name"`
	}
	if err := json.UnmarshalRead(http.MaxBytesReader(w, r.Body, 4<<10), &params); err != nil || !protocol.ValidUser(params.User) {
		writeError(w, protocol.Errorf(protocol.BadRequest, "user", "A user is 1–128 of A-Z a-z 0-9 _ - . : @"))
		return
	}
	claims := auth.Claims{User: params.User, TTL: 12 * time.Hour}
	if params.Name != "" {
		claims.Name = &params.Name
	}
	token, err := s.Signer.Sign(claims)
	if err != nil {
		writeError(w, protocol.Errorf(protocol.BadRequest, "name", "%s", err))
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"token": token})
}
