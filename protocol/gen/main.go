// Command gen writes what is made from the types and tables of package protocol: the TypeScript types of the SDK, the
// OpenAPI document and the tables of docs/protocol.md.
//
//	go run ./protocol/gen           write what has changed
//	go run ./protocol/gen -check    write nothing, and exit with 1 if anything would change
//
// It may be run from anywhere inside the module. Names, types and order come from the values of the package by reflection; what reflection cannot
// see, comments and constants, is read from its source.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "write nothing, and fail if anything is stale")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run makes every output, and writes those that differ from what is there; or only names them.
func run(check bool) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	src, err := readSource(filepath.Join(root, "protocol"))
	if err != nil {
		return err
	}
	outputs := []struct {
		path  string
		build func(old []byte) ([]byte, error)
	}{
		{"sdk/js/src/protocol.ts", func([]byte) ([]byte, error) { return typescript(src) }},
		{"docs/openapi.json", func([]byte) ([]byte, error) { return openAPI(src) }},
		{"docs/protocol.md", func(old []byte) ([]byte, error) { return replaceTables(old, tables(src)) }},
	}
	var stale []error
	for _, out := range outputs {
		path := filepath.Join(root, out.path)
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		made, err := out.build(old)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", out.path, err)
		case bytes.Equal(old, made):
		case check:
			stale = append(stale, fmt.Errorf("%s is stale: run go generate ./protocol", out.path))
		default:
			if err := os.WriteFile(path, made, 0o644); err != nil {
				return err
			}
		}
	}
	return errors.Join(stale...)
}

// moduleRoot is the folder above the working directory that holds go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}
