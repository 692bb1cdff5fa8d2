package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
)

// machine is a Step Functions state machine.
type machine struct {
	d             *Deployment
	id, arn, name string
	role          string
	key           string // of its role, for the calls of its tasks
	definition    *asl.Machine

	mu         sync.Mutex
	executions []*asl.Execution
}

func (d *Deployment) makeMachines(context.Context) error {
	for id := range d.All("AWS::StepFunctions::StateMachine") {
		if err := d.makeMachine(id); err != nil {
			return fmt.Errorf("state machine %s: %w", id, err)
		}
	}
	return nil
}

func (d *Deployment) makeMachine(id string) error {
	var props struct {
		DefinitionString        string
		Definition              json.RawMessage
		DefinitionSubstitutions map[string]any
		RoleArn                 string
	}
	if err := d.properties(id, &props); err != nil {
		return err
	}
	name, err := d.name(id)
	if err != nil {
		return err
	}
	text := props.DefinitionString
	if text == "" {
		text = string(props.Definition)
	}
	for variable, value := range props.DefinitionSubstitutions {
		text = strings.ReplaceAll(text, "${"+variable+"}", fmt.Sprint(value))
	}
	m := &machine{d: d, id: id, name: name, arn: d.arn("states", "stateMachine:"+name), role: props.RoleArn, key: "AKSTATES" + strings.ToUpper(strings.ReplaceAll(d.newID(), "-", ""))}
	if m.definition, err = asl.Parse([]byte(text)); err != nil {
		return err
	}
	if err := d.iam.trusts(m.role, "states.amazonaws.com", m.arn); err != nil {
		return err
	}
	for state := range m.definition.All() {
		if state.Distributed {
			// Its items run as executions of the same machine.
			if err := d.iam.check(asRole(m.role), "states:StartExecution", m.arn, nil); err != nil {
				return err
			}
		}
	}
	d.credentials.Store(m.key, &credential{caller: asRole(m.role)})
	d.machines[m.arn] = m
	return nil
}

// clock is the time of an execution: it moves only while the execution waits,
// so that what a task really takes does not count against its time-out.
type clock struct {
	d   *Deployment
	mu  sync.Mutex
	now time.Time
}

// Now implements asl.Clock.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep implements asl.Clock.
func (c *clock) Sleep(_ context.Context, until time.Time) error {
	if pause := until.Sub(c.Now()); pause > 0 && !c.d.wait(pause) {
		return context.Canceled
	}
	c.mu.Lock()
	c.now = until
	c.mu.Unlock()
	return nil
}

func (m *machine) interpreter(at time.Time, name string) *asl.Interpreter {
	return &asl.Interpreter{
		Tasks: map[string]asl.Handler{
			"arn:aws:states:::lambda:invoke":          m.invoke,
			"arn:aws:states:::sqs:sendMessage":        m.task("sqs", "AmazonSQS.SendMessage"),
			"arn:aws:states:::events:putEvents":       m.task("events", "AWSEvents.PutEvents"),
			"arn:aws:states:::dynamodb:getItem":       m.task("dynamodb", "DynamoDB_20120810.GetItem"),
			"arn:aws:states:::dynamodb:putItem":       m.task("dynamodb", "DynamoDB_20120810.PutItem"),
			"arn:aws:states:::dynamodb:updateItem":    m.task("dynamodb", "DynamoDB_20120810.UpdateItem"),
			"arn:aws:states:::dynamodb:deleteItem":    m.task("dynamodb", "DynamoDB_20120810.DeleteItem"),
			"arn:aws:states:::aws-sdk:dynamodb:query": m.task("dynamodb", "DynamoDB_20120810.Query"),
			"arn:aws:states:::sns:publish":            m.publish,
		},
		Clock: &clock{d: m.d, now: at}, Concurrency: 4, Options: asl.StartOptions{Name: name, StateMachine: m.name},
	}
}

// invoke is the task arn:aws:states:::lambda:invoke.
func (m *machine) invoke(ctx context.Context, t *asl.PendingTask) (any, error) {
	arguments, _ := t.Arguments.(map[string]any)
	name, _ := arguments["FunctionName"].(string)
	if q, ok := arguments["Qualifier"].(string); ok {
		name += ":" + q
	}
	arn := m.d.iam.functionARN(name)
	if err := m.d.iam.check(asRole(m.role), "lambda:InvokeFunction", arn, nil); err != nil {
		return nil, &asl.Error{Name: "Lambda.AWSLambdaException", Cause: err.Error()}
	}
	f, _ := m.d.function(arn)
	if f == nil {
		return nil, &asl.Error{Name: "Lambda.ResourceNotFoundException", Cause: arn}
	}
	payload, err := json.Marshal(arguments["Payload"])
	if err != nil {
		return nil, err
	}
	answer, err := f.invoke(ctx, arn, payload)
	var failure *FunctionError
	switch {
	case errors.As(err, &failure):
		return nil, &asl.Error{Name: failure.Type, Cause: string(failure.Payload)}
	case errors.Is(err, errThrottled):
		return nil, &asl.Error{Name: "Lambda.TooManyRequestsException", Cause: err.Error()}
	case err != nil:
		return nil, err
	}
	var out any
	if err := json.Unmarshal(answer, &out); err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", f.id, err)
	}
	return map[string]any{"ExecutedVersion": "$LATEST", "Payload": out, "StatusCode": 200}, nil
}

// task returns the handler of an integration with a service that speaks JSON.
// It calls the proxy, which checks the machine's role.
func (m *machine) task(service, target string) asl.Handler {
	return func(ctx context.Context, t *asl.PendingTask) (any, error) {
		arguments, _ := t.Arguments.(map[string]any)
		// Step Functions makes text of what the API wants as text.
		for _, name := range []string{"MessageBody", "Detail"} {
			embed(arguments, name)
		}
		body, err := json.Marshal(arguments)
		if err != nil {
			return nil, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.d.proxy+"/", strings.NewReader(string(body)))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/x-amz-json-1.0")
		request.Header.Set("X-Amz-Target", target)
		request.Header.Set("Authorization", authorization(m.key, service, m.d.region))
		answer, err := send(request, target)
		var failed *ServiceError
		if errors.As(err, &failed) {
			return nil, &asl.Error{Name: strings.ToUpper(service[:1]) + service[1:] + "." + failed.Code, Cause: failed.Message}
		} else if err != nil {
			return nil, err
		}
		var out any
		if len(answer) > 0 {
			err = json.Unmarshal(answer, &out)
		}
		return out, err
	}
}

// embed replaces the objects under a name by their JSON text.
func embed(v any, name string) {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			if _, isText := e.(string); key == name && !isText {
				text, _ := json.Marshal(e)
				v[key] = string(text)
			} else {
				embed(e, name)
			}
		}
	case []any:
		for _, e := range v {
			embed(e, name)
		}
	}
}

func (m *machine) publish(ctx context.Context, t *asl.PendingTask) (any, error) {
	arguments, _ := t.Arguments.(map[string]any)
	embed(arguments, "Message")
	arn, _ := arguments["TopicArn"].(string)
	text, _ := arguments["Message"].(string)
	topic := m.d.topics[arn]
	if topic == nil {
		return nil, &asl.Error{Name: "SNS.NotFoundException", Cause: arn}
	}
	if err := topic.deliver(ctx, asRole(m.role), []delivery{{payload: []byte(text)}})[0]; err != nil {
		return nil, &asl.Error{Name: "SNS.AuthorizationErrorException", Cause: err.Error()}
	}
	return map[string]any{"MessageId": m.d.newID()}, nil
}

// execute runs an execution to its end.
func (m *machine) execute(name string, input any) (*asl.Execution, error) {
	defer m.d.begin("state machine " + m.id)()
	x, err := m.interpreter(time.Now(), name).Run(m.d.ctx, m.definition, input)
	if x != nil {
		m.mu.Lock()
		m.executions = append(m.executions, x)
		m.mu.Unlock()
	}
	return x, err
}

// begin starts an execution in the background.
func (m *machine) begin(input []byte) (string, error) {
	var decoded any
	if err := json.Unmarshal(input, &decoded); err != nil {
		return "", fmt.Errorf("InvalidExecutionInput: %w", err)
	}
	name := m.d.newID()
	end := m.d.begin("state machine " + m.id)
	m.d.spawn(func() {
		defer end()
		if _, err := m.execute(name, decoded); err != nil && m.d.ctx.Err() == nil {
			m.d.drop("state machine "+m.id, err, input)
		}
	})
	return name, nil
}

// deliver implements sink.
func (m *machine) deliver(_ context.Context, from caller, items []delivery) []error {
	errs := make([]error, len(items))
	for i, item := range items {
		if errs[i] = m.d.iam.check(from, "states:StartExecution", m.arn, nil); errs[i] == nil {
			_, errs[i] = m.begin(item.payload)
		}
	}
	return errs
}

func (d *Deployment) startExecution(c *call) (*answer, error) {
	var in struct{ StateMachineArn, Input string }
	if err := json.Unmarshal(c.body, &in); err != nil {
		return nil, err
	}
	m := d.machines[in.StateMachineArn]
	if m == nil {
		return nil, &ServiceError{c.operation, http.StatusBadRequest, "StateMachineDoesNotExist", in.StateMachineArn}
	}
	if in.Input == "" {
		in.Input = "{}"
	}
	name, err := m.begin([]byte(in.Input))
	if err != nil {
		return nil, err
	}
	return jsonAnswer(map[string]any{"executionArn": d.arn("states", "execution:"+m.name+":"+name), "startDate": time.Now().Unix()})
}

func (d *Deployment) machine(prefix string) (*machine, error) {
	id, err := d.Find("AWS::StepFunctions::StateMachine", prefix)
	if err != nil {
		return nil, err
	}
	for _, m := range d.machines {
		if m.id == id {
			return m, nil
		}
	}
	return nil, fmt.Errorf("state machine %s was not made", id)
}

// Execute runs a state machine to its end, as somebody who may. An execution
// that failed is no error: see its Status and Err.
func (d *Deployment) Execute(prefix string, input any) (*asl.Execution, error) {
	m, err := d.machine(prefix)
	if err != nil {
		return nil, err
	}
	return m.execute(d.newID(), input)
}

// Redrive carries on an execution that failed, where it failed.
func (d *Deployment) Redrive(prefix string, x *asl.Execution) error {
	m, err := d.machine(prefix)
	if err != nil {
		return err
	}
	defer d.begin("state machine " + m.id)()
	if err := x.Redrive(x.Now()); err != nil {
		return err
	}
	return m.interpreter(x.Now(), x.Name()).Continue(d.ctx, x)
}

// Executions returns the executions of a state machine that have ended.
func (d *Deployment) Executions(prefix string) ([]*asl.Execution, error) {
	m, err := d.machine(prefix)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*asl.Execution(nil), m.executions...), nil
}
