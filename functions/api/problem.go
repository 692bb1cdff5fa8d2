package api

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Problem tells a client what is wrong, as RFC 9457 has it. It is an error that
// Mux.Serve answers with.
type Problem struct {
	// Type names the kind of problem for programs. Default: "about:blank",
	// which says no more than Status does.
	Type string
	// Status is the HTTP status.
	Status int
	// Detail explains this occurrence to people.
	Detail string
	// Errors lists what is wrong in the body.
	Errors []FieldError
	// Header is sent along, such as Retry-After; nil for none.
	Header map[string]string
}

// FieldError is what is wrong with a field of the body.
type FieldError struct {
	Detail  string `json:"detail"`
	Pointer string `json:"pointer"` // JSON pointer (RFC 6901) as URI fragment: "#/price/amount"
}

// Field returns what is wrong with a field; slashes in its name lead to nested
// fields.
func Field(name, detail string) FieldError {
	return FieldError{Detail: detail, Pointer: pointer(name)}
}

func pointer(name string) string {
	if name == "" {
		return "#" // the whole body
	}
	return "#/" + name
}

// ProblemType returns the URI of a kind of problem. It is a tag (RFC 4151),
// which identifies and leads nowhere; RFC 9457, section 3.1.1, has such types.
func ProblemType(name string) string { return "tag:serverless-go.github.io,2026:" + name }

func (p *Problem) Error() string {
	return fmt.Sprintf("%d %s: %s", p.Status, http.StatusText(p.Status), p.Detail)
}

// MarshalJSON writes the members of a problem details object.
func (p *Problem) MarshalJSON() ([]byte, error) {
	kind := p.Type
	if kind == "" {
		kind = "about:blank"
	}
	return json.Marshal(struct {
		Type   string       `json:"type"`
		Title  string       `json:"title"`
		Status int          `json:"status"`
		Detail string       `json:"detail"`
		Errors []FieldError `json:"errors,omitempty"`
	}{kind, http.StatusText(p.Status), p.Status, p.Detail, p.Errors})
}
