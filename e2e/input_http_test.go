package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/protocol"
)

// request is an HTTP request and what it must get: a status, and a verdict in the words of the table of accesses.
type request struct {
	name    string
	verb    string
	path    string
	headers []string // name, value, …
	body    string
	status  int
	want    string
}

// TestBadRequests is about what is said over HTTP instead of a call, and by whom (§2.4, §3).
func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := start(t, append([]string{"--limits-frame-bytes=8192", "--origins=https://app.example.com"}, unlimited...)...)
	key := s.key("requests")
	jwt := []string{"Authorization", "Bearer " + s.token("alice")}
	with := func(headers ...string) []string { return append(slices.Clone(jwt), headers...) }
	byKey := func(headers ...string) []string {
		return append([]string{"Authorization", "Bearer " + key}, headers...)
	}
	const get, post = http.MethodGet, http.MethodPost
	alice, deep := `{"users":["alice"]}`, `{"x":`+nested(62)+`}`
	for _, r := range []request{
		{"a call", post, "user.get", jwt, alice, 200, "ok"},
		{"GET", get, "user.get", jwt, "", 405, "bad_request"},
		{"PUT", http.MethodPut, "user.get", jwt, alice, 405, "bad_request"},
		{"GET without a credential", get, "user.get", nil, "", 405, "bad_request"},
		{"an unknown method", post, "room.explode", jwt, "{}", 404, "not_found method"},
		{"an unknown method without a credential", post, "room.explode", nil, "{}", 404, "not_found method"},
		{"no method", post, "", jwt, "{}", 404, "not_found method"},
		{"a method with a slash", post, "user.get/", jwt, alice, 404, "not_found method"},
		{"hello", post, "hello", jwt, "{}", 404, "not_found method"},

		{"an empty body", post, "room.list", jwt, "", 200, "ok"},
		{"white space for a body", post, "room.list", jwt, " \n ", 200, "ok"},
		{"trailing white space", post, "user.get", jwt, alice + "\n", 200, "ok"},
		{"trailing bytes", post, "user.get", jwt, alice + "x", 400, "bad_request"},
		{"two bodies", post, "user.get", jwt, alice + alice, 400, "bad_request"},
		{"not JSON", post, "user.get", jwt, "users=alice", 400, "bad_request params"},
		{"half a body", post, "user.get", jwt, alice[:10], 400, "bad_request users"},
		{"an array", post, "user.get", jwt, "[" + alice + "]", 400, "bad_request params"},
		{"null", post, "user.get", jwt, "null", 400, "bad_request params"},
		{"invalid UTF-8", post, "user.get", jwt, "{\"users\":[\"\xff\"]}", 400, "bad_request"},
		{"a param twice", post, "user.get", jwt, `{"users":["alice"],"users":["bob"]}`, 400, "bad_request users"},
		{"nested as deep as may be", post, "room.list", jwt, deep, 200, "ok"},
		{"nested deeper", post, "room.list", jwt, strings.Replace(deep, "[", "[[", 1) + "", 400, "bad_request x"},
		{"as large as may be", post, "user.get", jwt, alice + strings.Repeat(" ", 8192-len(alice)), 200, "ok"},
		{"too large", post, "user.get", jwt, alice + strings.Repeat(" ", 8193-len(alice)), 413, "too_large"},
		{"another Content-Type", post, "user.get", with("Content-Type", "text/plain"), alice, 200, "ok"},
		{"no sensible Content-Type", post, "user.get", with("Content-Type", ";;"), alice, 200, "ok"},

		{"no credential", post, "user.get", nil, alice, 401, "unauthenticated"},
		{"no credential, and no good params", post, "user.get", nil, "nonsense", 401, "unauthenticated"},
		{"another scheme", post, "user.get", []string{"Authorization", "Basic YWxpY2U6YWxpY2U="}, alice, 401, "unauthenticated"},
		{"an empty token", post, "user.get", []string{"Authorization", "Bearer "}, alice, 401, "unauthenticated"},
		{"a key that is none", post, "user.get", []string{"Authorization", "Bearer pk_none"}, alice, 401, "unauthenticated"},
		{"a token in the URL", post, "user.get?token=" + jwt[1][7:], nil, alice, 401, "unauthenticated"},
		{"Parley-User beside a token", post, "user.get", with("Parley-User", "alice"), alice, 400, "bad_request Parley-User"},
		{"a user's call without Parley-User", post, "room.list", byKey(), "{}", 400, "bad_request Parley-User"},
		{"Parley-User that is no user", post, "room.list", byKey("Parley-User", "no user"), "{}", 400, "bad_request Parley-User"},
		{"an empty Parley-User", post, "room.list", byKey("Parley-User", ""), "{}", 400, "bad_request Parley-User"},
		{"Parley-User twice", post, "room.list", byKey("Parley-User", "alice", "Parley-User", "bob"), "{}", 400, "bad_request Parley-User"},
		{"a call of a back end", post, "user.get", byKey(), alice, 200, "ok"},
		{"a call for a user who is new", post, "room.list", byKey("Parley-User", "newcomer"), "{}", 200, "ok"},
		{"a session that is none", post, "room.list", with("Parley-Session", "none"), "{}", 404, "not_found session"},
		{"a call that needs a session", post, "room.subscribe", jwt, `{"room":"r"}`, 400, "bad_request session"},

		{"the server's own origin", post, "user.get", with("Origin", "http://"+s.addr), alice, 200, "ok"},
		{"a configured origin", post, "user.get", with("Origin", "https://app.example.com"), alice, 200, "ok"},
		{"another origin", post, "user.get", with("Origin", "https://evil.example.com"), alice, 403, "forbidden"},
		{"an origin that begins alike", post, "user.get", with("Origin", "https://app.example.com.evil.example"), alice, 403, "forbidden"},
		{"the configured host by another scheme", post, "user.get", with("Origin", "http://app.example.com"), alice, 403, "forbidden"},
		{"an opaque origin", post, "user.get", with("Origin", "null"), alice, 403, "forbidden"},
	} {
		t.Run(r.name, func(t *testing.T) { r.check(t, s) })
	}
	badParams(t, s, jwt)
}

func (r request) check(t *testing.T, s *server) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), r.verb, "http://"+s.addr+"/v1/"+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(r.headers); i += 2 {
		q.Header.Add(r.headers[i], r.headers[i+1])
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := verdict(body); resp.StatusCode != r.status || got != r.want {
		t.Errorf("%d %s was expected; this came: %d %.500s", r.status, r.want, resp.StatusCode, body)
	}
	if slices.Contains(resp.Header["Access-Control-Allow-Origin"], "*") {
		t.Error("every page may read the answer")
	}
}

// badParams sends the protocol's examples of bad params.
func badParams(t *testing.T, s *server, credential []string) {
	served := map[string]string{}
	for _, a := range accesses() {
		served[a.method] = a.hidden
	}
	for i, line := range corpus(t, "bad_params.jsonl") {
		var entry struct{ Method, Params, Want, Field string }
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatal(err)
		}
		// What is too large for a body, and what wants a session first, is refused for that.
		method, _ := protocol.Lookup(entry.Method)
		if served[entry.Method] == notServed || len(entry.Params) > 8192 || method.Session {
			continue
		}
		status := map[string]int{"bad_request": 400, "too_large": 413}[entry.Want]
		r := request{
			verb: http.MethodPost, path: entry.Method, headers: credential, body: entry.Params,
			status: status, want: strings.TrimSpace(entry.Want + " " + entry.Field),
		}
		t.Run(fmt.Sprint("corpus ", i+1), func(t *testing.T) { r.check(t, s) })
	}
}

// TestHandshakes is about who may open a WebSocket, and how (§2, §3).
func TestHandshakes(t *testing.T) {
	t.Parallel()
	s := start(t, append([]string{"--origins=https://app.example.com"}, unlimited...)...)
	const good = "Sec-WebSocket-Protocol: parley.v1"
	request := handshake(s.addr, good)
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"as it should be", request, 101},
		{"no subprotocol", handshake(s.addr), 101},
		{"one of several", handshake(s.addr, "Sec-WebSocket-Protocol: chat, parley.v1"), 101},
		{"one of several lines", handshake(s.addr, "Sec-WebSocket-Protocol: chat", good), 101},
		{"another subprotocol", handshake(s.addr, "Sec-WebSocket-Protocol: parley.v2"), 400},
		{"another spelling", handshake(s.addr, "Sec-WebSocket-Protocol: PARLEY.V1"), 400},
		{"the server's own origin", handshake(s.addr, good, "Origin: http://"+s.addr), 101},
		{"a configured origin", handshake(s.addr, good, "Origin: https://app.example.com"), 101},
		{"another origin", handshake(s.addr, good, "Origin: https://evil.example.com"), 403},
		{"an opaque origin", handshake(s.addr, good, "Origin: null"), 403},
		{"two origins", handshake(s.addr, good, "Origin: https://app.example.com", "Origin: https://evil.example.com"), 403},
		{"POST", strings.Replace(request, "GET", "POST", 1), 405},
		{"no key", strings.Replace(request, "Sec-WebSocket-Key", "X-Key", 1), 400},
		{"a short key", strings.Replace(request, "dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 1), 400},
		{"no upgrade", strings.Replace(request, "Upgrade: websocket\r\n", "", 1), 400},
		{"another version", strings.Replace(request, "Version: 13", "Version: 8", 1), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := s.rawDial(0)
			defer conn.Close()
			conn.put([]byte(c.request))
			line, err := conn.in.ReadString('\n')
			fields := strings.Fields(line)
			// RFC 6455 lets a server answer another version with 426 as well, which names the version that it speaks.
			if c.name == "another version" && len(fields) > 1 && fields[1] == "426" {
				return
			}
			if err != nil || len(fields) < 2 || fields[1] != fmt.Sprint(c.status) {
				t.Errorf("the answer is %q, %v; %d was expected", line, err, c.status)
			}
		})
	}
}

// TestBadTokens is about what a token must not be (§3).
func TestBadTokens(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	now := time.Now().Unix()
	good := func(more object) object {
		claims := object{"sub": "alice", "iat": now, "exp": now + 600}
		for name, value := range more {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
		return claims
	}
	ask := func(token string) string {
		_, body := (&caller{token: token}).ask(t, s, "room.browse", object{})
		return verdict(body)
	}
	for name, claims := range map[string]object{
		"plain": good(nil), "issued a little ahead": good(object{"iat": now + 30}), "valid a little later": good(object{"nbf": now + 30}),
		"with claims of its own": good(object{"tenant": "a", "aud": []string{"b"}}), "with a fraction": good(object{"exp": float64(now) + 600.5}),
		"of a moderator": good(object{"role": "moderator"}), "without iat": good(object{"iat": nil}),
	} {
		if got := ask(s.sign(claims)); got != "ok" {
			t.Errorf("a token %s: %s", name, got)
		}
	}
	for name, claims := range map[string]object{
		"that has expired": good(object{"exp": now - 1}), "that expires now": good(object{"exp": now}), "without exp": good(object{"exp": nil}),
		"that never expires": good(object{"exp": 1e300}), "whose exp is a text": good(object{"exp": "later"}), "issued in the future": good(object{"iat": now + 90}),
		"valid tomorrow": good(object{"nbf": now + 86400}), "without a user": good(object{"sub": nil}), "of a user that cannot be": good(object{"sub": "no user"}),
		"of an empty user": good(object{"sub": ""}), "of a user that is a number": good(object{"sub": 7}), "of an unknown role": good(object{"role": "root"}),
		"with a role that is a list": good(object{"role": []string{"admin"}}), "with a name that is a number": good(object{"name": 7}),
		"with an avatar that is a script": good(object{"avatar": "javascript:alert(1)"}), "that is too long": good(object{"x": strings.Repeat("x", 8<<10)}),
	} {
		if got := ask(s.sign(claims)); got != "unauthenticated" {
			t.Errorf("a token %s: %s", name, got)
		}
	}
	for name, header := range map[string]object{
		"without an algorithm": {"alg": "none"}, "with another algorithm": {"alg": "HS512"}, "with an algorithm of keys": {"alg": "RS256"},
		"in small letters": {"alg": "hs256"}, "that demands something": {"alg": "HS256", "crit": []string{"exp"}}, "with no header to speak of": {},
	} {
		if got := ask(s.signAs(header, good(nil))); got != "unauthenticated" {
			t.Errorf("a token %s: %s", name, got)
		}
	}
	token := s.sign(good(nil))
	for name, broken := range map[string]string{
		"cut short": token[:len(token)-2], "with a tail": token + "AA", "in two parts": token[:strings.LastIndexByte(token, '.')],
		"without a signature": token[:strings.LastIndexByte(token, '.')+1], "in five parts": token + ".a.b",
	} {
		if got := ask(broken); got != "unauthenticated" {
			t.Errorf("a token %s: %s", name, got)
		}
	}
}
