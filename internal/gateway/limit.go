package gateway

import (
	"net/netip"
	"sync"
	"time"
)

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

// addressBurst is the time whose handshakes may come at once from one address.
const addressBurst = 6 * time.Second

// addressLimit limits the rate of handshakes from each address; those of IPv6 are taken by the /64, because whoever has one has all of it. An address that is
// not heard of for addressBurst has a full bucket, so that its bucket may go: what was last touched two turns ago is forgotten.
type addressLimit struct {
	mu         sync.Mutex
	young, old map[netip.Prefix]bucket
	turned     time.Duration // when young was begun
}

// take takes one handshake, or tells after what time it is possible. Who has no address is under no limit.
func (l *addressLimit) take(remote string, perSecond int, now time.Duration) (wait time.Duration) {
	addr, ok := addrOf(remote)
	if !ok || perSecond == 0 {
		return 0
	}
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	network := netip.PrefixFrom(addr.WithZone(""), bits).Masked()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.young == nil || now >= l.turned+addressBurst {
		l.young, l.old, l.turned = map[netip.Prefix]bucket{}, l.young, now
	}
	b, ok := l.young[network]
	if !ok {
		b = l.old[network]
	}
	wait = b.take(now, time.Second/time.Duration(perSecond), addressBurst)
	l.young[network] = b
	return wait
}
