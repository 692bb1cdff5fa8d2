package exchange

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
)

// Answer is what the endpoint answers, whatever the transport.
type Answer struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Respond answers a request to the endpoint (RFC 8693, section 2; RFC 6749,
// section 5), and logs what it refuses. The query must be empty: URLs end up in
// logs.
func (s *Service) Respond(ctx context.Context, method, query, contentType string, body []byte) *Answer {
	if method != http.MethodPost {
		return answer(http.StatusMethodNotAllowed, map[string]string{"Allow": http.MethodPost},
			refusal{InvalidRequest, "the method must be POST"})
	}
	response, err := s.respond(ctx, query, contentType, body)
	if err == nil {
		return answer(http.StatusOK, nil, response)
	}
	e := asError(err)
	slog.WarnContext(ctx, "exchange refused", "error", e)
	var header map[string]string
	if e.Code == TemporarilyUnavailable {
		header = map[string]string{"Retry-After": "1"}
	}
	return answer(e.Status(), header, refusal{e.Code, e.Description})
}

func (s *Service) respond(ctx context.Context, query, contentType string, body []byte) (*Response, error) {
	if query != "" {
		return nil, refuse(InvalidRequest, "parameters must be in the body")
	}
	r, err := ParseForm(contentType, body)
	if err != nil {
		return nil, err
	}
	return s.Exchange(ctx, r)
}

// refusal is an error's answer (RFC 6749, section 5.2).
type refusal struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func answer(status int, header map[string]string, body any) *Answer {
	all := map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"}
	maps.Copy(all, header)
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return &Answer{status, all, encoded}
}

// ServeHTTP is Respond for net/http.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxForm+1)) // ParseForm refuses the one byte more
	var a *Answer
	if err != nil {
		a = answer(http.StatusBadRequest, nil, refusal{InvalidRequest, "the body cannot be read"})
	} else {
		a = s.Respond(r.Context(), r.Method, r.URL.RawQuery, r.Header.Get("Content-Type"), body)
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	w.Write(a.Body)
}
