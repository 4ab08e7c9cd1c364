package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/parley-im/parley/internal/broker"
)

// consumer is one call of Consume. What it has in hand the server knows as pending under its name.
type consumer struct {
	x     *exchange
	queue string
	name  string
	take  broker.Take
}

func (x *exchange) Consume(ctx context.Context, queue string, take broker.Take) error {
	c := &consumer{x: x, queue: queue, name: x.takeName(queue), take: take}
	defer x.dropName(queue, c.name)
	return c.run(ctx)
}

// takeName is a name that no other consumer of this node has: the same again after a restart, so that what was in hand is found at once.
func (x *exchange) takeName(queue string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	name := x.Name
	for n := 2; x.taken[queue+"/"+name]; n++ {
		name = x.Name + "-" + strconv.Itoa(n)
	}
	x.taken[queue+"/"+name] = true
	return name
}

func (x *exchange) dropName(queue, name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.taken, queue+"/"+name)
}

// run consumes until ctx ends or the server fails.
func (c *consumer) run(ctx context.Context) error {
	client, err := c.x.use()
	if err != nil {
		return err
	}
	defer c.handBack(client)
	if err := c.takeOver(ctx, client); err != nil {
		return c.mended(ctx, client, err)
	}
	for ctx.Err() == nil {
		read := client.B().Xreadgroup().Group(c.queue, c.name).Count(readAtOnce).Block(blockFor.Milliseconds()).Streams().Key(stream(c.queue)).Id(">").Build()
		n, err := c.deliver(ctx, client, client.Do(ctx, read))
		if err == nil && n == 0 {
			_, err = c.claim(ctx, client)
		}
		if err != nil {
			return c.mended(ctx, client, err)
		}
	}
	return nil
}

// mended makes the group again where a server came back without it.
func (c *consumer) mended(ctx context.Context, client rueidis.Client, err error) error {
	if e, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(e.Error(), "NOGROUP") {
		return c.x.makeGroup(ctx, client, c.queue)
	}
	return err
}

// takeOver deals with what was in somebody's hand when this consumer began, its own from before and that of others, before anything new is read: so the order
// is kept where one consumer follows another. Those who live acknowledge it meanwhile, and what a dead one had is claimed.
func (c *consumer) takeOver(ctx context.Context, client rueidis.Client) error {
	if err := c.own(ctx, client); err != nil {
		return err
	}
	last := ""
	for ctx.Err() == nil {
		pending, err := client.Do(ctx, client.B().Xpending().Key(stream(c.queue)).Group(c.queue).Build()).ToArray()
		if err != nil {
			return err
		}
		count, err := pending[0].AsInt64()
		if err != nil || count == 0 {
			return err
		}
		first, err := pending[1].ToString()
		if err != nil {
			return err
		}
		if last == "" {
			last, err = pending[2].ToString()
		}
		if err != nil || later(first, last) {
			return err
		}
		n, err := c.claim(ctx, client)
		if err != nil {
			return err
		}
		if n == 0 {
			broker.Pause(ctx, c.x.claim/20)
		}
	}
	return ctx.Err()
}

// later compares ids of a stream.
func later(a, b string) bool {
	ams, aseq := split(a)
	bms, bseq := split(b)
	return ams > bms || ams == bms && aseq > bseq
}

func split(id string) (ms, seq uint64) {
	left, right, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(left, 10, 64) // the server writes nothing else
	seq, _ = strconv.ParseUint(right, 10, 64)
	return ms, seq
}

// own delivers what is pending under this consumer's name.
func (c *consumer) own(ctx context.Context, client rueidis.Client) error {
	for {
		read := client.B().Xreadgroup().Group(c.queue, c.name).Count(readAtOnce).Streams().Key(stream(c.queue)).Id("0").Build()
		n, err := c.deliver(ctx, client, client.Do(ctx, read))
		if err != nil || n == 0 {
			return err
		}
	}
}

// claim takes over what others have had in hand for too long, delivers it and returns how much it was.
func (c *consumer) claim(ctx context.Context, client rueidis.Client) (int, error) {
	idle := strconv.FormatInt(c.x.claim.Milliseconds(), 10)
	answer, err := client.Do(ctx, client.B().Xautoclaim().Key(stream(c.queue)).Group(c.queue).Consumer(c.name).MinIdleTime(idle).Start("0").Count(readAtOnce).Build()).ToArray()
	if err != nil || len(answer) < 2 {
		return 0, err
	}
	entries, err := answer[1].AsXRange()
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	return len(entries), c.own(ctx, client)
}

// deliver hands over what a read has brought, and returns how much it was. Entries that a look back finds trimmed are acknowledged and left out.
func (c *consumer) deliver(ctx context.Context, client rueidis.Client, answer rueidis.RedisResult) (int, error) {
	streams, err := answer.AsXRead()
	if rueidis.IsRedisNil(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	entries := streams[stream(c.queue)]
	began := time.Now()
	for i, raw := range entries {
		if time.Since(began) > c.x.claim/3 { // or another would take the rest for a dead consumer's: reading it again tells the server that it is not
			return i, c.own(ctx, client)
		}
		if len(raw.FieldValues) > 0 {
			header := func(name string) string { return raw.FieldValues[name] }
			if !c.take(ctx, header, []byte(raw.FieldValues[dataField])) {
				return i, ctx.Err()
			}
		}
		if err := client.Do(ctx, client.B().Xack().Key(stream(c.queue)).Group(c.queue).Id(raw.ID).Build()).Error(); err != nil {
			return i, fmt.Errorf("acknowledge an entry: %w", err)
		}
	}
	return len(entries), nil
}

// handBack lets others claim at once what this consumer has in hand.
func (c *consumer) handBack(client rueidis.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	pending, err := client.Do(ctx, client.B().Xpending().Key(stream(c.queue)).Group(c.queue).Start("-").End("+").Count(2*readAtOnce).Consumer(c.name).Build()).ToArray()
	if err != nil || len(pending) == 0 {
		return // it is claimed later
	}
	var ids []string
	for _, p := range pending {
		if row, err := p.ToArray(); err == nil && len(row) > 0 {
			if id, err := row[0].ToString(); err == nil {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) > 0 {
		back := client.B().Xclaim().Key(stream(c.queue)).Group(c.queue).Consumer(c.name).MinIdleTime("0").Id(ids...).Idle(c.x.claim.Milliseconds()).Justid().Build()
		_ = client.Do(ctx, back).Error() // as above
	}
}
