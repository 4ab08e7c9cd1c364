// Package privacy gives people what a deployment keeps of them, and takes it away: export and erasure of a user, and of a room.
//
// Erasure goes the way of everything else, through the logs: messages are deleted, reactions taken back and rooms left by events, as if the user had done it by
// themselves. So whatever follows the logs (other nodes, clients' copies, the search index) follows the erasure. What is asked for is written down first and
// carried out until it is done, by whichever node; doing it twice does nothing. The user's id stays where it names who did something: it is the
// application's own word for them.
package privacy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

const (
	roomsAtOnce  = 100
	writtenPage  = 256
	lookInterval = 5 * time.Second // for what was asked for elsewhere
)

// Options are what an Eraser stands on. All are needed.
type Options struct {
	Estate Estate
	Chat   *chat.Service
	// SignOut ends the user's sessions on all nodes, and refuses the tokens that they have now.
	SignOut func(ctx context.Context, user string) error
	Log     *slog.Logger
}

// Eraser carries out erasures. Its methods may be called from any goroutine.
type Eraser struct {
	Options
	asked chan struct{} // capacity 1

	mu      sync.Mutex
	waiting map[Subject][]chan struct{} // closed when the subject's erasure is done
}

// NewEraser makes an eraser. Run must be running for anything to be erased.
func NewEraser(o Options) *Eraser {
	return &Eraser{Options: o, asked: make(chan struct{}, 1), waiting: map[Subject][]chan struct{}{}}
}

// Erase asks for an erasure and waits until it is carried out. When ctx ends before, the erasure goes on: calling again waits again.
func (e *Eraser) Erase(ctx context.Context, s Subject) error {
	done := make(chan struct{})
	e.mu.Lock()
	e.waiting[s] = append(e.waiting[s], done)
	e.mu.Unlock()
	if err := e.Estate.Request(ctx, s); err != nil {
		return err
	}
	select {
	case e.asked <- struct{}{}:
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run carries out what is asked for until ctx ends.
func (e *Eraser) Run(ctx context.Context) {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for {
		if err := e.Pending(ctx); err != nil && ctx.Err() == nil {
			e.Log.Warn("an erasure is not done yet, and is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case <-e.asked:
		}
	}
}

// Pending carries out everything that was asked for and is not done. An error leaves the rest for the next time.
func (e *Eraser) Pending(ctx context.Context) error {
	all, err := e.Estate.Erasures(ctx, true)
	if err != nil {
		return err
	}
	for _, one := range all {
		began := time.Now()
		erase := e.user
		if one.Kind == Room {
			erase = e.room
		}
		done, err := erase(ctx, one.ID)
		if err == nil && done {
			err = e.Estate.Done(ctx, one.Subject)
		}
		switch {
		case err != nil:
			return fmt.Errorf("erase %s %s: %w", one.Kind, one.ID, err)
		case done:
			e.Log.Info("erased", "kind", string(one.Kind), "id", one.ID, "took", time.Since(began))
			e.tell(one.Subject)
		}
	}
	return nil
}

// tell wakes those who wait for an erasure.
func (e *Eraser) tell(s Subject) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, done := range e.waiting[s] {
		close(done)
	}
	delete(e.waiting, s)
}

// room deletes the room, which nobody sees from then on. Its erasure is done when the sweep that empties deleted rooms has been there.
func (e *Eraser) room(ctx context.Context, id string) (done bool, err error) {
	if _, err := e.Chat.Do(ctx, chat.Actor{Backend: true}, protocol.RoomDelete, &protocol.RoomEventParams{Room: id}); err != nil && err.Code != protocol.NotFound {
		return false, err
	}
	return e.Estate.Emptied(ctx, id)
}

// user signs the user out, so that nothing new comes, and goes through their rooms until one round finds nothing: what was sent before may have been
// committed after its room was looked at.
func (e *Eraser) user(ctx context.Context, id string) (done bool, err error) {
	if err := e.SignOut(ctx, id); err != nil {
		return false, err
	}
	for {
		found, err := e.round(ctx, id)
		if err != nil {
			return false, err
		}
		if found == 0 {
			return true, e.Estate.Blank(ctx, id)
		}
	}
}

// round goes through a user's rooms once, and tells how much was found in them.
func (e *Eraser) round(ctx context.Context, user string) (found int, err error) {
	for after := ""; ; {
		rooms, err := e.Estate.Traces(ctx, user, after, roomsAtOnce)
		if err != nil {
			return found, err
		}
		for _, room := range rooms {
			n, err := e.userIn(ctx, room, user)
			if err != nil {
				return found, fmt.Errorf("in room %s: %w", room, err)
			}
			found += n
		}
		if len(rooms) < roomsAtOnce {
			return found, nil
		}
		after = rooms[len(rooms)-1]
	}
}

// userIn takes what the user left in a room, and then the user, out of it. It tells how much there was.
func (e *Eraser) userIn(ctx context.Context, room, user string) (found int, err error) {
	actor := chat.Actor{User: user, Backend: true, Erasing: true}
	for after := protocol.Seq(0); ; {
		written, err := e.Estate.Written(ctx, room, user, after, writtenPage)
		if err != nil {
			return found, err
		}
		calls := make([]any, len(written))
		for i, m := range written {
			calls[i] = &protocol.MessageParams{Room: room, Seq: m.Seq}
		}
		if err := e.all(ctx, actor, protocol.MessageDelete, calls); err != nil {
			return found, err
		}
		found += len(written)
		if len(written) < writtenPage {
			break
		}
		after = written[len(written)-1].Seq
	}
	reacted, err := e.Estate.Reacted(ctx, room, user)
	if err != nil {
		return found, err
	}
	calls := make([]any, len(reacted))
	for i, r := range reacted {
		calls[i] = &protocol.ReactionParams{Room: room, Seq: r.Target, Emoji: r.Emoji}
	}
	if err := e.all(ctx, actor, protocol.ReactionRemove, calls); err != nil {
		return found, err
	}
	// Leaving finds out by itself whether there is anything to leave; of a direct room two are members for good.
	leave := []any{&protocol.RoomEventParams{Room: room}}
	if err := e.all(ctx, actor, protocol.RoomLeave, leave); err != nil {
		var refused *protocol.Error
		if !errors.As(err, &refused) || refused.Code != protocol.BadRequest {
			return found, err
		}
	}
	return found + len(reacted), nil
}

// all gives the log many calls at once, so that they share transactions, and waits for their answers. What is gone already is as asked.
func (e *Eraser) all(ctx context.Context, actor chat.Actor, method string, calls []any) error {
	answers := make(chan error, len(calls))
	for _, params := range calls {
		e.Chat.Submit(ctx, actor, method, params, func(_ any, err *protocol.Error) {
			if err == nil || err.Code == protocol.NotFound {
				answers <- nil
			} else {
				answers <- err
			}
		})
	}
	var errs []error
	for range calls {
		select {
		case err := <-answers:
			errs = append(errs, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}
