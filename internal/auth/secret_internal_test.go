package auth

import (
	"io/fs"
	"testing"
)

func TestIsRootsFor(t *testing.T) {
	for _, tt := range []struct {
		perm         fs.FileMode
		owner, group uint32
		we           int
		groups       []int
		want         bool
	}{
		{0o440, 0, 65532, 65532, []int{65532}, true}, // as Kubernetes mounts a Secret with fsGroup
		{0o640, 0, 65532, 65532, []int{7, 65532}, true},
		{0o440, 0, 65532, 65532, []int{7}, false},     // another group's
		{0o440, 7, 65532, 65532, []int{65532}, false}, // another user's
		{0o460, 0, 65532, 65532, []int{65532}, false}, // the group may write it
		{0o444, 0, 65532, 65532, []int{65532}, false},
		{0o440, 0, 0, 65532, []int{0}, false},     // root's own group is everybody's in some containers
		{0o440, 0, 65532, 0, []int{65532}, false}, // root is told to mend it
	} {
		if got := isRootsFor(tt.perm, tt.owner, tt.group, tt.we, tt.groups); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
