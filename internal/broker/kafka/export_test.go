package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/parley-im/parley/internal/broker"
)

// ReadAlso makes a link read one more topic, of one partition, from its beginning.
func ReadAlso(live broker.Live, topic string) {
	live.(*link).current().client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}})
}
