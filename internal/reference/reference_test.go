package reference

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/docs"
	"github.com/parley-im/parley/protocol"
	"github.com/parley-im/parley/protocol/examples"
)

func get(t *testing.T, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w
}

func TestPageHasEverything(t *testing.T) {
	w := get(t, "/docs")
	page := w.Body.String()
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatal(w.Code, w.Header())
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if ids[m[1]] {
			t.Errorf("two places are called %s", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range protocol.Methods() {
		if !ids[m.Name] {
			t.Errorf("%s has no place", m.Name)
		}
	}
	for _, p := range protocol.Pushes() {
		if !ids["push-"+string(p.Name)] {
			t.Errorf("%s has no place", p.Name)
		}
	}
	for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if to, ok := strings.CutPrefix(m[1], "#"); m[1] != "/docs/openapi.json" && (!ok || !ids[to]) {
			t.Errorf("a link goes nowhere: %s", m[1])
		}
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("the template engine has refused a value")
	}
}

// The policy lets run what is in the page, and nothing is loaded from anywhere.
func TestPageIsWhole(t *testing.T) {
	w := get(t, "/docs")
	page, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	for _, part := range []string{"style", "script"} {
		m := regexp.MustCompile(`(?s)<` + part + `>(.*?)</` + part + `>`).FindStringSubmatch(page)
		if m == nil || !strings.Contains(policy, part+"-src "+digest(m[1])) {
			t.Errorf("the policy does not let the page's own %s be: %s", part, policy)
		}
	}
	if m := regexp.MustCompile(`(?i)\s(src|style|onclick|onload|srcset|action)=|@import|url\(`).FindString(page); m != "" {
		t.Errorf("the page has %q", m)
	}
	if !strings.HasPrefix(policy, "default-src 'none'") {
		t.Error(policy)
	}
}

func TestUnchangedIsNotSentAgain(t *testing.T) {
	for _, path := range []string{"/docs", "/docs/openapi.json"} {
		tag := get(t, path).Header().Get("ETag")
		if w := get(t, path, "If-None-Match", tag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestDocumentIsServedAsItIs(t *testing.T) {
	if w := get(t, "/docs/openapi.json"); w.Body.String() != string(docs.OpenAPI()) {
		t.Error("it differs from docs/openapi.json")
	}
}

// The calls that the page shows are calls: JSON frames are frames, Go compiles.
func TestCallsAreCalls(t *testing.T) {
	story, err := examples.Story()
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	source.WriteString("package snippets\n\nimport (\n\t\"context\"\n\n\t\"github.com/parley-im/parley/client\"\n\t\"github.com/parley-im/parley/protocol\"\n)\n\n" +
		"var (\n\tctx context.Context\n\tc *client.Client\n\turl string\n\ttoken func(context.Context) (string, error)\n\tkept protocol.Resume\n)\n")
	count := 0
	for _, m := range protocol.Methods() {
		for _, step := range examples.Of(story, m.Name) {
			text, err := write("go", m, step)
			if err != nil {
				t.Fatal(err)
			}
			if m.Name == protocol.Hello {
				text += "\n_ = c"
			}
			source.WriteString("\nfunc _() {\n" + text + "\n_ = err\n}\n")
			count++
			frame, err := write("websocket", m, step)
			if err != nil {
				t.Fatal(err)
			}
			var call struct{ Method string }
			if err := json.Unmarshal([]byte(frame), &call, json.MatchCaseInsensitiveNames(true)); err != nil || call.Method != m.Name {
				t.Errorf("no frame: %v: %s", err, frame)
			}
		}
	}
	if count < len(protocol.Methods()) {
		t.Errorf("only %d calls", count)
	}
	compile(t, source.String())
}

// compile builds Go source as a package of this module that is on no disk.
func compile(t *testing.T, source string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "snippets.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, "snippets", "snippets.go"): file}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "./snippets").CombinedOutput(); err != nil {
		t.Errorf("the Go of the page does not compile: %v\n%s", err, out)
	}
}
