package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

// HTTPOptions say where an HTTP client calls, and as whom: with an API key, or with a user's token.
type HTTPOptions struct {
	// URL of the server: http or https, without the path of the methods.
	URL string
	// Key is an API key.
	Key string
	// Token brings a user's token, asked before every call; only without Key.
	Token func(ctx context.Context) (string, error)
	// User is whose calls these are, with a Key; empty: the back end's own. See AsUser.
	User string
	// Session is a live session of the same user, for the methods that need one.
	Session string
	// Client makes the requests; nil: http.DefaultClient.
	Client *http.Client
}

// HTTP calls methods over HTTP. It keeps nothing between calls; every method may be called from any goroutine.
type HTTP struct {
	Methods

	o HTTPOptions
}

// NewHTTP makes an HTTP client. It connects with the first call.
func NewHTTP(o HTTPOptions) (*HTTP, error) {
	switch {
	case !strings.HasPrefix(o.URL, "http://") && !strings.HasPrefix(o.URL, "https://"):
		return nil, fmt.Errorf("client: the URL %q must begin with http:// or https://", o.URL)
	case (o.Key == "") == (o.Token == nil):
		return nil, errors.New("client: HTTPOptions needs Key or Token, and not both")
	case o.User != "" && o.Key == "":
		return nil, errors.New("client: HTTPOptions.User needs Key: a token is of one user")
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	h := &HTTP{o: o}
	h.Methods = methods(h)
	return h, nil
}

// AsUser is the same client making the user's calls: the user's rooms and rights, with the back end's key.
func (h *HTTP) AsUser(user string) *HTTP {
	as := &HTTP{o: h.o}
	as.o.User = user
	as.Methods = methods(as)
	return as
}

// Call calls a method with its params and decodes its result into result, a pointer; nil drops it. The answer of a proxy in between is told as the
// *protocol.Error of its status. Nothing is called again by itself.
func (h *HTTP) Call(ctx context.Context, method string, params, result any) error {
	request, err := h.request(ctx, method, params)
	if err != nil {
		return err
	}
	response, err := h.o.Client.Do(request)
	if err != nil {
		return fmt.Errorf("client: calling %s: %w", method, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMessage))
	switch {
	case err != nil:
		return fmt.Errorf("client: the answer to %s: %w", method, err)
	case response.StatusCode != http.StatusOK:
		return refusalOf(response, body)
	case result == nil:
		return nil
	}
	if err := json.Unmarshal(body, result); err != nil {
		return fmt.Errorf("client: the answer to %s: %w", method, err)
	}
	return nil
}

func (h *HTTP) request(ctx context.Context, method string, params any) (*http.Request, error) {
	if params == nil {
		params = protocol.Empty{}
	}
	body, err := json.Marshal(params, protocol.Encoding())
	if err != nil {
		return nil, fmt.Errorf("client: the params of %s: %w", method, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.o.URL+"/v1/"+method, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("client: calling %s: %w", method, err)
	}
	credential := h.o.Key
	if h.o.Token != nil {
		if credential, err = h.o.Token(ctx); err != nil {
			return nil, fmt.Errorf("client: the token for %s: %w", method, err)
		}
	}
	request.Header.Set("Authorization", "Bearer "+credential)
	request.Header.Set("Content-Type", "application/json")
	if h.o.User != "" {
		request.Header.Set("Parley-User", h.o.User)
	}
	if h.o.Session != "" {
		request.Header.Set("Parley-Session", h.o.Session)
	}
	return request, nil
}

// refusalOf is the error in a body, or what the status says where there is none.
func refusalOf(response *http.Response, body []byte) error {
	var answer struct {
		Error *protocol.Error `json:"error"`
	}
	if json.Unmarshal(body, &answer) == nil && answer.Error != nil {
		return answer.Error
	}
	code := protocol.Internal
	for _, row := range protocol.Codes() {
		if row.Status == response.StatusCode {
			code = row.Code
		}
	}
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		code = protocol.Unavailable
	}
	return protocol.Errorf(code, "", "something between here and Parley answered %s", response.Status)
}
