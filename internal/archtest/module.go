package archtest

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// A module is a module's packages, parsed, and all of its texts.
type module struct {
	path     string // as go.mod has it
	packages []*pkg // sorted by path
	texts    []text
	fset     *token.FileSet
}

// A pkg is a folder with Go files, those of its tests included.
type pkg struct {
	path  string // of the folder, below the module's root
	files []*file
}

type file struct {
	path      string
	lines     int
	test      bool
	generated bool
	syntax    *ast.File
}

type text struct {
	path    string
	content string
}

// read reads the module at the root of fsys. Build constraints are ignored: every Go file counts.
func read(fsys fs.FS) (*module, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	m := &module{path: modulePath(mod), fset: token.NewFileSet()}
	if m.path == "" {
		return nil, errors.New("go.mod names no module")
	}
	packages := map[string]*pkg{}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && notOurs(name):
			return fs.SkipDir
		case !entry.Type().IsRegular() || name == ".git": // in a linked worktree it is a file
			return nil
		}
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(content, 0) < 0 {
			m.texts = append(m.texts, text{name, string(content)})
		}
		folder := path.Dir(name)
		if path.Ext(name) != ".go" || notBuilt(fsys, folder) {
			return nil
		}
		parsed, err := m.parse(name, content)
		if err != nil {
			return err
		}
		if packages[folder] == nil {
			packages[folder] = &pkg{path: folder}
			m.packages = append(m.packages, packages[folder])
		}
		packages[folder].files = append(packages[folder].files, parsed)
		return nil
	})
	slices.SortFunc(m.packages, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return m, err
}

func (m *module) parse(name string, content []byte) (*file, error) {
	syntax, err := parser.ParseFile(m.fset, name, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	return &file{
		path:      name,
		lines:     bytes.Count(content, []byte("\n")),
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(syntax),
		syntax:    syntax,
	}, nil
}

// written calls visit with every file that a person wrote.
func (m *module) written(visit func(*pkg, *file)) {
	for _, p := range m.packages {
		for _, f := range p.files {
			if !f.generated {
				visit(p, f)
			}
		}
	}
}

// span is how many lines a node takes.
func (m *module) span(n ast.Node) int {
	return m.fset.Position(n.End()).Line - m.fset.Position(n.Pos()).Line + 1
}

// notOurs tells folders that hold what was downloaded, built or stored.
func notOurs(folder string) bool {
	switch path.Base(folder) {
	case ".git", ".parley", "node_modules", "dist":
		return true
	}
	return folder == "bin"
}

// notBuilt tells folders whose Go files belong to no package of this module, as the go command sees it.
func notBuilt(fsys fs.FS, folder string) bool {
	for ; folder != "."; folder = path.Dir(folder) {
		base := path.Base(folder)
		if base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
			return true
		}
		if _, err := fs.Stat(fsys, folder+"/go.mod"); err == nil {
			return true
		}
	}
	return false
}

func modulePath(mod []byte) string {
	for line := range strings.Lines(string(mod)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name)
		}
	}
	return ""
}
