// Package docs carries what of this folder is built into the binary. The folder is for people; this file is not.
package docs

import (
	_ "embed"
	"slices"
)

//go:embed openapi.json
var openAPI []byte

// OpenAPI is openapi.json, which protocol/gen writes: the description of the HTTP calls. The bytes are the caller's own.
func OpenAPI() []byte { return slices.Clone(openAPI) }
