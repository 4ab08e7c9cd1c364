package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/parley-im/parley/internal/config"
)

// configCommand is about the settings of serve.
type configCommand struct {
	Print   configPrintCommand   `cmd:"" help:"Print every setting as a file, with what it is for: the defaults, or what serve would use."`
	Check   configCheckCommand   `cmd:"" help:"Say what is wrong with a file and the PARLEY_ variables of this environment."`
	Explain configExplainCommand `cmd:"" help:"Say what a setting is for, how it is written and what it is by default."`
}

type configPrintCommand struct {
	Config    string `help:"A configuration file, YAML." type:"existingfile" placeholder:"FILE" xor:"of"`
	Effective bool   `help:"What serve would use here without a file: the defaults and the PARLEY_ variables." xor:"of"`
}

// Run is called by the parser.
func (c *configPrintCommand) Run() error {
	if c.Config == "" && !c.Effective {
		return config.Default().WriteYAML(os.Stdout)
	}
	cfg, err := config.Load(c.Config, os.Environ(), nil)
	if err != nil {
		return err
	}
	return cfg.Redacted().WriteYAML(os.Stdout)
}

type configCheckCommand struct {
	File string `arg:"" help:"The configuration file, YAML." type:"existingfile"`
}

// Run is called by the parser.
func (c *configCheckCommand) Run() error {
	if _, err := config.Load(c.File, os.Environ(), nil); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s is good.\n", c.File)
	return nil
}

type configExplainCommand struct {
	Setting string `arg:"" optional:"" help:"limits.burst, PARLEY_LIMITS_BURST or limits-burst; without one, all are listed."`
}

// Run is called by the parser.
func (c *configExplainCommand) Run() error {
	if c.Setting == "" {
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		for _, f := range config.Flags() {
			fmt.Fprintf(table, "%s\t%s\n", f.Key, byDefault(f))
		}
		return table.Flush()
	}
	f, err := config.Explain(c.Setting)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n\n  file         %s\n  environment  %s\n  flag         --%s\n  default      %s\n", f.Help, f.Key, f.Env, f.Name, byDefault(f))
	return nil
}

// byDefault is the default as one shows it.
func byDefault(f config.Flag) string {
	if f.Default == "" {
		return "(empty)"
	}
	return f.Default
}
