package fleet

import (
	"net"
	"os"
	"sync"
	"time"
)

// distant is a connection to somebody far away: what is written arrives after a delay, however much follows meanwhile. One goroutine writes, and Close ends it.
type distant struct {
	net.Conn
	delay time.Duration

	begin, end sync.Once
	way        chan parcel
	closed     chan struct{}
	gone       chan struct{} // closed once what was under way has arrived, or cannot
}

// parcel is something on its way.
type parcel struct {
	due  time.Time
	data []byte
}

// underWay is how many parcels a connection holds; then the writer waits, as for a full window.
const underWay = 4096

// Write sends p on its way.
func (d *distant) Write(p []byte) (int, error) {
	d.start()
	select {
	case d.way <- parcel{time.Now().Add(d.delay), append([]byte(nil), p...)}:
		return len(p), nil
	case <-d.gone:
		return 0, os.ErrClosed
	}
}

func (d *distant) start() {
	d.begin.Do(func() {
		d.way, d.closed, d.gone = make(chan parcel, underWay), make(chan struct{}), make(chan struct{})
		go d.carry()
	})
}

// carry delivers what is on its way, in order.
func (d *distant) carry() {
	defer close(d.gone)
	defer d.Conn.Close()
	for {
		var next parcel
		select {
		case next = <-d.way:
		default:
			select {
			case next = <-d.way:
			case <-d.closed:
				return
			}
		}
		wait := time.NewTimer(time.Until(next.due))
		select {
		case <-wait.C:
		case <-d.closed: // the news of the end travels no faster than what was sent before it
			<-wait.C
		}
		if _, err := d.Conn.Write(next.data); err != nil {
			return
		}
	}
}

// Close ends the connection once what is on its way has arrived. It returns when that is so.
func (d *distant) Close() error {
	d.start()
	d.end.Do(func() { close(d.closed) })
	<-d.gone
	return nil
}
