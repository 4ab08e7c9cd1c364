package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComplete(t *testing.T) {
	tests := []struct{ line, want string }{
		{"tok", "token"},
		{"key ", "create list remove"},
		{"key c", "create"},
		{"token --ro", "--role"},
		{"token --role ", "admin moderator user"},
		{"token --role=m", "--role=moderator"},
		{"token --user serve --role u", "user"},
		{"--data x key l", "list"},
		{"completion ", "bash fish zsh"},
		{"backup --to ", ""},
		{"serve --limits-room-b", "--limits-room-burst"},
	}
	for _, tt := range tests {
		words := strings.Split(tt.line, " ")
		got := complete(newParser().Model.Node, words[:len(words)-1], words[len(words)-1])
		if diff := cmp.Diff(strings.Fields(tt.want), got, cmp.Transformer("", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.line, diff)
		}
	}
}
