package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/auth"
)

// signing says where the secret is that tokens are signed with, and what the server wants them to say.
type signing struct {
	place
	SecretFile string   `help:"File with the secret that signs tokens, in place of the one in the data folder." env:"PARLEY_SECRET_FILE" type:"path" placeholder:"FILE"`
	Issuer     string   `help:"The iss of tokens, where the server wants one (auth.issuer)." env:"PARLEY_AUTH_ISSUER" placeholder:"URL"`
	Audience   []string `help:"The aud of tokens, where the server wants one (auth.audience)." env:"PARLEY_AUTH_AUDIENCE" placeholder:"NAME"`
}

// signer signs with the secret.
func (s signing) signer() (*auth.Signer, error) {
	secret, err := s.secret(s.SecretFile)
	if err != nil {
		return nil, err
	}
	return auth.NewSigner(secret, auth.Terms{Issuer: s.Issuer, Audience: s.Audience}, time.Now)
}

// identity says which server a client program talks to, and as whom. Without Token and TokenCommand the program signs tokens for User itself.
type identity struct {
	signing
	URL          string `help:"The server: http://HOST:PORT." default:"http://127.0.0.1:8080" env:"PARLEY_URL" name:"url"`
	User         string `help:"Who you are." env:"PARLEY_USER" placeholder:"ID"`
	Token        string `help:"A token: @FILE to read it from a file, - from standard input." env:"PARLEY_TOKEN" placeholder:"@FILE"`
	TokenCommand string `help:"A command that prints a fresh token." env:"PARLEY_TOKEN_COMMAND" placeholder:"COMMAND"`
}

// ownTTL is how long a token is good for that a program signs for itself.
const ownTTL = time.Hour

// source is who the user is, and what brings their tokens.
func (i identity) source(ctx context.Context) (user string, token func(context.Context) (string, error), err error) {
	switch {
	case i.Token != "" && i.TokenCommand != "":
		return "", nil, errors.New("give --token or --token-command, and not both")
	case i.Token != "":
		token, err = given(i.Token)
	case i.TokenCommand != "":
		token = printed(i.TokenCommand)
	case i.User == "":
		return "", nil, errors.New("say who you are: --user ID, signed with the secret of --data; or bring a --token or --token-command")
	default:
		signer, err := i.signer()
		if err != nil {
			return "", nil, err
		}
		return i.User, func(context.Context) (string, error) { return signer.Sign(auth.Claims{User: i.User, TTL: ownTTL}) }, nil
	}
	if err != nil {
		return "", nil, err
	}
	first, err := token(ctx)
	if err != nil {
		return "", nil, err
	}
	user, err = subject(first)
	if err == nil && i.User != "" && i.User != user {
		err = fmt.Errorf("the token is %s's, and --user is %s", user, i.User)
	}
	return user, token, err
}

// given is a token from the command line, a file (read each time, so that it may be replaced) or standard input.
func given(from string) (func(context.Context) (string, error), error) {
	if file, ok := strings.CutPrefix(from, "@"); ok {
		return func(context.Context) (string, error) { return readSecret(file) }, nil
	}
	if from == "-" {
		b, err := io.ReadAll(io.LimitReader(os.Stdin, maxSecret))
		if err != nil {
			return nil, fmt.Errorf("reading the token: %w", err)
		}
		from = strings.TrimSpace(string(b))
	}
	return func(context.Context) (string, error) { return from, nil }, nil
}

// maxSecret is the most that is read of a file with a token or a key.
const maxSecret = 64 << 10

// readSecret reads a file that holds a token or a key and nothing else.
func readSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret))
	return strings.TrimSpace(string(b)), err
}

// printed runs a command for each token.
func printed(command string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		var said bytes.Buffer
		cmd := exec.CommandContext(ctx, "sh", "-c", command)
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("--token-command: %w: %s", err, strings.TrimSpace(said.String()))
		}
		return strings.TrimSpace(string(out)), nil
	}
}

// subject reads whose token it is. Whether it is genuine the server says.
func subject(token string) (string, error) {
	wrong := errors.New("this is not a token: it must be a JWT with a sub, as `parley token` prints")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", wrong
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", wrong
	}
	var c struct {
		Sub string `json:"sub"`
	}
	if json.Unmarshal(claims, &c) != nil || c.Sub == "" {
		return "", wrong
	}
	return c.Sub, nil
}
