package openwhisktest

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The statuses of an activation.
const (
	success          = "success"
	applicationError = "application error"
	developerError   = "action developer error"
	internalError    = "whisk internal error"
)

// An account counts what one composition has invoked, with all compositions
// inside it.
type account struct{ components, conductors int }

// invoke runs an action and returns its activation, of the given ID.
func (s *Server) invoke(id, name string, params map[string]any, cause string, shared *account) map[string]any {
	s.mu.Lock()
	action := s.entities["actions"][name]
	s.mu.Unlock()
	execution := action["exec"].(map[string]any)
	switch {
	case execution["kind"] == "sequence":
		return s.sequence(id, name, execution["components"].([]any), params, cause)
	case truthy(action):
		if shared == nil {
			shared = &account{}
		}
		return s.composition(id, name, action, params, cause, shared)
	}
	return s.simple(id, name, action, params, cause)
}

func truthy(action map[string]any) bool {
	annotations, _ := action["annotations"].([]any)
	for _, a := range annotations {
		if pair, _ := a.(map[string]any); pair["key"] == "conductor" {
			v := pair["value"]
			return v != nil && v != false && v != 0.0 && v != ""
		}
	}
	return false
}

func (s *Server) sequence(id, name string, components []any, params map[string]any, cause string) map[string]any {
	start := time.Now()
	var logs []string
	var response map[string]any
	for _, c := range components {
		a := s.invoke(s.id(), local(c.(string)), params, id, nil)
		logs = append(logs, a["activationId"].(string))
		response = a["response"].(map[string]any)
		if response["success"] != true {
			break
		}
		params, _ = response["result"].(map[string]any)
	}
	return s.record(id, name, cause, start, response["status"].(string), response["result"], logs)
}

// composition alternates the conductor and the actions it names.
func (s *Server) composition(id, name string, conductor, params map[string]any, cause string, shared *account) map[string]any {
	start := time.Now()
	var logs []string
	var state map[string]any
	end := func(status string, result any) map[string]any {
		return s.record(id, name, cause, start, status, result, logs)
	}
	for {
		if shared.conductors > 2*s.maxActions() {
			return end(applicationError, map[string]any{"error": "Too many actions in the composition."})
		}
		shared.conductors++
		payload := map[string]any{}
		for _, members := range []map[string]any{params, state} {
			for key, v := range members {
				payload[key] = v
			}
		}
		activation := s.simple(s.id(), name, conductor, payload, id)
		logs = append(logs, activation["activationId"].(string))
		response := activation["response"].(map[string]any)
		result, _ := response["result"].(map[string]any)
		next := params
		if v, ok := result["params"]; ok {
			next = boxed(v, "value")
		} else {
			next = nil
		}
		state = nil
		if v, ok := result["state"]; ok {
			state = boxed(v, "state")
		}
		component, ok := result["action"]
		if !ok {
			if next == nil {
				return end(response["status"].(string), result)
			}
			return end(response["status"].(string), next)
		}
		full, isText := component.(string)
		s.mu.Lock()
		target := s.lookup(full)
		s.mu.Unlock()
		switch {
		case !isText:
			params = map[string]any{"error": fmt.Sprintf("Failed to parse action name from json value %v during composition.", component)}
			continue
		case shared.components >= s.maxActions():
			params = map[string]any{"error": "Too many actions in the composition."}
			continue
		case target == nil:
			params = map[string]any{"error": fmt.Sprintf("Failed to resolve action with name '%s' during composition.", full)}
			continue
		}
		if !truthy(target) {
			shared.components++
		}
		ran := s.invoke(s.id(), local(full), next, id, shared)
		logs = append(logs, ran["activationId"].(string))
		outcome := ran["response"].(map[string]any)
		if outcome["status"] == internalError {
			return end(internalError, outcome["result"])
		}
		params, _ = outcome["result"].(map[string]any)
	}
}

func boxed(v any, key string) map[string]any {
	if object, ok := v.(map[string]any); ok {
		return object
	}
	return map[string]any{key: v}
}

// simple runs an action's own code.
func (s *Server) simple(id, name string, action, params map[string]any, cause string) map[string]any {
	start := time.Now()
	limit := time.Duration(action["limits"].(map[string]any)["timeout"].(float64)) * time.Millisecond
	c, err := s.container(name, action)
	if err != nil {
		return s.record(id, name, cause, start, developerError, map[string]any{"error": err.Error()}, nil)
	}
	message, err := json.Marshal(map[string]any{
		"value":         merge(action["parameters"], params),
		"namespace":     Namespace,
		"action_name":   "/" + Namespace + "/" + name,
		"activation_id": id,
		"deadline":      fmt.Sprint(start.Add(limit).UnixMilli()),
	})
	if err != nil {
		return s.record(id, name, cause, start, internalError, map[string]any{"error": err.Error()}, nil)
	}
	if len(message) > 1024*1024 {
		return s.record(id, name, cause, start, internalError, map[string]any{"error": "Request larger than 1 MB."}, nil)
	}
	line, logs, err := c.run(message, limit)
	if err != nil {
		s.mu.Lock()
		delete(s.containers, key(name, action))
		s.mu.Unlock()
		return s.record(id, name, cause, start, developerError, map[string]any{"error": err.Error()}, logs)
	}
	var result map[string]any
	if err := json.Unmarshal(line, &result); err != nil {
		return s.record(id, name, cause, start, developerError, map[string]any{"error": "The action did not return a dictionary."}, logs)
	}
	status := success
	if _, failed := result["error"]; failed {
		status = applicationError
	}
	return s.record(id, name, cause, start, status, result, logs)
}

func key(name string, action map[string]any) string { return name + "@" + action["version"].(string) }

// container returns the warm container of an action, or a new one.
func (s *Server) container(name string, action map[string]any) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[key(name, action)]; c != nil {
		return c, nil
	}
	execution := action["exec"].(map[string]any)
	kind, _ := execution["kind"].(string)
	code, _ := execution["code"].(string)
	dir, err := os.MkdirTemp(s.dir, "action-")
	if err != nil {
		return nil, err
	}
	c, err := start(dir, kind, code)
	if err != nil {
		return nil, err
	}
	s.containers[key(name, action)] = c
	return c, nil
}

// A container is a process that answers activations one after the other, with
// the proxy of the Go runtime around it.
type container struct {
	mu     sync.Mutex
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	output *os.File // what the process prints, read as far as it was taken
}

// take returns the lines that the process has printed since the last time. A
// file has them all when the answer is there; a pipe might not.
func (c *container) take() []string {
	data, err := io.ReadAll(c.output)
	if text := strings.TrimSuffix(string(data), "\n"); err == nil && text != "" {
		return strings.Split(text, "\n")
	}
	return nil
}

func start(dir, kind, code string) (*container, error) {
	version, ok := strings.CutPrefix(kind, "go:")
	if !ok {
		return nil, fmt.Errorf("the double runs actions of kind go, not %q", kind)
	}
	data, err := base64.StdEncoding.DecodeString(code)
	if err != nil {
		return nil, fmt.Errorf("cannot decode the request: %w", err)
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("invalid action: %w", err)
	}
	// A process that is forked while the program is written holds it open for
	// writing for a moment, and it could not be started then
	// (https://go.dev/issue/22315).
	syscall.ForkLock.RLock()
	err = os.CopyFS(dir, archive)
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, err
	}
	environment, err := os.ReadFile(filepath.Join(dir, "exec.env"))
	if image := "openwhisk/action-golang-v" + version; err != nil || !strings.HasPrefix(string(environment), image) {
		return nil, fmt.Errorf("cannot start action: Expected exec.env should start with %s", image)
	}
	file := filepath.Join(dir, "exec")
	if err := os.Chmod(file, 0o755); err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	c := &container{cmd: exec.Command(file), out: bufio.NewReader(read)}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if c.output, err = os.Open(log.Name()); err != nil {
		return nil, err
	}
	c.cmd.Env = []string{"__OW_WAIT_FOR_ACK=1", "__OW_EXECUTION_ENV=openwhisk/action-golang-v" + version}
	c.cmd.ExtraFiles = []*os.File{write}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start action: %w", err)
	}
	write.Close()
	log.Close()
	var ack struct{ Ok bool }
	line, err := c.out.ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &ack) != nil || !ack.Ok {
		c.stop()
		return nil, fmt.Errorf("cannot start action: the action did not initialize properly: %s", strings.Join(c.take(), "\n"))
	}
	return c, nil
}

// run hands the process an activation and waits for the answer.
func (c *container) run(message []byte, limit time.Duration) ([]byte, []string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.in.Write(append(message, '\n')); err != nil {
		return nil, c.take(), fmt.Errorf("command exited")
	}
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := c.out.ReadBytes('\n')
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, c.take(), fmt.Errorf("command exited")
		}
		return a.line, c.take(), nil
	case <-time.After(limit):
		_ = c.cmd.Process.Kill()
		return nil, c.take(), fmt.Errorf("The action exceeded its time limits of %d milliseconds.", limit.Milliseconds())
	}
}

func (c *container) stop() {
	c.in.Close()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // killed
	c.output.Close()
}
