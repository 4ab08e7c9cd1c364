package delivery

import "fmt"

func (f *Follower) Dump(room string) {
	r := f.hub.rooms.get(room)
	fmt.Printf("%+v more %+v follower ready %v lag %v joins %v catching %v again %v arrivals %v\n", r.next, r.more, f.ready, f.lag, f.joins, f.catching, f.again, r.arrivals.Load())
	for _, l := range f.lag {
		fmt.Printf("%+v\n", l)
	}
}
