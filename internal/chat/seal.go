package chat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

// sealer makes the opaque strings that clients bring back, pages and tokens, so that only what it made itself is read again.
type sealer struct{ key []byte }

// sealBytes is how much of the HMAC-SHA-256 a seal carries: 128 bits.
const sealBytes = 16

// seal packs a value for a use; what was sealed for another use does not open.
func (s sealer) seal(use string, value any) (string, error) {
	packed, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(s.mac(use, packed), packed...)), nil
}

// open unpacks what seal packed; false for anything else.
func (s sealer) open(use, sealed string, value any) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(b) < sealBytes {
		return false
	}
	mac, packed := b[:sealBytes], b[sealBytes:]
	return hmac.Equal(mac, s.mac(use, packed)) && json.Unmarshal(packed, value) == nil
}

func (s sealer) mac(use string, packed []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(use))
	h.Write([]byte{0})
	h.Write(packed)
	return h.Sum(nil)[:sealBytes]
}

func badPage() *protocol.Error {
	return protocol.Errorf(protocol.BadRequest, "page", "This page was not made by this server for this list: begin the list anew, without page.")
}
