package web

import (
	"encoding/json"
	"html"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// client stands for what a build leaves.
var client = fstest.MapFS{
	"built/README.md":                 {Data: []byte("about this folder")},
	"built/app/index.html":            {Data: []byte(`<html><meta name="parley-settings" content=""><script type="module" src="/assets/index-Ab12.js"></script>`)},
	"built/app/assets/index-Ab12.js":  {Data: []byte("export {}")},
	"built/app/assets/index-Cd34.css": {Data: []byte("p {}")},
	"built/app/mark.svg":              {Data: []byte("<svg/>")},
	"built/app/widget.js":             {Data: []byte("(() => {})()")},
	"built/app/emoji.js":              {Data: []byte("export {}")},
}

func get(t *testing.T, from fs.FS, settings Settings, method, target string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	serve(from, settings).ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	var text strings.Builder
	if err := response.Write(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestServesTheClient(t *testing.T) {
	for target, contentType := range map[string]string{
		"/":                      "text/html; charset=utf-8",
		"/assets/index-Ab12.js":  "text/javascript; charset=utf-8",
		"/assets/index-Cd34.css": "text/css; charset=utf-8",
		"/mark.svg":              "image/svg+xml",
		"/assets/other.js":       "",
		"/index.html":            "",
		"/README.md":             "",
		"/assets/":               "",
		"/built/app/":            "",
	} {
		response := get(t, client, Settings{}, http.MethodGet, target, nil)
		want := http.StatusOK
		if contentType == "" {
			want, contentType = http.StatusNotFound, "text/plain; charset=utf-8"
		}
		if response.StatusCode != want || response.Header.Get("Content-Type") != contentType {
			t.Errorf("GET %s: %d %s, want %d %s", target, response.StatusCode, response.Header.Get("Content-Type"), want, contentType)
		}
		if response.Header.Get("X-Content-Type-Options") != "nosniff" || response.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("GET %s: headers %v lack nosniff or no-referrer", target, response.Header)
		}
	}
}

func TestSaysThatTheClientWasNotBuilt(t *testing.T) {
	response := get(t, fstest.MapFS{"built/README.md": {}}, Settings{}, http.MethodGet, "/", nil)
	if page := body(t, response); response.StatusCode != http.StatusOK || !strings.Contains(page, "make build") {
		t.Errorf("GET /: %d %s", response.StatusCode, page)
	}
}

// The binary of this very build can serve what it carries.
func TestServesWhatIsEmbedded(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(Settings{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<title>Parley</title>") {
		t.Errorf("GET /: %d %s", w.Code, w.Body)
	}
}

func TestTheDocumentTellsTheSettings(t *testing.T) {
	settings := Settings{Origins: []string{"https://app.example.com"}, Dev: true}
	page := body(t, get(t, client, settings, http.MethodGet, "/", nil))
	match := regexp.MustCompile(`<meta name="parley-settings" content="([^"]*)">`).FindStringSubmatch(page)
	if match == nil {
		t.Fatalf("no settings in %s", page)
	}
	var got Settings
	if err := json.Unmarshal([]byte(html.UnescapeString(match[1])), &got); err != nil || !got.Dev || len(got.Origins) != 1 || got.Origins[0] != settings.Origins[0] {
		t.Errorf("%s: %v, %v", match[1], got, err)
	}
	if page := body(t, get(t, client, Settings{}, http.MethodGet, "/", nil)); !strings.Contains(page, html.EscapeString(`{"origins":[],"dev":false}`)) {
		t.Errorf("without settings: %s", page)
	}
	if _, err := load(fstest.MapFS{"built/app/index.html": {Data: []byte("<html>")}}, settings); err == nil {
		t.Error("a document without a place for the settings was loaded")
	}
}

func TestOnlyReads(t *testing.T) {
	response := get(t, client, Settings{}, http.MethodPost, "/", nil)
	if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /: %d, Allow %q", response.StatusCode, response.Header.Get("Allow"))
	}
	if response := get(t, client, Settings{}, http.MethodPost, "/dev/token", nil); response.StatusCode != http.StatusNotFound {
		t.Errorf("POST /dev/token: %d, want 404", response.StatusCode)
	}
}

func TestBrowsersAskWhetherAFileChanged(t *testing.T) {
	first := get(t, client, Settings{}, http.MethodGet, "/", nil)
	etag := first.Header.Get("ETag")
	if etag == "" || first.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("ETag %q, Cache-Control %q", etag, first.Header.Get("Cache-Control"))
	}
	second := get(t, client, Settings{}, http.MethodGet, "/", http.Header{"If-None-Match": {etag}})
	if second.StatusCode != http.StatusNotModified {
		t.Errorf("with the same ETag: %d, want 304", second.StatusCode)
	}
	other := get(t, client, Settings{}, http.MethodGet, "/assets/index-Ab12.js", nil)
	if other.Header.Get("ETag") == etag || !strings.Contains(other.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("a file with a hash in its name: %v", other.Header)
	}
}

func TestPolicyAllowsOnlyTheOwnOrigin(t *testing.T) {
	for host, connect := range map[string]string{
		"chat.example":         "connect-src 'self' ws://chat.example wss://chat.example;",
		"127.0.0.1:8080":       "connect-src 'self' ws://127.0.0.1:8080 wss://127.0.0.1:8080;",
		"[::1]:8080":           "connect-src 'self' ws://[::1]:8080 wss://[::1]:8080;",
		"a; script-src *":      "connect-src 'self';",
		"a *":                  "connect-src 'self';",
		"a:8080/x":             "connect-src 'self';",
		"":                     "connect-src 'self';",
		"evil.example,a.com:1": "connect-src 'self';",
	} {
		header := http.Header{}
		secure(header, host, nil)
		policy := header.Get("Content-Security-Policy") + ";"
		if !strings.Contains(policy, connect) {
			t.Errorf("host %q: %s lacks %s", host, policy, connect)
		}
		for _, directive := range []string{
			"default-src 'none';", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none';", "base-uri 'none';",
			"form-action 'none';", "require-trusted-types-for 'script';", "trusted-types 'none';",
		} {
			if !strings.Contains(policy, directive) {
				t.Errorf("host %q: %s lacks %s", host, policy, directive)
			}
		}
		if strings.Contains(policy, "*") || strings.Contains(policy, "unsafe") {
			t.Errorf("host %q: %s is too wide", host, policy)
		}
	}
}

func TestOnlyConfiguredOriginsMayFrame(t *testing.T) {
	header := http.Header{}
	secure(header, "chat.example", []string{"https://a.example", "https://b.example:8443"})
	if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors https://a.example https://b.example:8443;") {
		t.Error(policy)
	}
}

func TestRefusesFilesOfUnknownKind(t *testing.T) {
	if _, err := load(fstest.MapFS{"built/app/notes.txt": {Data: []byte("x")}}, Settings{}); err == nil {
		t.Error("a file without a content type was loaded")
	}
}

func TestAnyPageMayLoadTheWidget(t *testing.T) {
	for _, target := range []string{"/widget.js", "/emoji.js"} {
		response := get(t, client, Settings{}, http.MethodGet, target, http.Header{"Origin": {"https://other.example"}})
		header := response.Header
		if response.StatusCode != http.StatusOK || header.Get("Access-Control-Allow-Origin") != "*" || header.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
			t.Errorf("GET %s: %d %v", target, response.StatusCode, header)
		}
		if header.Get("Content-Type") != "text/javascript; charset=utf-8" || header.Get("Cache-Control") != "no-cache" || header.Get("ETag") == "" {
			t.Errorf("GET %s: %v", target, header)
		}
		again := get(t, client, Settings{}, http.MethodGet, target, http.Header{"If-None-Match": {header.Get("ETag")}})
		if again.StatusCode != http.StatusNotModified || again.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s with the same ETag: %d %v", target, again.StatusCode, again.Header)
		}
	}
	for _, target := range []string{"/", "/mark.svg", "/assets/index-Ab12.js"} {
		if header := get(t, client, Settings{}, http.MethodGet, target, nil).Header; header.Get("Access-Control-Allow-Origin") != "" || header.Get("Cross-Origin-Resource-Policy") != "" {
			t.Errorf("GET %s is for other origins, too: %v", target, header)
		}
	}
}

func TestOnlyDevelopmentHasTheDemo(t *testing.T) {
	for target, contentType := range map[string]string{
		"/demo": "text/html; charset=utf-8", "/demo/video": "text/html; charset=utf-8", "/demo/demo.js": "text/javascript; charset=utf-8", "/demo/demo.css": "text/css; charset=utf-8",
	} {
		if response := get(t, client, Settings{Dev: true}, http.MethodGet, target, nil); response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != contentType {
			t.Errorf("GET %s: %d %s", target, response.StatusCode, response.Header.Get("Content-Type"))
		}
		if response := get(t, client, Settings{}, http.MethodGet, target, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s of a server that is in use: %d, want 404", target, response.StatusCode)
		}
	}
}
