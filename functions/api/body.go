package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// MaxBody is the size of the largest body that Decode takes, in bytes.
const MaxBody = 8 << 10

// Decode decodes the request's JSON body into v, a pointer to a struct. Fields
// that v does not have, further values, and bodies over MaxBody are errors; an
// empty body is an object without fields. Its error is a *Problem.
func Decode(r *Request, v any) error {
	body := r.Body
	if r.IsBase64Encoded {
		decoded, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			return &Problem{Status: http.StatusBadRequest, Detail: "The body is not the base64 that it is said to be."}
		}
		body = string(decoded)
	}
	if len(body) > MaxBody {
		return &Problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("The body has %d bytes; at most %d are allowed.", len(body), MaxBody)}
	}
	if body == "" {
		return nil
	}
	if media, _, err := mime.ParseMediaType(r.Headers["content-type"]); err != nil || media != "application/json" {
		return &Problem{Status: http.StatusUnsupportedMediaType, Detail: "The body must be application/json."}
	}
	if !utf8.ValidString(body) {
		return &Problem{Status: http.StatusBadRequest, Detail: "The body is not UTF-8."}
	}
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return malformed(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return &Problem{Status: http.StatusBadRequest, Detail: "The body has something after its JSON value."}
	}
	return nil
}

// malformed words a decoder's error in terms of the JSON that the client sent,
// for the decoder's own words name Go types.
func malformed(err error) *Problem {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return &Problem{Status: http.StatusBadRequest, Detail: "The body has a value of the wrong type.",
			Errors: []FieldError{{Pointer: pointer(strings.ReplaceAll(wrong.Field, ".", "/")), Detail: "must not be a JSON " + wrong.Value}}}
	}
	if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
		return &Problem{Status: http.StatusBadRequest, Detail: "The body has the unknown field " + name + "."}
	}
	return &Problem{Status: http.StatusBadRequest, Detail: "The body is not well-formed JSON."}
}
