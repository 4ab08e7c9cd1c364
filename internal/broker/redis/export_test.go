package redis

import (
	"context"
	"time"

	"github.com/parley-im/parley/internal/broker"
)

// OpenImpatient opens a feed whose consumers take others for dead after a time.
func OpenImpatient(ctx context.Context, o broker.ExchangeOptions, claim time.Duration) (broker.Exchange, error) {
	return openExchange(ctx, o, claim)
}
