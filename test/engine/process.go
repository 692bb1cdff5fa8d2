package engine

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// startTime is how long an engine may take to answer.
const startTime = 60 * time.Second

// process is a running engine.
type process struct {
	cmd    *exec.Cmd
	output output
	done   chan struct{}
}

// serve starts an engine on a free port and waits until it answers at path.
func serve(path string, command func(port string) *exec.Cmd) (*process, Endpoint, error) {
	var failed []error
	// Another process can take the port between our look and the engine's.
	for range 3 {
		port, err := freePort()
		if err != nil {
			return nil, Endpoint{}, err
		}
		p, err := start(command(port))
		if err != nil {
			return nil, Endpoint{}, err
		}
		endpoint := Endpoint{URL: "http://127.0.0.1:" + port}
		err = p.answer(endpoint.URL + path)
		if err == nil {
			return p, endpoint, nil
		}
		p.stop()
		failed = append(failed, fmt.Errorf("%s: %w\n%s", p.cmd.Args[0], err, p.output.String()))
	}
	return nil, Endpoint{}, errors.Join(failed...)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		// Linux ties the death of the child to the thread that made it, not to the process.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(p.done)
		}
	}()
	return p, <-started
}

// answer waits for a response of any status.
func (p *process) answer(url string) error {
	client := http.Client{Timeout: time.Second}
	deadline := time.After(startTime)
	for {
		if response, err := client.Get(url); err == nil {
			response.Body.Close()
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("ended before it answered: %v", p.cmd.ProcessState)
		case <-deadline:
			return fmt.Errorf("no answer from %s within %s", url, startTime)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *process) stop() {
	p.cmd.Process.Kill()
	<-p.done
}

// output keeps the first part of what an engine prints, for the message of an
// engine that does not start.
type output struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := 8<<10 - o.bytes.Len(); room > 0 {
		o.bytes.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes.String()
}
