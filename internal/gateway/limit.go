package gateway

import "time"

// A bucket limits a rate (GCRA): it is the moment at which everything taken so far will have been earned. The zero bucket is full.
type bucket time.Duration

// take takes one, which is earned in interval, unless that would reach further than tolerance into the future: then nothing is taken, and wait is the
// time after which it is possible.
func (b *bucket) take(now, interval, tolerance time.Duration) (wait time.Duration) {
	earned := max(time.Duration(*b), now) + interval
	if wait = earned - now - tolerance; wait > 0 {
		return wait
	}
	*b = bucket(earned)
	return 0
}
