// Package web is Parley's web page, built into the binary: a chat in the browser that speaks the public protocol and
// nothing else.
//
// The page is static files that a browser reads as they are, without a build step: what is in static/ is what is
// served. Their tests are in test/ and run with Node.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

// hostPort is what a Host header may look like to be repeated in a policy: a name or an address, and a port.
var hostPort = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// A file of the page, ready to be served.
type file struct {
	name        string
	contentType string
	etag        string
	content     []byte
}

// Handler serves the page: its document at / and its parts below. Any other path is 404 whatever the method (by that
// the page learns that POST /dev/token is not served), any method but GET and HEAD 405. Answers carry a
// Content-Security-Policy under which the page can load its own files, call its own origin, and nothing else. Browsers
// keep the files but ask each time whether they are still the same, so a new binary is a new page at once.
func Handler() http.Handler {
	files, err := load(static)
	if err != nil {
		panic(err) // the binary was built from files that this package does not know how to serve
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header(), r.Host)
		f, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "The page can only be read.", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", f.contentType)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", f.etag)
		http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.content))
	})
}

// load reads the files of the folder static by the paths under which they are served.
func load(from fs.FS) (map[string]file, error) {
	files := map[string]file{}
	err := fs.WalkDir(from, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		contentType := contentTypeOf(name)
		if contentType == "" {
			return fmt.Errorf("web: %s has no content type", name)
		}
		content, err := fs.ReadFile(from, name)
		if err != nil {
			return fmt.Errorf("web: %w", err)
		}
		sum := sha256.Sum256(content)
		files[served(name)] = file{
			name:        path.Base(name),
			contentType: contentType,
			etag:        `"` + hex.EncodeToString(sum[:16]) + `"`,
			content:     content,
		}
		return nil
	})
	return files, err
}

// contentTypeOf knows all the kinds of file that the page consists of, and answers "" for others. Package mime would
// answer differently on each machine.
func contentTypeOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return ""
	}
}

// served is the path of a file in the browser: that below static, and / for the document.
func served(name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(name, "static"), "index.html")
}

// secure sets the headers that keep the page to itself, whatever its content. The host is named beside 'self' because
// not every browser counts a WebSocket to the page's own host as its own origin.
func secure(h http.Header, host string) {
	connect := "'self'"
	if hostPort.MatchString(host) {
		connect += " ws://" + host + " wss://" + host
	}
	h.Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"connect-src " + connect,
		"img-src 'self' data:",
		"frame-ancestors 'none'",
		"base-uri 'none'",
		"form-action 'none'",
		"require-trusted-types-for 'script'",
	}, "; "))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}
