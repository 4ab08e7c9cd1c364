package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand prints what a shell needs to complete the commands, flags and values of this program. The shell asks `parley completion words` with the
// words of the line each time, so that there is one list of them: the parser's.
type completionCommand struct {
	Bash  bashCommand  `cmd:"" help:"For bash: put 'source <(parley completion bash)' into ~/.bashrc."`
	Zsh   zshCommand   `cmd:"" help:"For zsh: put 'source <(parley completion zsh)' into ~/.zshrc, after compinit."`
	Fish  fishCommand  `cmd:"" help:"For fish: parley completion fish >~/.config/fish/completions/parley.fish"`
	Words wordsCommand `cmd:"" hidden:""`
}

type bashCommand struct{}

// Run is called by the parser.
func (bashCommand) Run() error {
	fmt.Print(`_parley() {
	local IFS=$'\n'
	COMPREPLY=($(parley completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _parley parley
`)
	return nil
}

type zshCommand struct{}

// Run is called by the parser.
func (zshCommand) Run() error {
	fmt.Print(`_parley() {
	local -a found
	found=("${(@f)$(parley completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -n "${found[1]}" ]]; then compadd -a found; else _files; fi
}
compdef _parley parley
`)
	return nil
}

type fishCommand struct{}

// Run is called by the parser.
func (fishCommand) Run() error {
	fmt.Print(`complete -c parley -a '(parley completion words -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`)
	return nil
}

type wordsCommand struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

// Run is called by the parser.
func (c *wordsCommand) Run(app *kong.Kong) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	for _, word := range complete(app.Model.Node, words[:len(words)-1], words[len(words)-1]) {
		fmt.Println(word)
	}
	return nil
}

// complete is what the word that begins as last may become after the words before it. Nothing means a file, or that there is no such word.
func complete(node *kong.Node, before []string, last string) []string {
	var value *kong.Flag // the flag that the next word is the value of
	for _, word := range before {
		name, _, given := strings.Cut(word, "=")
		switch flag := findFlag(node, name); {
		case value != nil:
			value = nil
		case flag != nil && !given && !flag.IsBool():
			value = flag
		case flag == nil:
			for _, child := range node.Children {
				if child.Name == word {
					node = child
				}
			}
		}
	}
	var all []string
	switch name, _, given := strings.Cut(last, "="); {
	case value != nil:
		all = value.EnumSlice()
	case given:
		if flag := findFlag(node, name); flag != nil {
			for _, v := range flag.EnumSlice() {
				all = append(all, name+"="+v)
			}
		}
	case strings.HasPrefix(last, "-"):
		for _, flags := range node.AllFlags(true) {
			for _, flag := range flags {
				all = append(all, "--"+flag.Name)
			}
		}
	default:
		for _, child := range node.Children {
			if !child.Hidden {
				all = append(all, child.Name)
			}
		}
	}
	all = slices.DeleteFunc(all, func(word string) bool { return word == "" || !strings.HasPrefix(word, last) })
	slices.Sort(all)
	return slices.Compact(all)
}

// findFlag is the flag of a command, or of those above it, that a word such as --user names; nil if there is none.
func findFlag(node *kong.Node, word string) *kong.Flag {
	name, ok := strings.CutPrefix(word, "--")
	if !ok {
		return nil
	}
	for _, flags := range node.AllFlags(false) {
		for _, flag := range flags {
			if flag.Name == name {
				return flag
			}
		}
	}
	return nil
}
