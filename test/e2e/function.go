package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverless-go/cdk/internal/asset"
)

// function is a Lambda function whose asset is a Go program.
type function struct {
	d                   *Deployment
	id, name, arn, role string
	program             string // "" when it is not driven
	environment         []string
	timeout             time.Duration
	throttled           bool // its reserved concurrency is 0
	deadLetters         string
	qualifiers          map[string]*invokeConfig
	slots               chan struct{}
	events              *backlog[*asyncEvent]

	mu      sync.Mutex
	idle    []*process
	running map[*process]bool
	logs    []string
}

// invokeConfig is how asynchronous invocations through a qualifier are handled.
type invokeConfig struct {
	retries              int
	onFailure, onSuccess string
}

// FunctionError is the error that a handler returned, or that ended its
// process.
type FunctionError struct {
	Function string
	Type     string `json:"errorType"`
	Message  string `json:"errorMessage"`
	Payload  []byte `json:"-"`

	claimed time.Time // until when a process that was killed may have claimed something
}

// Error returns the function's name with the error's type and message.
func (e *FunctionError) Error() string {
	return fmt.Sprintf("function %s: %s: %s", e.Function, e.Type, e.Message)
}

// errThrottled is answered while a function's reserved concurrency is 0.
var errThrottled = errors.New("TooManyRequestsException: the function's reserved concurrency is 0")

func (d *Deployment) makeFunctions(ctx context.Context) error {
	assets, err := readAssets(d.Template)
	if err != nil {
		return err
	}
	for id := range d.All("AWS::Lambda::Function") {
		if err := d.makeFunction(ctx, id, assets); err != nil {
			return fmt.Errorf("function %s: %w", id, err)
		}
	}
	for _, kind := range []string{"AWS::Lambda::Alias", "AWS::Lambda::Version"} {
		for id := range d.All(kind) {
			arn, err := d.attribute(id, "Arn")
			if err != nil {
				return err
			}
			at := strings.LastIndex(arn.(string), ":")
			if f := d.functions[arn.(string)[:at]]; f != nil {
				f.qualifiers[arn.(string)[at+1:]] = &invokeConfig{retries: 2}
			}
		}
	}
	for id := range d.All("AWS::Lambda::EventInvokeConfig") {
		var props struct {
			FunctionName, Qualifier string
			MaximumRetryAttempts    *int
			DestinationConfig       struct{ OnFailure, OnSuccess struct{ Destination string } }
		}
		if err := d.properties(id, &props); err != nil {
			return err
		}
		f, _ := d.function(d.iam.functionARN(props.FunctionName))
		if f == nil {
			return fmt.Errorf("%s: the function %s is not in the template", id, props.FunctionName)
		}
		config := &invokeConfig{2, props.DestinationConfig.OnFailure.Destination, props.DestinationConfig.OnSuccess.Destination}
		if n := props.MaximumRetryAttempts; n != nil {
			config.retries = *n
		}
		f.qualifiers[props.Qualifier] = config
	}
	return nil
}

func (d *Deployment) makeFunction(ctx context.Context, id string, assets map[string]string) error {
	var props struct {
		Code                         struct{ S3Key string }
		Runtime, Role                string
		Timeout, MemorySize          int
		ReservedConcurrentExecutions *int
		Environment                  struct{ Variables map[string]string }
		DeadLetterConfig             struct{ TargetArn string }
	}
	if err := d.properties(id, &props); err != nil {
		return err
	}
	name, err := d.name(id)
	if err != nil {
		return err
	}
	f := &function{
		d: d, id: id, name: name, arn: d.arn("lambda", "function:"+name), role: props.Role,
		timeout: 3 * time.Second, deadLetters: props.DeadLetterConfig.TargetArn,
		qualifiers: map[string]*invokeConfig{"$LATEST": {retries: 2}},
		events:     newBacklog[*asyncEvent](), running: map[*process]bool{},
	}
	if props.Timeout > 0 {
		f.timeout = time.Duration(props.Timeout) * time.Second
	}
	concurrency := d.options.Concurrency
	if n := props.ReservedConcurrentExecutions; n != nil {
		f.throttled = *n == 0
		concurrency = min(concurrency, max(*n, 1))
	}
	f.slots = make(chan struct{}, concurrency)
	d.functions[f.arn] = f

	dir, ok := assets[props.Code.S3Key]
	if !ok || !strings.HasPrefix(props.Runtime, "provided") {
		return nil // a custom resource's provider, or inline code
	}
	if err := d.iam.trusts(f.role, "lambda.amazonaws.com", f.arn); err != nil {
		return err
	}
	if f.program, err = d.hostProgram(ctx, filepath.Join(dir, "bootstrap")); err != nil {
		return err
	}
	for key, value := range props.Environment.Variables {
		f.environment = append(f.environment, key+"="+value)
	}
	f.environment = append(f.environment,
		"PATH="+os.Getenv("PATH"), "TZ=:UTC", "LANG=en_US.UTF-8", "LAMBDA_TASK_ROOT="+dir,
		"AWS_EXECUTION_ENV=AWS_Lambda_"+props.Runtime, "AWS_REGION="+d.region, "AWS_DEFAULT_REGION="+d.region,
		"AWS_LAMBDA_FUNCTION_NAME="+name, "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		fmt.Sprintf("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%d", max(props.MemorySize, 128)),
		"AWS_ENDPOINT_URL=http://"+d.proxy, "AWS_SECRET_ACCESS_KEY=none", "AWS_EC2_METADATA_DISABLED=true",
	)
	for range concurrency {
		d.spawn(f.serveEvents)
	}
	return nil
}

// readAssets returns the folder of each asset by its object key.
func readAssets(t *Template) (map[string]string, error) {
	document, err := os.ReadFile(filepath.Join(t.Dir, t.Name+".assets.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var manifest struct {
		Files map[string]struct {
			Source       struct{ Path string }
			Destinations map[string]struct{ ObjectKey string }
		}
	}
	if err := json.Unmarshal(document, &manifest); err != nil {
		return nil, fmt.Errorf("assets of %s: %w", t.Name, err)
	}
	assets := map[string]string{}
	for _, file := range manifest.Files {
		for _, destination := range file.Destinations {
			path := file.Source.Path
			if !filepath.IsAbs(path) {
				path = filepath.Join(t.Dir, path)
			}
			assets[destination.ObjectKey] = path
		}
	}
	return assets, nil
}

// hostProgram returns a program that runs here and does what the bootstrap
// does: itself, or the same package built again.
func (d *Deployment) hostProgram(ctx context.Context, bootstrap string) (string, error) {
	info, err := buildinfo.ReadFile(bootstrap)
	if err != nil {
		return "", fmt.Errorf("the asset is no Go program; synthesize with bundling: %w", err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["GOOS"] == runtime.GOOS && settings["GOARCH"] == runtime.GOARCH {
		return filepath.Abs(bootstrap)
	}
	dir, err := hostFolder(bootstrap)
	if err != nil {
		return "", err
	}
	building.Lock()
	defer building.Unlock()
	dir, err = asset.Folder(dir, func(tmp string) error { return d.options.Build(ctx, info.Path, filepath.Join(tmp, "bootstrap")) })
	if err != nil {
		return "", fmt.Errorf("build %s for this machine: %w", info.Path, err)
	}
	return filepath.Join(dir, "bootstrap"), nil
}

// building is held while a program is built: deployments of one template would
// all build the same.
var building sync.Mutex

// hostFolder returns where the program of an asset is built for this machine. It
// is in the user's cache and named by the asset's bytes, which the sources and
// the toolchain decide: a handler that has not changed is not built again.
func hostFolder(bootstrap string) (string, error) {
	file, err := os.Open(bootstrap)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return asset.Cached("host", runtime.GOOS+"-"+runtime.GOARCH+"-"+hex.EncodeToString(hash.Sum(nil)))
}

func goBuild(ctx context.Context, pkg, program string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-tags=lambda.norpc", "-o", program, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// function returns the function of an ARN and the qualifier the ARN ends in.
func (d *Deployment) function(arn string) (*function, string) {
	if f := d.functions[arn]; f != nil {
		return f, "$LATEST"
	}
	at := strings.LastIndex(arn, ":")
	if at < 0 {
		return nil, ""
	}
	if f := d.functions[arn[:at]]; f != nil && f.qualifiers[arn[at+1:]] != nil {
		return f, arn[at+1:]
	}
	return nil, ""
}

// invoke runs the function once and waits for its answer.
func (f *function) invoke(ctx context.Context, arn string, payload []byte) ([]byte, error) {
	if f.program == "" {
		return nil, fmt.Errorf("function %s is not driven: its asset is no Go program", f.id)
	}
	if f.throttled {
		f.d.metrics.add("AWS/Lambda", "Throttles", 1, "FunctionName", f.name)
		return nil, fmt.Errorf("function %s: %w", f.id, errThrottled)
	}
	end := f.d.begin("function " + f.id)
	defer end()
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	start := time.Now()
	answer, err := f.run(ctx, arn, payload)
	f.d.metrics.add("AWS/Lambda", "Invocations", 1, "FunctionName", f.name)
	f.d.metrics.add("AWS/Lambda", "Duration", float64(time.Since(start).Milliseconds()), "FunctionName", f.name)
	failed := 0.0
	if err != nil {
		failed = 1
	}
	f.d.metrics.add("AWS/Lambda", "Errors", failed, "FunctionName", f.name)
	return answer, err
}

func (f *function) run(ctx context.Context, arn string, payload []byte) ([]byte, error) {
	f.mu.Lock()
	var p *process
	if n := len(f.idle); n > 0 {
		p, f.idle = f.idle[n-1], f.idle[:n-1]
	}
	f.mu.Unlock()
	if p == nil {
		var err error
		if p, err = f.start(); err != nil {
			return nil, err
		}
	}
	answer, err := p.invoke(ctx, arn, payload)
	f.mu.Lock()
	if !p.ended {
		f.idle = append(f.idle, p)
	}
	f.mu.Unlock()
	return answer, err
}

// limit is how long an invocation may take here.
func (f *function) limit() time.Duration {
	return time.Duration(float64(f.timeout) * f.d.options.Patience)
}

// start starts another process of the function.
func (f *function) start() (*process, error) {
	p := &process{f: f, key: "AK" + strings.ToUpper(strings.ReplaceAll(f.d.newID(), "-", "")), next: make(chan *invocation), exited: make(chan struct{})}
	p.cmd = exec.Command(f.program)
	p.cmd.Env = append(slices.Clone(f.environment), "AWS_ACCESS_KEY_ID="+p.key, "AWS_LAMBDA_RUNTIME_API="+f.d.proxy+"/runtime/"+p.key,
		"AWS_LAMBDA_LOG_STREAM_NAME="+p.key, "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/"+f.name)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr = p.cmd.Stdout
	f.d.credentials.Store(p.key, &credential{caller: asRole(f.role), process: p})
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("function %s: %w", f.id, err)
	}
	f.mu.Lock()
	f.running[p] = true
	f.mu.Unlock()
	f.d.spawn(func() {
		f.readLogs(out)
		p.cmd.Wait()
		f.mu.Lock()
		p.ended = true
		delete(f.running, p)
		f.idle = slices.DeleteFunc(f.idle, func(other *process) bool { return other == p })
		f.mu.Unlock()
		f.d.credentials.Delete(p.key)
		close(p.exited)
	})
	return p, nil
}

// maxLogs is how many lines of a function's log are kept.
const maxLogs = 2000

func (f *function) readLogs(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		line := lines.Text()
		f.d.metrics.embedded(line)
		f.mu.Lock()
		if len(f.logs) == maxLogs {
			f.logs = f.logs[maxLogs/2:]
		}
		f.logs = append(f.logs, line)
		f.mu.Unlock()
	}
	io.Copy(io.Discard, r)
}

func (f *function) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.running {
		p.cmd.Process.Kill()
	}
}

// asyncEvent is an asynchronous invocation.
type asyncEvent struct {
	arn, qualifier, id string
	payload            []byte
	attempts           int
	end                func()
}

// asyncInvoker is a function as the sink of asynchronous invocations.
type asyncInvoker struct {
	f              *function
	arn, qualifier string
}

func (a *asyncInvoker) deliver(_ context.Context, from caller, items []delivery) []error {
	errs := make([]error, len(items))
	for i, item := range items {
		if errs[i] = a.f.d.iam.check(from, "lambda:InvokeFunction", a.arn, nil); errs[i] == nil {
			a.f.events.put(&asyncEvent{
				arn: a.arn, qualifier: a.qualifier, id: a.f.d.newID(), payload: item.payload, end: a.f.d.begin("asynchronous invocation of " + a.f.id),
			})
		}
	}
	return errs
}

func (f *function) serveEvents() {
	for {
		batch := f.events.take(f.d.ctx, 1)
		if len(batch) == 0 {
			return
		}
		e := batch[0]
		answer, err := f.invoke(f.d.ctx, e.arn, e.payload)
		e.attempts++
		config := f.qualifiers[e.qualifier]
		switch {
		case f.d.ctx.Err() != nil:
			return
		case err == nil:
			f.finish(e, config.onSuccess, answer, nil)
		case e.attempts <= config.retries || errors.Is(err, errThrottled) && e.attempts < 10:
			// A minute, then two: what Lambda waits after a function's error.
			pause := f.retryPause(err, time.Duration(e.attempts)*time.Minute)
			f.d.spawn(func() {
				if f.d.sleep(pause) {
					f.events.put(e)
				}
			})
		default:
			f.finish(e, config.onFailure, answer, err)
		}
	}
}

// retryPause returns how long one of the template's waiting times takes after an
// invocation failed. Where it is longer than an invocation, what a killed process
// had claimed until its deadline is free when it ends.
func (f *function) retryPause(err error, wait time.Duration) time.Duration {
	pause := f.d.scaled(wait)
	if failure := (*FunctionError)(nil); errors.As(err, &failure) && wait >= f.timeout {
		pause = max(pause, time.Until(failure.claimed))
	}
	return pause
}

// finish sends the record of an asynchronous invocation where the template
// wants it.
func (f *function) finish(e *asyncEvent, destination string, answer []byte, err error) {
	defer e.end()
	by := "function " + f.id
	if destination != "" {
		condition, functionError := "Success", ""
		if err != nil {
			condition, functionError = "RetriesExhausted", "Unhandled"
		}
		var failure *FunctionError
		if errors.As(err, &failure) {
			answer = failure.Payload
		}
		if !json.Valid(answer) {
			answer = []byte("null")
		}
		record, _ := json.Marshal(map[string]any{
			"version": "1.0", "timestamp": time.Now().UTC().Format(time.RFC3339Nano),
			"requestContext":  map[string]any{"requestId": e.id, "functionArn": e.arn, "condition": condition, "approximateInvokeCount": e.attempts},
			"requestPayload":  json.RawMessage(e.payload),
			"responseContext": map[string]any{"statusCode": 200, "executedVersion": "$LATEST", "functionError": functionError},
			"responsePayload": json.RawMessage(answer),
		})
		f.d.deadLetter(by, destination, asRole(f.role), delivery{payload: record}, err)
	}
	if err == nil || f.deadLetters == "" && destination != "" {
		return
	}
	f.d.deadLetter(by, f.deadLetters, asRole(f.role), delivery{
		payload: e.payload, attributes: map[string]string{"RequestID": e.id, "ErrorCode": "200", "ErrorMessage": err.Error()},
	}, err)
}

// Invoke runs a function once, as somebody with every permission. The prefix is
// that of its logical id.
func (d *Deployment) Invoke(ctx context.Context, prefix string, payload []byte) ([]byte, error) {
	f, err := d.functionNamed(prefix)
	if err != nil {
		return nil, err
	}
	return f.invoke(ctx, f.arn, payload)
}

// Restart ends the function's idle processes, as Lambda ends those it has no use
// for: the next invocation gets a new one, which remembers nothing. It returns
// when all that they wrote is in Logs, and counted if it is a metric.
func (d *Deployment) Restart(prefix string) error {
	f, err := d.functionNamed(prefix)
	if err != nil {
		return err
	}
	f.mu.Lock()
	idle := f.idle
	f.idle = nil
	f.mu.Unlock()
	for _, p := range idle {
		p.cmd.Process.Kill()
		<-p.exited
	}
	return nil
}

// Logs returns the last lines that a function's processes wrote.
func (d *Deployment) Logs(prefix string) ([]string, error) {
	f, err := d.functionNamed(prefix)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.logs), nil
}

func (d *Deployment) functionNamed(prefix string) (*function, error) {
	id, err := d.Find("AWS::Lambda::Function", prefix)
	if err != nil {
		return nil, err
	}
	name, err := d.name(id)
	if err != nil {
		return nil, err
	}
	return d.functions[d.arn("lambda", "function:"+name)], nil
}
