package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The documents whose commands are run. Those that are not here have tests of their own, or no commands.
var documents = []string{"README.md", "docs/quickstart.md", "docs/concepts.md", "docs/operations.md", "docs/cluster.md", "docs/monitoring.md", "docs/guides/*.md"}

// What the documents say is what happens: their blocks are run in order against a fresh server, as CONTRIBUTING.md says.
func TestDocumentsAreTrue(t *testing.T) {
	for _, pattern := range documents {
		names, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: no such document: %v", pattern, err)
		}
		for _, name := range names {
			t.Run(strings.TrimPrefix(name, "../"), func(t *testing.T) {
				text, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				blocks, err := fencedBlocks(string(text))
				if err != nil {
					t.Fatal(err)
				}
				follow(t, blocks)
			})
		}
	}
}

var (
	link   = regexp.MustCompile(`\]\(([^)#\s:]+)(?:#[^)]*)?\)`)
	fenced = regexp.MustCompile("(?ms)^```.*?^```$")
)

// Every link from a document to another file of the project leads somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	followed := 0
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/guides/*.md", "../docs/sdk/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
				followed++
				if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	if followed < 20 {
		t.Errorf("only %d links were found", followed)
	}
}

// block is a fenced block of a document.
type block struct {
	line     int
	language string
	what     string // what follows the language behind the fence
	text     string
}

// languages are those whose blocks must be run, or say why they are not.
var languages = []string{"sh", "go", "html", "js", "ts", "python", "yaml"}

var fence = regexp.MustCompile("^```(\\w*) ?(.*)$")

// fencedBlocks finds the blocks of a document, and those that say neither how they are run nor why not.
func fencedBlocks(text string) ([]block, error) {
	var blocks []block
	var errs []error
	open := false
	for i, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case open && line == "```":
			open = false
		case open:
			last := &blocks[len(blocks)-1]
			last.text += line + "\n"
		case m != nil:
			open = true
			b := block{line: i + 1, language: m[1], what: m[2]}
			runs := slices.Contains([]string{"run", "server", "config"}, b.what)
			if slices.Contains(languages, b.language) && !runs && !strings.HasPrefix(b.what, "not run: ") {
				errs = append(errs, fmt.Errorf("line %d: a block of %s is tagged %q: say run, server, config, or not run: and why", b.line, b.language, b.what))
			}
			blocks = append(blocks, b)
		}
	}
	return blocks, errors.Join(errs...)
}

func TestFencedBlocks(t *testing.T) {
	blocks, err := fencedBlocks("a\n```sh run\necho 1\necho 2\n```\nb\n```text output\n1\n```\n```json\n{}\n```\n```sh not run: no\n```\n")
	if err != nil || len(blocks) != 4 || blocks[0].text != "echo 1\necho 2\n" || blocks[1].what != "output" || blocks[2].line != 10 {
		t.Errorf("%v %+v", err, blocks)
	}
	for _, text := range []string{"```sh\n```", "```go walk\n```", "```ts not run\n```"} {
		if _, err := fencedBlocks(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// reader is who follows a document: in a folder of their own, with one shell.
type reader struct {
	t       *testing.T
	dir     string
	address string            // of the server
	places  *strings.Replacer // from addresses in documents to ours
	page    string            // the address where the folder is served, for browsers
	shown   chan string       // what a page shows, every now and then
	shell   *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	steps   int
}

// follow runs the blocks. A document without a server of its own finds one running.
func follow(t *testing.T, blocks []block) {
	runnable := func(b block) bool { return b.what == "run" || b.what == "server" || b.what == "config" }
	if !slices.ContainsFunc(blocks, runnable) {
		return
	}
	r := newReader(t)
	if !slices.ContainsFunc(blocks, func(b block) bool { return b.what == "server" }) {
		r.serve("bin/parley serve --data ./data")
	}
	printed := ""
	for _, b := range blocks {
		at := fmt.Sprintf("line %d", b.line)
		switch {
		case b.what == "server":
			r.serve(b.text)
		case b.what == "config" && b.language == "yaml":
			r.run(at, "cat >config.yaml <<'END'\n"+b.text+"END\nbin/parley config check config.yaml")
		case b.what == "run" && b.language == "sh":
			printed = r.run(at, b.text)
		case b.what == "run" && b.language == "go":
			printed = r.run(at, r.build(at, b.text))
		case runnable(b):
			t.Fatalf("%s: nobody here runs %s", at, b.language)
		case b.language == "text" && b.what == "output":
			if !pattern(b.text).MatchString(strings.TrimSpace(printed)) {
				t.Errorf("%s: what was printed is\n%s\nand not\n%s", at, printed, b.text)
			}
		case b.language == "text" && strings.HasPrefix(b.what, "browser "):
			r.browse(at, strings.TrimPrefix(b.what, "browser "), b.text)
		}
	}
}

// pattern matches what a document shows; … stands for anything.
func pattern(text string) *regexp.Regexp {
	return regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(text)), "…", ".*?") + "$")
}

func newReader(t *testing.T) *reader {
	r := &reader{t: t, dir: t.TempDir(), address: freeAddress(t), shown: make(chan string)}
	files, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir(r.dir)))
	mux.HandleFunc("GET /looking", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, looking) // Chromium has gone: the test is over
	})
	mux.HandleFunc("POST /shown", func(_ http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body) // half of it is another look
		select {
		case r.shown <- string(text):
		default: // nobody looks
		}
	})
	server := &http.Server{Handler: mux}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(files)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	r.page = files.Addr().String()
	r.places = strings.NewReplacer("127.0.0.1:8080", r.address, "127.0.0.1:9080", freeAddress(t), "127.0.0.1:8000", r.page)
	if err := os.Symlink(binaries, filepath.Join(r.dir, "bin")); err != nil {
		t.Fatal(err)
	}
	r.shell = exec.Command("bash", "-eu", "-o", "pipefail")
	r.shell.Dir = r.dir
	r.shell.Env = append(environment(), "PARLEY_LISTEN="+r.address, "PARLEY_DATA="+filepath.Join(r.dir, "data"))
	r.shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := r.shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.shell.Stderr = r.shell.Stdout
	if r.in, err = r.shell.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewReader(out)
	if err := r.shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-r.shell.Process.Pid, syscall.SIGKILL) // the group of our own shell: the server in it too
		_ = r.shell.Wait()                                      // it was killed
	})
	return r
}

// freeAddress is an address that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve starts a server in the background of the shell, and waits until it listens.
func (r *reader) serve(command string) {
	r.run("the server", "{\n"+command+"\n} >>server.log 2>&1 &")
	deadline := time.Now().Add(patience)
	for {
		conn, err := net.Dial("tcp", r.address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(r.dir, "server.log"))
			r.t.Fatalf("the server does not listen: %v\n%s", err, log)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// run runs commands in the shell and returns what they print.
func (r *reader) run(at, commands string) string {
	r.t.Helper()
	r.steps++
	mark := fmt.Sprintf("end of step %d", r.steps)
	stuck := time.AfterFunc(3*patience, func() { _ = syscall.Kill(-r.shell.Process.Pid, syscall.SIGKILL) })
	defer stuck.Stop()
	if _, err := fmt.Fprintf(r.in, "%s\necho; echo '%s'\n", r.places.Replace(commands), mark); err != nil {
		r.t.Fatalf("%s: %v", at, err)
	}
	var printed strings.Builder
	for {
		line, err := r.out.ReadString('\n')
		if err != nil {
			r.t.Fatalf("%s: the shell ended: it printed\n%s%s", at, printed.String(), line)
		}
		if strings.TrimSpace(line) == mark {
			return r.backwards(printed.String())
		}
		printed.WriteString(line)
	}
}

// backwards puts the addresses of documents in the place of ours.
func (r *reader) backwards(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, r.address, "127.0.0.1:8080"), r.page, "127.0.0.1:8000")
}

// build compiles a program of a document, as a package of this module that is on no disk, and returns the command that runs it.
func (r *reader) build(at, source string) string {
	r.t.Helper()
	r.steps++
	name := fmt.Sprintf("program%d", r.steps)
	file := filepath.Join(r.dir, name+".go")
	module, err := filepath.Abs("..")
	if err != nil {
		r.t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(module, "e2e", name, "main.go"): file}})
	if err != nil {
		r.t.Fatal(err)
	}
	for path, text := range map[string][]byte{file: []byte(r.places.Replace(source)), filepath.Join(r.dir, "overlay.json"): overlay} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-overlay", filepath.Join(r.dir, "overlay.json"), "-o", filepath.Join(r.dir, name), "./"+name)
	if out, err := build.CombinedOutput(); err != nil {
		r.t.Fatalf("%s: %v\n%s", at, err, out)
	}
	return "./" + name
}

// looking is a page that tells the test what another page shows, in the shadow roots of its elements, too.
const looking = `<!doctype html><iframe></iframe><script>
const frame = document.querySelector("iframe");
frame.src = decodeURIComponent(location.hash.slice(1));
setInterval(() => {
  const shadows = [...frame.contentDocument.querySelectorAll("*")].flatMap(({ shadowRoot }) => [...(shadowRoot?.children ?? [])]);
  fetch("/shown", { method: "POST", body: [frame.contentDocument.body, ...shadows].map((e) => e.innerText).join("\n") });
}, 100);
</script>`

// browse opens a page in Chromium, which must show the lines within a while.
func (r *reader) browse(at, page, text string) {
	r.t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			r.t.Fatal(err)
		}
		r.t.Log("################ MISSING: Chromium (Debian: chromium). The page of this document was not looked at.")
		return
	}
	cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+filepath.Join(r.t.TempDir(), "profile"),
		"--remote-debugging-port=0", "http://"+r.page+"/looking#"+url.QueryEscape(r.places.Replace(page)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group of our own browser
		_ = cmd.Wait()                                      // it was killed
	}()
	timeout := time.After(2 * patience)
	shows := ""
	for {
		select {
		case shows = <-r.shown:
		case <-timeout:
			r.t.Fatalf("%s: the page shows\n%s\nand not\n%s", at, shows, text)
		}
		if strings.Contains(shows, strings.TrimSpace(text)) {
			return
		}
	}
}
