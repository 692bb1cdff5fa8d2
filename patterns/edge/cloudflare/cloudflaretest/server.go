// Package cloudflaretest is a double of the part of Cloudflare's API that
// deploys Workers, for tests: an HTTP server that holds state and can fail at
// each request.
package cloudflaretest

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What the one account of a Server is called, and the token that it takes.
const (
	Account = "023e105f4ecef8ad9ca31a8372d0c353"
	Token   = "v1.0-secret-token-of-cloudflare"
)

// A Fault is how a request goes wrong.
type Fault struct {
	Status     int    // answered without doing anything; 0: no answer at all
	RetryAfter string // the header of the answer
	Done       bool   // the request is done and the answer is lost
	Hang       bool   // the connection stays open instead of breaking
}

// A Server is the double.
type Server struct {
	// URL is where the API is.
	URL string
	// Fault returns what goes wrong with the nth request, from 1; nil: nothing.
	Fault func(n int, r *http.Request) *Fault

	mu         sync.Mutex
	requests   int
	next       int
	scripts    map[string]*script
	routes     []map[string]string // id, pattern, script, zone
	domains    []map[string]string // id, hostname, service, zone_id, environment
	namespaces []*namespace
}

type script struct {
	tags        []any
	versions    []map[string]any
	deployments [][]any // the newest first
}

type namespace struct {
	id, title string
	values    map[string]string
}

// New starts a server that ends with the test. Wrap, unless nil, stands in front
// of it.
func New(t testing.TB, wrap func(http.Handler) http.Handler) *Server {
	s := &Server{scripts: map[string]*script{}}
	var h http.Handler = http.HandlerFunc(s.answer)
	if wrap != nil {
		h = wrap(h)
	}
	server := httptest.NewServer(s.faulty(h))
	s.URL = server.URL
	t.Cleanup(server.Close)
	return s
}

// faulty stands in front of the handler, so that lost answers are checked too.
func (s *Server) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests++
		var f *Fault
		if s.Fault != nil {
			f = s.Fault(s.requests, r)
		}
		s.mu.Unlock()
		if f == nil {
			next.ServeHTTP(w, r)
			return
		}
		if f.Done {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the client go
		if f.Hang {
			<-r.Context().Done()
		}
		if f.Status == 0 {
			panic(http.ErrAbortHandler)
		}
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		// The worst that Cloudflare could do.
		problem(w, f.Status, 10000, "failed for "+r.Header.Get("Authorization"))
	})
}

// Requests returns how many requests there were.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// State describes everything that answers requests or costs money, in one text
// that two states can be compared by. Versions that answer nothing are not in it.
func (s *Server) State() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	titles := map[string]string{}
	for _, n := range s.namespaces {
		titles[n.id] = n.title
		lines = append(lines, fmt.Sprintf("namespace %s %v", n.title, n.values))
	}
	for name, sc := range s.scripts {
		for _, share := range sc.deployments[0] {
			id := share.(map[string]any)["version_id"]
			for _, v := range sc.versions {
				if v["id"] != id {
					continue
				}
				text := fmt.Sprintf("script %s %v %v%%: %v", name, sc.tags, share.(map[string]any)["percentage"], v["module"])
				for _, b := range v["resources"].(map[string]any)["bindings"].([]any) {
					b := b.(map[string]any)
					text += fmt.Sprintf(" %v=%v%v", b["name"], b["text"], titles[fmt.Sprint(b["namespace_id"])])
				}
				lines = append(lines, text)
			}
		}
	}
	for _, r := range s.routes {
		lines = append(lines, fmt.Sprintf("route %s %s -> %s", r["zone"], r["pattern"], r["script"]))
	}
	for _, d := range s.domains {
		lines = append(lines, fmt.Sprintf("domain %s -> %s", d["hostname"], d["service"]))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func reply(w http.ResponseWriter, result any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"success": true, "errors": []any{}, "messages": []any{}, "result": result})
}

func problem(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"success": false, "messages": []any{}, "result": nil,
		"errors": []any{map[string]any{"code": code, "message": message}}})
}

func (s *Server) id() string { s.next++; return fmt.Sprintf("%032x", s.next) }

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+Token {
		problem(w, http.StatusForbidden, 9109, "Invalid access token")
		return
	}
	if p, ok := strings.CutPrefix(r.URL.Path, "/accounts/"+Account+"/"); ok {
		switch e := strings.Split(p, "/"); {
		case len(e) >= 3 && e[0] == "workers" && e[1] == "scripts":
			s.script(w, r, e[2], e[3:])
			return
		case len(e) >= 2 && e[0] == "workers" && e[1] == "domains":
			s.domain(w, r, e[2:])
			return
		case len(e) >= 3 && e[1] == "kv":
			s.namespace(w, r, e[3:])
			return
		}
	} else if p, ok := strings.CutPrefix(r.URL.Path, "/zones/"); ok {
		e := strings.Split(p, "/")
		s.route(w, r, e[0], e[3:])
		return
	}
	problem(w, http.StatusNotFound, 7003, "No route for that URI")
}

func (s *Server) script(w http.ResponseWriter, r *http.Request, name string, rest []string) {
	sc := s.scripts[name]
	action := r.Method + " " + strings.Join(rest[:min(len(rest), 1)], "/")
	if sc == nil && action != "PUT " {
		problem(w, http.StatusNotFound, 10007, "workers.api.error.script_not_found")
		return
	}
	switch action {
	case "GET settings":
		bindings := []any{}
		reply(w, map[string]any{"tags": sc.tags, "bindings": bindings})
	case "PUT ", "POST versions":
		v, tags, err := s.version(r)
		if err != nil {
			problem(w, http.StatusBadRequest, 10021, err.Error())
			return
		}
		if action == "PUT " {
			if sc == nil {
				sc = &script{}
				s.scripts[name] = sc
			}
			sc.tags = tags
			sc.deployments = append([][]any{{map[string]any{"version_id": v["id"], "percentage": 100.0}}}, sc.deployments...)
		}
		sc.versions = append(sc.versions, v)
		reply(w, v)
	case "GET versions":
		for _, v := range sc.versions {
			if v["id"] == rest[1] {
				reply(w, v)
				return
			}
		}
		problem(w, http.StatusNotFound, 10007, "no such version")
	case "GET deployments":
		list := []any{}
		for _, d := range sc.deployments {
			list = append(list, map[string]any{"strategy": "percentage", "versions": d})
		}
		reply(w, map[string]any{"deployments": list})
	case "POST deployments":
		var body struct{ Versions []any }
		_ = json.NewDecoder(r.Body).Decode(&body)
		sc.deployments = append([][]any{body.Versions}, sc.deployments...)
		reply(w, map[string]any{"strategy": "percentage", "versions": body.Versions})
	case "DELETE ":
		delete(s.scripts, name)
		reply(w, nil)
	default:
		problem(w, http.StatusMethodNotAllowed, 10405, "Method not allowed")
	}
}

// version reads a form as Cloudflare does: a part of JSON names the other one.
func (s *Server) version(r *http.Request) (v map[string]any, tags []any, err error) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, nil, err
	}
	parts := map[string]string{}
	for form := multipart.NewReader(r.Body, params["boundary"]); ; {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, nil, err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, nil, err
		}
		parts[part.FormName()] = string(data)
	}
	var metadata map[string]any
	if err := json.Unmarshal([]byte(parts["metadata"]), &metadata); err != nil {
		return nil, nil, err
	}
	main, _ := metadata["main_module"].(string)
	text, ok := parts[main]
	if !ok {
		return nil, nil, fmt.Errorf("no such module: %q", main)
	}
	tags, _ = metadata["tags"].([]any)
	return map[string]any{"id": s.id(), "annotations": metadata["annotations"], "module": text,
		"resources": map[string]any{"bindings": metadata["bindings"]}}, tags, nil
}

func (s *Server) domain(w http.ResponseWriter, r *http.Request, rest []string) {
	switch r.Method {
	case http.MethodGet:
		list := []any{}
		for _, d := range s.domains {
			if d["hostname"] == r.URL.Query().Get("hostname") {
				list = append(list, d)
			}
		}
		reply(w, list)
	case http.MethodPut:
		var d map[string]string
		_ = json.NewDecoder(r.Body).Decode(&d)
		d["id"] = s.id()
		s.domains = append(slices.DeleteFunc(s.domains, func(o map[string]string) bool { return o["hostname"] == d["hostname"] }), d)
		reply(w, d)
	case http.MethodDelete:
		s.domains = slices.DeleteFunc(s.domains, func(o map[string]string) bool { return o["id"] == rest[0] })
		reply(w, nil)
	}
}

func (s *Server) route(w http.ResponseWriter, r *http.Request, zone string, rest []string) {
	body := map[string]string{}
	_ = json.NewDecoder(r.Body).Decode(&body)
	switch r.Method {
	case http.MethodGet:
		list := []any{}
		for _, o := range s.routes {
			if o["zone"] == zone {
				list = append(list, o)
			}
		}
		reply(w, list)
	case http.MethodPost:
		for _, o := range s.routes {
			if o["zone"] == zone && o["pattern"] == body["pattern"] {
				problem(w, http.StatusConflict, 10020, "A route with the same pattern already exists")
				return
			}
		}
		body["id"], body["zone"] = s.id(), zone
		s.routes = append(s.routes, body)
		reply(w, body)
	case http.MethodPut:
		for _, o := range s.routes {
			if o["id"] == rest[0] {
				o["script"] = body["script"]
			}
		}
		reply(w, body)
	case http.MethodDelete:
		s.routes = slices.DeleteFunc(s.routes, func(o map[string]string) bool { return o["id"] == rest[0] })
		reply(w, map[string]any{"id": rest[0]})
	}
}

func (s *Server) namespace(w http.ResponseWriter, r *http.Request, rest []string) {
	if len(rest) == 0 {
		if r.Method == http.MethodGet {
			list := []any{}
			for _, n := range s.namespaces {
				list = append(list, map[string]any{"id": n.id, "title": n.title})
			}
			reply(w, list)
			return
		}
		var body struct{ Title string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		for _, n := range s.namespaces {
			if n.title == body.Title {
				problem(w, http.StatusBadRequest, 10014, "a namespace with this account ID and title already exists")
				return
			}
		}
		n := &namespace{s.id(), body.Title, map[string]string{}}
		s.namespaces = append(s.namespaces, n)
		reply(w, map[string]any{"id": n.id, "title": n.title})
		return
	}
	i := slices.IndexFunc(s.namespaces, func(n *namespace) bool { return n.id == rest[0] })
	if i < 0 {
		problem(w, http.StatusNotFound, 10013, "namespace not found")
		return
	}
	if r.Method == http.MethodDelete {
		s.namespaces = slices.Delete(s.namespaces, i, i+1)
		reply(w, map[string]any{})
		return
	}
	var pairs []struct{ Key, Value string }
	_ = json.NewDecoder(r.Body).Decode(&pairs)
	for _, p := range pairs {
		s.namespaces[i].values[p.Key] = p.Value
	}
	reply(w, map[string]any{})
}
