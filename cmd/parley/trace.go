package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/app"
	"github.com/parley-im/parley/protocol"
)

// traceCommand asks a running server where a message is.
type traceCommand struct {
	Room  string `arg:"" help:"The room's id."`
	Seq   uint64 `arg:"" help:"The event's seq, as the answer to message.send told it."`
	Admin string `help:"The server's listener for operators (admin_listen)." default:"http://127.0.0.1:9080" env:"PARLEY_ADMIN" placeholder:"URL"`
	JSON  bool   `help:"Print the answer as JSON." name:"json"`
}

// maxTrace bounds an answer: a thousand members with their sessions.
const maxTrace = 32 << 20

// Run is called by the parser.
func (c *traceCommand) Run(ctx context.Context) error {
	body, err := c.ask(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		_, err = fmt.Println(strings.TrimSpace(string(body)))
		return err
	}
	var t app.Trace
	if err := json.Unmarshal(body, &t); err != nil {
		return fmt.Errorf("what answers at %s is not Parley's listener for operators: %w", c.Admin, err)
	}
	return printTrace(os.Stdout, &t)
}

func (c *traceCommand) ask(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	query := url.Values{"room": {c.Room}, "seq": {strconv.FormatUint(c.Seq, 10)}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Admin, "/")+"/trace?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("--admin is not a URL such as http://127.0.0.1:9080: %w", err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("the listener for operators does not answer (serve --admin-listen opens it, --admin says where it is): %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxTrace))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return body, nil
}

// printTrace prints an answer for people.
func printTrace(to io.Writer, t *app.Trace) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	by := "by " + t.User
	if t.User == "" {
		by = "by a back end"
	}
	line("event\t%d of %s (%s), whose log ends with %d", t.Seq, t.Room, t.Kind, t.Head)
	line("committed\t%s %s, %s", t.Event, by, t.At.Go().Format(time.RFC3339Nano))
	line("relayed\t%s", yesOr(t.Relayed, fmt.Sprintf("not yet: the relay has come to %d", t.Applied)))
	switch {
	case !t.Followed:
		line("fanned out\tnobody follows the room on node %s", t.Node)
	case t.FannedOut:
		line("fanned out\tyes, on node %s, where %d sessions follow the room", t.Node, t.Sessions)
	default:
		line("fanned out\tnot yet, on node %s, where %d sessions follow the room", t.Node, t.Sessions)
	}
	line("members\t%d: delivered to %d, read by %d", t.Members, t.Delivered, t.Read)
	line("")
	line("MEMBER\tDELIVERED\tREAD\tSESSION\tDEVICE\tCLIENT\tNODE\tSTATE")
	for _, m := range t.Listed {
		delivered, read := cursor(m.Delivered, t.Seq), cursor(m.Read, t.Seq)
		if m.Joined > t.Seq {
			delivered, read = "joined later", ""
		}
		if len(m.Sessions) == 0 {
			line("%s\t%s\t%s\t\t\t\t\toffline", m.User, delivered, read)
		}
		for i, s := range m.Sessions {
			user := m.User
			if i > 0 {
				user, delivered, read = "", "", ""
			}
			state := string(s.State)
			if s.State == app.TraceBehind {
				state = fmt.Sprintf("behind, at %d", s.Next)
			}
			line("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", user, delivered, read, s.Session, s.Device, s.Client, s.Node, state)
		}
	}
	if more := t.Members - len(t.Listed); more > 0 {
		line("and %d more members", more)
	}
	return w.Flush()
}

func yesOr(yes bool, otherwise string) string {
	if yes {
		return "yes"
	}
	return otherwise
}

// cursor says whether a cursor has come as far as an event, and where it is if not.
func cursor(at, seq protocol.Seq) string { return yesOr(at >= seq, fmt.Sprintf("no, at %d", at)) }
