package client

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

// callFrame is the frame of a call (§2.1); id 0 asks for no answer.
func callFrame(id uint64, method string, params any) ([]byte, error) {
	frame := make([]byte, 0, 256)
	frame = append(frame, '{')
	if id != 0 {
		frame = strconv.AppendUint(append(frame, `"id":`...), id, 10)
		frame = append(frame, ',')
	}
	frame = append(frame, `"method":"`...)
	frame = append(frame, method...)
	frame = append(frame, `","params":`...)
	b := bytes.NewBuffer(frame)
	if params == nil {
		params = protocol.Empty{}
	}
	if err := json.MarshalWrite(b, params, protocol.Encoding()); err != nil {
		return nil, fmt.Errorf("client: the params of %s: %w", method, err)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// How replies and pushes begin where Parley wrote them. Nobody writes to these.
var (
	eventPrefix = []byte(`{"event":"`)
	replyPrefix = []byte(`{"id":`)
)

// pushName is the name of a push, empty for a heartbeat; push is false for a reply and for what is no frame. It looks no further than it must where the frame is written as Parley writes it.
func pushName(line []byte) (name []byte, push bool) {
	if rest, ok := bytes.CutPrefix(line, eventPrefix); ok {
		if end := bytes.IndexByte(rest, '"'); end >= 0 {
			return rest[:end], true
		}
	}
	if bytes.HasPrefix(line, replyPrefix) {
		return nil, false
	}
	frame, err := protocol.ParseFrame(line)
	return []byte(frame.Event), err == nil && frame.ID == 0
}

// pushData decodes the data of a push.
func pushData(line []byte, into any) error {
	frame, err := protocol.ParseFrame(line)
	if err != nil {
		return err
	}
	if len(frame.Data) == 0 {
		return errors.New("client: a push without data")
	}
	return json.Unmarshal(frame.Data, into)
}
