package protocol_test

import (
	"testing"

	"github.com/parley-im/parley/protocol"
)

// A refusal quotes what was wrong, and must itself be good JSON whatever the bytes of an HTTP body were.
func TestRefusedBytesDoNotSpoilTheRefusal(t *testing.T) { // §2.4
	for _, body := range []string{"{\"\xff\":1,\"\xff\":1}", "{\"text\":\"\xff\"}", `{"text":"\ud800é"}`, `{"tex` + "\xc3"} {
		var p protocol.MessageSendParams
		e := protocol.DecodeParams(protocol.Raw(body), &p)
		if e == nil || e.Code != protocol.BadRequest {
			t.Errorf("%q: %v", body, e)
			continue
		}
		if f, err := protocol.ParseFrame(protocol.AppendError(nil, 1, e)); err != nil || f.Error == nil {
			t.Errorf("%q: %v", body, err)
		}
	}
}
