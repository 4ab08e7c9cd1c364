// Package web is Parley's web client, built into the binary: a chat in the browser that speaks the public protocol and
// nothing else.
//
// The client is a TypeScript program in src/, which scripts/web.sh builds into built/app. The Go package embeds whatever
// stands there; a binary that was built before the client serves a page that says so.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed all:built
var built embed.FS

// hostPort is what a Host header may look like to be repeated in a policy: a name or an address, and a port.
var hostPort = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// Settings are what the client is told by the server that it comes from.
type Settings struct {
	// Origins are the origins whose pages may frame the client, and hand it a user's token. None: nobody may.
	Origins []string `json:"origins"`
	// Dev says that the server signs tokens for anyone who asks, so people sign in with a name.
	Dev bool `json:"dev"`
}

// Scripts that other pages load: widget puts conversations into them, emoji is the choice of emoji that opens there.
const (
	widget = "/widget.js"
	emoji  = "/emoji.js"
)

// A file of the client, ready to be served.
type file struct {
	name        string
	contentType string
	etag        string
	cache       string
	content     []byte
}

// Handler serves the client: its document at / and its parts below. Any other path is 404 whatever the method, any
// method but GET and HEAD 405. Answers carry a Content-Security-Policy under which the client can load its own files,
// call its own origin, and nothing else. Files whose names hold a hash of their content are kept by browsers; of the others they
// ask each time whether they are still the same, so a new binary is a new client at once.
func Handler(settings Settings) http.Handler {
	return serve(built, settings)
}

func serve(from fs.FS, settings Settings) http.Handler {
	files, err := load(from, settings)
	if err != nil {
		panic(err) // the binary was built from files that this package does not know how to serve
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header(), r.Host, settings.Origins)
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
		if r.URL.Path == widget || r.URL.Path == emoji {
			// Any page may load them: there is nothing in them that is not everybody's, and what they may then do is decided by the API.
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		}
		w.Header().Set("Content-Type", f.contentType)
		w.Header().Set("Cache-Control", f.cache)
		w.Header().Set("ETag", f.etag)
		http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.content))
	})
}

// unbuilt is the page of a binary that has no client in it.
const unbuilt = `<!doctype html>
<html lang="en">
<title>Parley</title>
<h1>The web client was not built</h1>
<p>This server runs; its API is at /v1. <code>make build</code> builds a binary that has the web client in it, too.</p>
`

// settingsMark is where the document is given the settings.
const settingsMark = `<meta name="parley-settings" content="">`

// load reads the client's files by the paths under which they are served.
func load(from fs.FS, settings Settings) (map[string]file, error) {
	files := map[string]file{}
	err := fs.WalkDir(from, "built/app", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, name)
		if err != nil {
			return fmt.Errorf("web: %w", err)
		}
		target := strings.TrimPrefix(name, "built/app")
		if target == "/index.html" {
			target = "/"
			if content, err = told(content, settings); err != nil {
				return err
			}
		}
		files[target], err = newFile(target, content)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		page, err := newFile("/", []byte(unbuilt))
		return map[string]file{"/": page}, err
	}
	if err == nil && settings.Dev {
		err = loadDemo(files)
	}
	return files, err
}

// told puts the settings into the document.
func told(document []byte, settings Settings) ([]byte, error) {
	if settings.Origins = slices.Clone(settings.Origins); settings.Origins == nil {
		settings.Origins = []string{}
	}
	value, err := json.Marshal(settings)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if !bytes.Contains(document, []byte(settingsMark)) {
		return nil, fmt.Errorf("web: the document lacks %s", settingsMark)
	}
	meta := strings.Replace(settingsMark, `""`, `"`+html.EscapeString(string(value))+`"`, 1)
	return bytes.Replace(document, []byte(settingsMark), []byte(meta), 1), nil
}

func newFile(target string, content []byte) (file, error) {
	contentType := contentTypeOf(target)
	if contentType == "" {
		return file{}, fmt.Errorf("web: %s has no content type", target)
	}
	sum := sha256.Sum256(content)
	cache := "no-cache"
	if strings.HasPrefix(target, "/assets/") {
		cache = "public, max-age=31536000, immutable"
	}
	return file{path.Base(target), contentType, `"` + hex.EncodeToString(sum[:16]) + `"`, cache, content}, nil
}

// contentTypeOf knows all the kinds of file that the client consists of, and answers "" for others. Package mime would
// answer differently on each machine.
func contentTypeOf(target string) string {
	switch path.Ext(target) {
	case "": // the path of a page: its file is told by its place
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

// secure sets the headers that keep the client to itself, whatever its content. The host is named beside 'self' because
// not every browser counts a WebSocket to the page's own host as its own origin.
func secure(h http.Header, host string, framers []string) {
	connect := "'self'"
	if hostPort.MatchString(host) {
		connect += " ws://" + host + " wss://" + host
	}
	ancestors := "'none'"
	if len(framers) > 0 {
		ancestors = strings.Join(framers, " ")
	}
	h.Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"connect-src " + connect,
		"img-src 'self' data:",
		"frame-ancestors " + ancestors,
		"base-uri 'none'",
		"form-action 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; "))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}
