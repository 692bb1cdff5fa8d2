// Package openwhisktest is a double of OpenWhisk's controller and Go runtime for
// tests: an HTTP server with the REST API, which runs the actions that are
// deployed to it, as processes of this machine. It knows sequences, conductor
// actions, triggers and rules, keeps activations, and holds to OpenWhisk's
// limits.
//
// Sources of what it does:
// https://github.com/apache/openwhisk/blob/master/docs/conductors.md,
// core/controller/src/main/scala/org/apache/openwhisk/core/controller/actions/
// in the same repository, and openwhisk/executor.go in
// https://github.com/apache/openwhisk-runtime-go.
package openwhisktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Namespace is the one namespace that a Server has, and Auth its key.
const (
	Namespace = "guest"
	Auth      = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
)

// A Server is the double. Its fields must be set before the first request.
type Server struct {
	// URL is the API host.
	URL string
	// Fault answers a request with the status it returns, unless that is 0.
	Fault func(*http.Request) int
	// MaxActions is the most actions of a sequence or composition; default 50.
	MaxActions int

	dir         string // of the containers
	http        *httptest.Server
	mu          sync.Mutex
	entities    map[string]map[string]map[string]any // collection, name, entity
	containers  map[string]*container                // by action and version
	activations []map[string]any
	next        int
	running     sync.WaitGroup
}

// New starts a server that ends with the test, with all actions.
func New(t testing.TB) *Server {
	s := &Server{
		dir:        t.TempDir(), // made first, to be deleted last
		entities:   map[string]map[string]map[string]any{"packages": {}, "actions": {}, "triggers": {}, "rules": {}},
		containers: map[string]*container{},
	}
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	t.Cleanup(s.close)
	return s
}

func (s *Server) close() {
	s.http.Close()
	s.running.Wait()
	for _, c := range s.containers {
		c.stop()
	}
}

// Entities returns the names of what a collection has: "packages", "actions" of
// packages as "package/action", "triggers" or "rules".
func (s *Server) Entities(collection string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := []string{}
	for name := range s.entities[collection] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Entity returns one entity as OpenWhisk answers it, nil if there is none.
func (s *Server) Entity(collection, name string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entities[collection][name]
}

// Activations returns the records of all activations, in the order in which
// they ended.
func (s *Server) Activations() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.activations)
}

// Wait waits until all actions that triggers started have ended.
func (s *Server) Wait() { s.running.Wait() }

type failure struct {
	status  int
	message string
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Fault != nil {
		if status := s.Fault(r); status != 0 {
			reply(w, status, map[string]any{"error": "injected fault", "code": "tid"})
			return
		}
	}
	user, password, _ := r.BasicAuth()
	if user+":"+password != Auth {
		reply(w, http.StatusUnauthorized, map[string]any{"error": "The supplied authentication is invalid", "code": "tid"})
		return
	}
	var body map[string]any
	if r.ContentLength != 0 {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			reply(w, http.StatusBadRequest, map[string]any{"error": "The request content was malformed: " + err.Error(), "code": "tid"})
			return
		}
	}
	status, answer, fail := s.route(r, body)
	if fail != nil {
		reply(w, fail.status, map[string]any{"error": fail.message, "code": "tid"})
		return
	}
	reply(w, status, answer)
}

func reply(w http.ResponseWriter, status int, answer any) {
	if answer == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client may have gone
}

func (s *Server) route(r *http.Request, body map[string]any) (int, any, *failure) {
	path, ok := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces")
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch {
	case ok && path == "":
		return 200, []string{Namespace}, nil
	case !ok || len(parts) < 2 || parts[0] != "_" && parts[0] != Namespace:
		return 0, nil, &failure{404, "The requested resource does not exist."}
	}
	collection, name := parts[1], strings.Join(parts[2:], "/")
	if collection == "activations" {
		return s.activation(parts[2:])
	}
	if _, ok := s.entities[collection]; !ok {
		return 0, nil, &failure{404, "The requested resource does not exist."}
	}
	query := r.URL.Query()
	if r.Method == http.MethodPost {
		return s.post(collection, name, query.Get("blocking") == "true", body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entity, exists := s.entities[collection][name]
	switch {
	case r.Method == http.MethodGet && name == "":
		return 200, s.list(collection, query.Get("limit"), query.Get("skip")), nil
	case r.Method == http.MethodPut:
		if exists && query.Get("overwrite") != "true" {
			return 0, nil, &failure{409, "resource already exists"}
		}
		return s.put(collection, name, body, entity)
	case !exists:
		return 0, nil, &failure{404, "The requested resource does not exist."}
	case r.Method == http.MethodGet:
		return 200, s.view(collection, name, entity, query.Get("code") == "true"), nil
	case r.Method == http.MethodDelete:
		if collection == "packages" && len(s.members(name)) > 0 {
			return 0, nil, &failure{409, "Package not empty."}
		}
		delete(s.entities[collection], name)
		return 200, s.view(collection, name, entity, false), nil
	}
	return 0, nil, &failure{405, "HTTP method not allowed"}
}

// members are the actions of a package.
func (s *Server) members(pkg string) []any {
	members := []any{}
	for name, a := range s.entities["actions"] {
		if action, ok := strings.CutPrefix(name, pkg+"/"); ok {
			members = append(members, map[string]any{"name": action, "version": a["version"], "annotations": a["annotations"]})
		}
	}
	slices.SortFunc(members, func(a, b any) int {
		return strings.Compare(a.(map[string]any)["name"].(string), b.(map[string]any)["name"].(string))
	})
	return members
}

func (s *Server) list(collection, limit, skip string) []any {
	names := []string{}
	for name := range s.entities[collection] {
		names = append(names, name)
	}
	slices.Sort(names)
	from, _ := strconv.Atoi(skip)
	most, err := strconv.Atoi(limit)
	if err != nil {
		most = 30
	}
	all := []any{}
	for _, name := range names[min(from, len(names)):min(from+most, len(names))] {
		entity := s.view(collection, name, s.entities[collection][name], false)
		delete(entity, "status")
		delete(entity, "parameters")
		all = append(all, entity)
	}
	return all
}

// view returns an entity as it is answered.
func (s *Server) view(collection, name string, entity map[string]any, code bool) map[string]any {
	answer := map[string]any{}
	for key, v := range entity {
		answer[key] = v
	}
	switch collection {
	case "packages":
		answer["actions"] = s.members(name)
		answer["feeds"] = []any{}
	case "actions":
		exec := map[string]any{}
		for key, v := range entity["exec"].(map[string]any) {
			if key != "code" || code {
				exec[key] = v
			}
		}
		answer["exec"] = exec
	}
	return answer
}

func (s *Server) put(collection, name string, body, old map[string]any) (int, any, *failure) {
	if body == nil {
		body = map[string]any{}
	}
	s.next++
	namespace, short := Namespace, name
	entity := map[string]any{"publish": false, "updated": s.next, "version": fmt.Sprintf("0.0.%d", s.next)}
	for _, key := range []string{"annotations", "parameters"} {
		entity[key] = []any{}
		if old != nil {
			entity[key] = old[key]
		}
		if v, ok := body[key]; ok {
			entity[key] = v
		}
	}
	switch collection {
	case "actions":
		pkg, action, packaged := strings.Cut(name, "/")
		if packaged {
			namespace, short = Namespace+"/"+pkg, action
			if _, ok := s.entities["packages"][pkg]; !ok {
				return 0, nil, &failure{404, "The requested resource does not exist."}
			}
		}
		exec, _ := body["exec"].(map[string]any)
		if exec == nil {
			return 0, nil, &failure{400, "exec undefined"}
		}
		if exec["kind"] == "sequence" {
			components, _ := exec["components"].([]any)
			if len(components) == 0 || len(components) > s.maxActions() {
				return 0, nil, &failure{400, "Too many actions in the sequence."}
			}
			for _, c := range components {
				if s.lookup(c.(string)) == nil {
					return 0, nil, &failure{404, "Sequence component does not exist."}
				}
			}
		}
		limits := map[string]any{"timeout": 60000.0, "memory": 256.0, "logs": 10.0, "concurrency": 1.0}
		if old != nil { // an update keeps what it does not name
			for key, v := range old["limits"].(map[string]any) {
				limits[key] = v
			}
		}
		given, _ := body["limits"].(map[string]any)
		for key, v := range given {
			limits[key] = v
		}
		if t := limits["timeout"].(float64); t < 100 || t > 300000 {
			return 0, nil, &failure{400, "timeout out of range"}
		}
		entity["exec"], entity["limits"] = exec, limits
	case "rules":
		trigger, _ := body["trigger"].(string)
		action, _ := body["action"].(string)
		if s.entities["triggers"][local(trigger)] == nil || s.lookup(action) == nil {
			return 0, nil, &failure{404, "The requested resource does not exist."}
		}
		entity["trigger"] = pathName(trigger)
		entity["action"] = pathName(action)
		entity["status"] = "active"
		if old != nil {
			entity["status"] = "inactive"
		}
	}
	entity["namespace"], entity["name"] = namespace, short
	s.entities[collection][name] = entity
	return 200, s.view(collection, name, entity, false), nil
}

// local returns the name within the namespace: "/_/package/action" is
// "package/action".
func local(full string) string {
	for _, prefix := range []string{"/_/", "/" + Namespace + "/"} {
		if name, ok := strings.CutPrefix(full, prefix); ok {
			return name
		}
	}
	return strings.TrimPrefix(full, "/")
}

func pathName(full string) map[string]any {
	name := local(full)
	path := Namespace
	if pkg, action, ok := strings.Cut(name, "/"); ok {
		path, name = Namespace+"/"+pkg, action
	}
	return map[string]any{"path": path, "name": name}
}

func (s *Server) lookup(full string) map[string]any { return s.entities["actions"][local(full)] }

func (s *Server) maxActions() int {
	if s.MaxActions == 0 {
		return 50
	}
	return s.MaxActions
}

func (s *Server) post(collection, name string, blocking bool, body map[string]any) (int, any, *failure) {
	s.mu.Lock()
	entity := s.entities[collection][name]
	s.mu.Unlock()
	if entity == nil {
		return 0, nil, &failure{404, "The requested resource does not exist."}
	}
	switch collection {
	case "actions":
		if blocking {
			record := s.invoke(s.id(), name, body, "", nil)
			if record["response"].(map[string]any)["success"] != true {
				return 502, record, nil
			}
			return 200, record, nil
		}
		id := s.id()
		s.running.Go(func() { s.invoke(id, name, body, "", nil) })
		return 202, map[string]any{"activationId": id}, nil
	case "rules":
		s.mu.Lock()
		defer s.mu.Unlock()
		entity["status"] = body["status"]
		return 200, nil, nil
	case "triggers":
		return s.fire(entity, body)
	}
	return 0, nil, &failure{405, "HTTP method not allowed"}
}

// fire invokes the actions of the trigger's active rules.
func (s *Server) fire(trigger, event map[string]any) (int, any, *failure) {
	params := merge(trigger["parameters"], event)
	s.mu.Lock()
	defer s.mu.Unlock()
	started := false
	for _, rule := range s.entities["rules"] {
		if rule["status"] != "active" || rule["trigger"].(map[string]any)["name"] != trigger["name"] {
			continue
		}
		action := rule["action"].(map[string]any)
		name := local("/" + action["path"].(string) + "/" + action["name"].(string))
		s.running.Go(func() { s.invoke(s.id(), name, params, "", nil) })
		started = true
	}
	if !started {
		return 204, nil, nil
	}
	s.next++
	return 202, map[string]any{"activationId": fmt.Sprintf("%032x", s.next)}, nil
}

// merge returns the bound parameters with the given ones over them.
func merge(bound any, given map[string]any) map[string]any {
	params := map[string]any{}
	pairs, _ := bound.([]any)
	for _, p := range pairs {
		pair, _ := p.(map[string]any)
		params[pair["key"].(string)] = pair["value"]
	}
	for key, v := range given {
		params[key] = v
	}
	return params
}

func (s *Server) activation(parts []string) (int, any, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(parts) == 0 {
		return 200, s.activations, nil
	}
	for _, a := range s.activations {
		if a["activationId"] == parts[0] {
			if len(parts) == 1 {
				return 200, a, nil
			}
			switch parts[1] {
			case "result":
				return 200, a["response"], nil
			case "logs":
				return 200, map[string]any{"logs": a["logs"]}, nil
			}
		}
	}
	return 0, nil, &failure{404, "The requested resource does not exist."}
}

func (s *Server) id() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return fmt.Sprintf("%032x", s.next)
}

// record keeps an activation and returns its record.
func (s *Server) record(id, name, cause string, start time.Time, status string, result any, logs []string) map[string]any {
	if logs == nil {
		logs = []string{}
	}
	end := time.Now()
	a := map[string]any{
		"activationId": id, "namespace": Namespace, "name": name[strings.LastIndex(name, "/")+1:], "version": "0.0.1",
		"publish": false, "subject": Namespace, "start": start.UnixMilli(), "end": end.UnixMilli(),
		"duration": end.Sub(start).Milliseconds(), "logs": logs, "annotations": []any{},
		"response": map[string]any{"status": status, "success": status == success, "result": result},
	}
	if cause != "" {
		a["cause"] = cause
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.activations = append(s.activations, a)
	return a
}
