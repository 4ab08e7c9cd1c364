package web

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func get(t *testing.T, method, target string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestServesThePage(t *testing.T) {
	for target, contentType := range map[string]string{
		"/":              "text/html; charset=utf-8",
		"/js/app.js":     "text/javascript; charset=utf-8",
		"/css/base.css":  "text/css; charset=utf-8",
		"/mark.svg":      "image/svg+xml",
		"/js/views/a.js": "",
		"/index.html":    "",
		"/js/":           "",
		"/static/":       "",
	} {
		response := get(t, http.MethodGet, target, nil)
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

func TestOnlyReads(t *testing.T) {
	response := get(t, http.MethodPost, "/", nil)
	if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /: %d, Allow %q", response.StatusCode, response.Header.Get("Allow"))
	}
	if response := get(t, http.MethodPost, "/dev/token", nil); response.StatusCode != http.StatusNotFound {
		t.Errorf("POST /dev/token: %d, want 404: that is how the page learns that there is no sign-in by name", response.StatusCode)
	}
}

func TestBrowsersAskWhetherAFileChanged(t *testing.T) {
	first := get(t, http.MethodGet, "/", nil)
	etag := first.Header.Get("ETag")
	if etag == "" || first.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("ETag %q, Cache-Control %q", etag, first.Header.Get("Cache-Control"))
	}
	second := get(t, http.MethodGet, "/", http.Header{"If-None-Match": {etag}})
	if second.StatusCode != http.StatusNotModified {
		t.Errorf("with the same ETag: %d, want 304", second.StatusCode)
	}
	if other := get(t, http.MethodGet, "/js/app.js", nil).Header.Get("ETag"); other == etag {
		t.Errorf("two files have the ETag %s", etag)
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
		secure(header, host)
		policy := header.Get("Content-Security-Policy") + ";"
		if !strings.Contains(policy, connect) {
			t.Errorf("host %q: %s lacks %s", host, policy, connect)
		}
		for _, directive := range []string{"default-src 'none';", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none';", "base-uri 'none';", "form-action 'none';"} {
			if !strings.Contains(policy, directive) {
				t.Errorf("host %q: %s lacks %s", host, policy, directive)
			}
		}
		if strings.Contains(policy, "*") || strings.Contains(policy, "unsafe") {
			t.Errorf("host %q: %s is too wide", host, policy)
		}
	}
}

// The policy would break the page silently where its files did what it forbids.
func TestFilesKeepToThePolicy(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\sstyle="|<style|<script>|\son[a-z]+="`)
	remote := regexp.MustCompile(`(src|href)="(https?:)?//|@import|url\(`)
	err := fs.WalkDir(static, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(static, name)
		if err != nil {
			return err
		}
		for _, rule := range []*regexp.Regexp{forbidden, remote} {
			if found := rule.Find(content); found != nil {
				t.Errorf("%s contains %q", name, found)
			}
		}
		if lines := strings.Count(string(content), "\n"); lines > 600 {
			t.Errorf("%s has %d lines of at most 600: split it along a seam", name, lines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every file that another one names is there: a browser would only say so in its console.
func TestFilesNameOnlyFilesThatExist(t *testing.T) {
	files, err := load(static)
	if err != nil {
		t.Fatal(err)
	}
	reference := regexp.MustCompile(`(?:from '(\./|\.\./)([a-z/-]+\.js)'|(?:src|href)="(/[^"#]+)")`)
	named := map[string]bool{"/": true, "/js/app.js": true}
	for name, f := range files {
		folder := name[:strings.LastIndex(name, "/")+1]
		for _, match := range reference.FindAllStringSubmatch(string(f.content), -1) {
			target := match[3]
			switch match[1] {
			case "./":
				target = folder + match[2]
			case "../":
				target = folder[:strings.LastIndex(strings.TrimSuffix(folder, "/"), "/")+1] + match[2]
			}
			named[target] = true
			if _, ok := files[target]; !ok {
				t.Errorf("%s names %s, which is not there", name, target)
			}
		}
	}
	for name := range files {
		if !named[name] {
			t.Errorf("%s is named by no other file", name)
		}
	}
}

func TestRefusesFilesOfUnknownKind(t *testing.T) {
	if _, err := load(fstest.MapFS{"static/notes.txt": {Data: []byte("x")}}); err == nil {
		t.Error("a file without a content type was loaded")
	}
}
