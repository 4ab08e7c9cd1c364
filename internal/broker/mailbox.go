package broker

import (
	"slices"
	"sync"
)

// Mailbox is a bounded queue before one goroutine: what an adapter puts between a side that must not wait and a side that may take its time.
// All methods may be called from any goroutine.
type Mailbox struct {
	limit  int
	atOnce int // messages that handle takes at most
	handle func([]Message)
	lost   func()
	ended  chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	changed sync.Cond // on mu: waiting, lacking or closed
	waiting []Message
	bytes   int  // of the messages that have not been handled
	lacking bool // something was lost since the goroutine last told
	closed  bool
}

// messageCost is what a message takes in a mailbox besides its data.
const messageCost = 64

// OpenMailbox starts the goroutine. It calls handle with one message after the other, in the order in which they were put, and lost when some were not:
// once for all that were lost since it last did, after the messages that were waiting then. Limit is in bytes of data; each message counts for 64 more.
// The mailbox must be closed.
func OpenMailbox(limit int, handle func(Message), lost func()) *Mailbox {
	return OpenBatchMailbox(limit, 1, func(batch []Message) { handle(batch[0]) }, lost)
}

// OpenBatchMailbox is as OpenMailbox, with a handle that takes what is waiting: at least one message and at most atOnce, in their order. It does not keep the
// slice.
func OpenBatchMailbox(limit, atOnce int, handle func([]Message), lost func()) *Mailbox {
	m := &Mailbox{limit: limit, atOnce: atOnce, handle: handle, lost: lost, ended: make(chan struct{})}
	m.changed.L = &m.mu
	go m.run()
	return m
}

// Put queues a message, which is the mailbox's from then on. It never waits: when the mailbox is full or closed, the message is lost and Put returns false.
// A message larger than the limit is taken by an empty mailbox.
func (m *Mailbox) Put(message Message) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	cost := len(message.Data) + messageCost
	if m.closed {
		return false
	}
	if m.bytes > 0 && m.bytes+cost > m.limit {
		m.lacking = true
		m.changed.Signal()
		return false
	}
	m.bytes += cost
	m.waiting = append(m.waiting, message)
	m.changed.Signal()
	return true
}

// MailboxStats is how full a mailbox is.
type MailboxStats struct {
	Bytes int // of messages that have not been handled, with what each costs besides
	Limit int
}

// Stats is how full the mailbox is now.
func (m *Mailbox) Stats() MailboxStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return MailboxStats{m.bytes, m.limit}
}

// Lose tells the mailbox that messages were lost on their way to it.
func (m *Mailbox) Lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lacking = true
	m.changed.Signal()
}

// Close takes no more messages and returns when those that wait have been handled. Calling it twice is allowed, calling it from within handle or
// lost is not.
func (m *Mailbox) Close() {
	m.mu.Lock()
	m.closed = true
	m.changed.Signal()
	m.mu.Unlock()
	<-m.ended
}

func (m *Mailbox) run() {
	defer close(m.ended)
	var batch []Message
	for {
		m.mu.Lock()
		for len(m.waiting) == 0 && !m.lacking && !m.closed {
			m.changed.Wait()
		}
		batch, m.waiting = m.waiting, batch[:0]
		lacking, closed := m.lacking, m.closed
		m.lacking = false
		m.mu.Unlock()

		for part := range slices.Chunk(batch, m.atOnce) {
			bytes := 0
			for _, message := range part {
				bytes += len(message.Data) + messageCost
			}
			m.handle(part)
			clear(part)
			m.mu.Lock()
			m.bytes -= bytes
			m.mu.Unlock()
		}
		if lacking {
			m.lost()
		}
		if closed {
			return // nothing was put after closed was seen
		}
		if cap(batch) > keptMessages {
			batch = nil
		}
	}
}

// keptMessages is how long a queue may be that is kept for reuse: a burst shall not hold memory for ever.
const keptMessages = 1024
