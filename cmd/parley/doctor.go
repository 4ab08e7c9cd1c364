package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/internal/doctor"
)

// doctorCommand looks whether this machine and a configuration are fit for a server.
type doctorCommand struct {
	settings
	Cluster bool `help:"Look at the nodes that run on the store instead, and at what is between them."`
	JSON    bool `help:"Print a JSON array." name:"json"`
}

// Run is called by the parser.
func (c *doctorCommand) Run(ctx context.Context) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	examine, failed := doctor.Examine, "a server would not start here, or not be safe: see what failed"
	if c.Cluster {
		examine, failed = doctor.ExamineCluster, "the cluster is not whole: see what failed"
	}
	findings := examine(ctx, cfg)
	if c.JSON {
		if err := json.MarshalWrite(os.Stdout, findings, jsontext.Multiline(true)); err != nil {
			return err
		}
		fmt.Println()
	} else {
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		for _, f := range findings {
			fmt.Fprintf(table, "%s\t%s\t%s\n", f.Verdict, f.What, f.Found)
			if f.Advice != "" {
				fmt.Fprintf(table, "\t\t→ %s\n", f.Advice)
			}
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Verdict == doctor.Fail }) {
		return errors.New(failed)
	}
	return nil
}
