package openapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/docs"
	"github.com/parley-im/parley/internal/openapi"
)

// What is read and written again is the same, byte for byte: nothing of the document is lost on the way to the reference page.
func TestRoundTrip(t *testing.T) {
	d, err := openapi.Decode(docs.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(docs.OpenAPI()), string(again)); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, text := range []string{"", "[]", `{"paths":[]}`, `{"paths":{"/x"}}`, `{"components":{"schemas":{"A":{"type":5}}}}`} {
		if _, err := openapi.Decode([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
