package main

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/parley-im/parley/internal/config"
)

// settings are the flags of config.Config, derived from it, so that there is one list of them.
type settings struct {
	Config string `help:"A configuration file, YAML." placeholder:"FILE"`
	kong.Plugins
}

func newSettings() settings {
	var fields []reflect.StructField
	for i, f := range config.Flags() {
		field := reflect.StructField{Name: "Flag" + strconv.Itoa(i), Type: reflect.TypeFor[*string]()}
		tag := fmt.Sprintf("name:%s help:%s placeholder:%s", strconv.Quote(f.Name), strconv.Quote(f.Help), strconv.Quote(placeholder(f)))
		if f.Default == "false" {
			field.Type = reflect.TypeFor[*bool]()
		}
		field.Tag = reflect.StructTag(tag)
		fields = append(fields, field)
	}
	return settings{Plugins: kong.Plugins{reflect.New(reflect.StructOf(fields)).Interface()}}
}

func placeholder(f config.Flag) string {
	if f.Default == "" {
		return strings.ToUpper(f.Name[strings.LastIndexByte(f.Name, '-')+1:])
	}
	return f.Default
}

// overrides are the flags that were given.
func (c *settings) overrides() map[string]string {
	given := map[string]string{}
	values := reflect.ValueOf(c.Plugins[0]).Elem()
	for i, f := range config.Flags() {
		switch v := values.Field(i).Interface().(type) {
		case *string:
			if v != nil {
				given[f.Name] = *v
			}
		case *bool:
			if v != nil {
				given[f.Name] = strconv.FormatBool(*v)
			}
		}
	}
	return given
}

// load is the configuration that the file, the environment and the flags make.
func (c *settings) load() (*config.Config, error) {
	return config.Load(c.Config, os.Environ(), c.overrides())
}
