package brokertest

import (
	"math/rand/v2"
	"sync"

	"github.com/parley-im/parley/internal/broker"
)

// Faults are the chances, from 0 to 1, of what may happen to a message that is published.
type Faults struct {
	Drop    float64 // it is lost
	Double  float64 // it comes twice
	Reorder float64 // it comes after the next one, whatever room that is for
}

// Faulty spoils what a node publishes, as an engine may that promises nothing: the same faults for the same seed and the same calls. What is dropped is
// counted nowhere, and a message that waits for the next one is lost when there is none. All else is as live has it.
func Faulty(live broker.Live, seed uint64, faults Faults) broker.Live {
	return &faulty{Live: live, faults: faults, random: rand.New(rand.NewPCG(seed, 0))}
}

type faulty struct {
	broker.Live
	faults Faults

	mu     sync.Mutex
	random *rand.Rand
	held   func() // publishes a message that has been overtaken; nil when there is none
}

func (f *faulty) Publish(room string, message []byte) {
	f.spoil(message, func(m []byte) { f.Live.Publish(room, m) })
}

func (f *faulty) Broadcast(message []byte) {
	f.spoil(message, f.Live.Broadcast)
}

// spoil holds the lock while it publishes, so that the faults alone decide on the order.
func (f *faulty) spoil(message []byte, publish func([]byte)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	drop, double, reorder := f.happens(f.faults.Drop), f.happens(f.faults.Double), f.happens(f.faults.Reorder)
	overtaken := f.held
	f.held = nil
	switch {
	case drop:
	case reorder && overtaken == nil:
		kept := append([]byte(nil), message...)
		f.held = func() { publish(kept) }
	default:
		publish(message)
		if double {
			publish(message)
		}
	}
	if overtaken != nil {
		overtaken()
	}
}

func (f *faulty) happens(chance float64) bool { return f.random.Float64() < chance }
