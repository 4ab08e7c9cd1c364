package client

import "sync"

const (
	queueBytes = 4 << 20
	// overrun is how many times its bound the queue may hold while the application waits for an answer.
	overrun = 4
)

// queue holds what the handler is to be told, and tells it, one after another.
//
// Its bound stops the reader of the connection, and through it the server. But a handler that waits for the answer to a call can only go on if the
// reader does: so while the application waits, the queue takes more, up to a second bound. Beyond that it is deaf: pushes are dropped, so that answers
// are still read, until all is told; then a new session resumes behind the last push that was taken.
type queue struct {
	behind func() // called when a deaf queue has told everything

	mu      sync.Mutex
	changed sync.Cond
	items   []item
	bytes   int
	limit   int
	waiters int // calls of the application that wait for an answer
	deaf    bool
	closed  bool
}

type item struct {
	bytes int
	tell  func()
}

func newQueue(limit int, behind func()) *queue {
	if limit <= 0 {
		limit = queueBytes
	}
	q := &queue{limit: limit, behind: behind}
	q.changed.L = &q.mu
	return q
}

// admit waits until another push may be put, and reports false if it must be dropped. Pushes have one goroutine at a time.
func (q *queue) admit() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes >= q.limit && q.waiters == 0 && !q.deaf && !q.closed {
		q.changed.Wait()
	}
	q.deaf = q.deaf || q.bytes >= overrun*q.limit
	return !q.deaf
}

// hear ends deafness: a session has begun behind the last push that was taken.
func (q *queue) hear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deaf = false
}

// put adds something of a size to tell.
func (q *queue) put(bytes int, tell func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.items = append(q.items, item{bytes, tell})
		q.bytes += bytes
		q.changed.Broadcast()
	}
}

// wait counts a call of the application that waits for an answer until it calls the returned function.
func (q *queue) wait() (done func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiters++
	q.changed.Broadcast()
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.waiters--
	}
}

// run tells until the queue is closed.
func (q *queue) run() {
	for {
		q.mu.Lock()
		for len(q.items) == 0 && !q.closed {
			q.changed.Wait()
		}
		if q.closed {
			q.mu.Unlock()
			return
		}
		items := q.items
		q.items = nil
		q.mu.Unlock()
		for _, i := range items {
			if !q.tell(i) {
				return
			}
		}
	}
}

// tell carries out one item, and reports false once the queue is closed.
func (q *queue) tell(i item) bool {
	i.tell()
	q.mu.Lock()
	q.bytes -= i.bytes
	behind, open := q.deaf && q.bytes == 0, !q.closed
	q.changed.Broadcast()
	q.mu.Unlock()
	if behind && open {
		q.behind()
	}
	return open
}

// close drops what was not told.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}
