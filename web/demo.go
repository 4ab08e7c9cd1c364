package web

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// The demo is two pages of somebody else's with Parley in them, as they are served: no build makes them.
//
//go:embed demo
var demo embed.FS

// loadDemo adds the pages of the demo to the files of a server in development mode: /demo, and what is below it.
func loadDemo(files map[string]file) error {
	return fs.WalkDir(demo, "demo", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(demo, name)
		if err != nil {
			return fmt.Errorf("web: %w", err)
		}
		target := "/" + strings.TrimSuffix(name, ".html")
		if path.Base(target) == "index" {
			target = path.Dir(target)
		}
		files[target], err = newFile(target, content)
		return err
	})
}
