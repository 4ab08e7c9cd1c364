package delivery

import (
	"sync"
	"sync/atomic"
)

// slab numbers things, so that tens of millions of references to them cost four bytes each and nothing to the garbage collector. An index is given
// again after remove: whoever keeps one must know, by a lock of his own, that it still stands for what he means. 0 is never an index.
type slab[T any] struct {
	chunks atomic.Pointer[[]*chunk[T]] // replaced when it grows, so that get needs no lock

	mu   sync.Mutex // a leaf
	used uint32     // the highest index given so far
	free []uint32
}

const chunkSize = 1024

type chunk[T any] [chunkSize]atomic.Pointer[T]

// add numbers v.
func (s *slab[T]) add(v *T) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var i uint32
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.used++
		i = s.used
	}
	chunks := s.all()
	if int(i/chunkSize) == len(chunks) {
		chunks = append(chunks[:len(chunks):len(chunks)], new(chunk[T]))
		s.chunks.Store(&chunks)
	}
	chunks[i/chunkSize][i%chunkSize].Store(v)
	return i
}

// get is what has the index, nil if nothing has.
func (s *slab[T]) get(i uint32) *T {
	chunks := s.all()
	if int(i/chunkSize) >= len(chunks) {
		return nil
	}
	return chunks[i/chunkSize][i%chunkSize].Load()
}

// remove gives the index back.
func (s *slab[T]) remove(i uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all()[i/chunkSize][i%chunkSize].Store(nil)
	s.free = append(s.free, i)
}

// count is how many things have an index, top the highest index that any may have.
func (s *slab[T]) count() (count, top uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used - uint32(len(s.free)), s.used
}

func (s *slab[T]) all() []*chunk[T] {
	if p := s.chunks.Load(); p != nil {
		return *p
	}
	return nil
}
