//go:build faults

package fault

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// plan is what the variable FAULT says, "POINT ACTION NTH": at the NTH time that somebody comes to POINT, do ACTION, which is exit, panic, error, or a duration
// to sleep.
type plan struct {
	point, action string
	left          atomic.Int64 // times until then
}

var theOne = sync.OnceValue(func() *plan {
	p := &plan{}
	fields := strings.Fields(os.Getenv("FAULT"))
	if len(fields) != 3 {
		return p
	}
	p.point, p.action = fields[0], fields[1]
	nth, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		panic(err)
	}
	p.left.Store(nth)
	return p
})

// Here is a point of this name: it may not return, or return late, or with an error, which a point that comes after the fact ignores.
func Here(point string) error {
	p := theOne()
	if point != p.point || p.left.Add(-1) != 0 {
		return nil
	}
	fmt.Fprintln(os.Stderr, "fault:", point, p.action)
	switch p.action {
	case "exit":
		os.Exit(137) // as if killed: nothing is flushed, nobody is told
	case "panic":
		panic("fault: " + point)
	case "error":
		return errors.New("fault: " + point)
	}
	d, err := time.ParseDuration(p.action)
	if err != nil {
		panic(err)
	}
	time.Sleep(d)
	return nil
}
