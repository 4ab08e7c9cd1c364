// Package reference serves the description of the protocol to application developers: docs/openapi.json as it is, and one page for people that is made
// from the same document, the examples and the tables of package protocol.
//
// The page is whole in itself: it loads nothing, and its policy lets it load and call nothing.
package reference

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley/docs"
)

//go:embed page
var parts embed.FS

// Handler serves GET /docs and GET /docs/openapi.json, from any goroutine. The page is made when it is first asked for.
func Handler() http.Handler {
	page := sync.OnceValue(func() http.Handler {
		text, policy, err := render()
		if err != nil {
			panic(err) // the binary was built from files that this package does not know how to show
		}
		return serve("text/html; charset=utf-8", policy, text)
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /docs", func(w http.ResponseWriter, r *http.Request) { page().ServeHTTP(w, r) })
	mux.Handle("GET /docs/openapi.json", serve("application/json", "default-src 'none'", docs.OpenAPI()))
	mux.Handle("GET /docs/{$}", http.RedirectHandler("/docs", http.StatusMovedPermanently))
	return mux
}

// serve serves bytes that never change. Browsers keep them, but ask each time whether they are still the same.
func serve(contentType, policy string, text []byte) http.Handler {
	sum := sha256.Sum256(text)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	})
}

// render makes the page and the policy under which its own style and script run, and nothing else.
func render() (text []byte, policy string, err error) {
	p, err := newPage()
	if err != nil {
		return nil, "", err
	}
	for name, into := range map[string]*string{"page/page.css": (*string)(&p.Style), "page/page.js": (*string)(&p.Script)} {
		part, err := parts.ReadFile(name)
		if err != nil {
			return nil, "", err
		}
		*into = string(part)
	}
	layout, err := template.ParseFS(parts, "page/page.html")
	if err != nil {
		return nil, "", err
	}
	var b bytes.Buffer
	if err := layout.Execute(&b, p); err != nil {
		return nil, "", err
	}
	policy = strings.Join([]string{
		"default-src 'none'",
		"script-src " + digest(string(p.Script)),
		"style-src " + digest(string(p.Style)),
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
	}, "; ")
	return b.Bytes(), policy, nil
}

// digest names an inline part in a policy.
func digest(part string) string {
	sum := sha256.Sum256([]byte(part))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
