// Package doctor looks whether a machine and a configuration are fit for a server, without changing either: what it writes to measure the disk is removed, and
// the store is only read. It may run beside the server.
package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-im/parley/internal/config"
)

// Verdict says how bad a finding is.
type Verdict string

// The verdicts.
const (
	Good Verdict = "ok"
	Warn Verdict = "warn" // the server works, but not as well or as safely as it should
	Fail Verdict = "fail" // the server does not start, or loses what it has acknowledged; a part of a cluster does not do its work
)

// Finding is one thing that was looked at.
type Finding struct {
	What    string  `json:"what"`
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"found"`
	Advice  string  `json:"advice,omitzero"` // what to do; "" when there is nothing
}

// patience is for each question to something over the network.
const patience = 5 * time.Second

// Examine looks at everything, in the order in which it matters at a start. It takes a second or two, or a few more when something does not answer.
func Examine(ctx context.Context, cfg *config.Config) []Finding {
	var findings []Finding
	for _, look := range []func(context.Context, *config.Config) []Finding{files, memory, folder, secret, disk, clock, ports, storage, engines} {
		findings = append(findings, look(ctx, cfg)...)
	}
	return findings
}

func good(what, found string, args ...any) []Finding {
	return []Finding{{What: what, Verdict: Good, Found: fmt.Sprintf(found, args...)}}
}

func bad(verdict Verdict, what, found, advice string) []Finding {
	return []Finding{{what, verdict, found, advice}}
}
