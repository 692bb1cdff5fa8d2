package orchestration

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/statemachine"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/props"
)

// WorkflowProps says what a workflow does and how it is run. Exactly one of
// Definition, File and Chain is set.
type WorkflowProps struct {
	// Definition is the workflow in the Amazon States Language, as Go values:
	// maps, slices, texts, numbers, booleans and nil. A text, or a pointer to one,
	// may be a token, such as a function's ARN. Without QueryLanguage it is in
	// JSONata.
	//
	// Default: none; set exactly one of Definition, File and Chain.
	Definition map[string]any
	// File is the path of the workflow in the Amazon States Language, in JSON, as
	// Workflow Studio opens and saves it. "${Name}" in any of its texts is
	// replaced by the substitution of this name; a text that is nothing else
	// becomes the value itself, which may be a number, a boolean or an array.
	// Without QueryLanguage it is in JSONPath, as the language has it.
	//
	// Default: none; set exactly one of Definition, File and Chain.
	File string
	// Substitutions are the values of the placeholders in File. Each must be
	// used, and none may be missing.
	//
	// Default: none.
	Substitutions map[string]Substitution
	// Chain is the workflow made of the CDK's states. Statements that the states
	// need are added to the role. It is in JSONata unless QueryLanguage says
	// otherwise.
	//
	// Default: none; set exactly one of Definition, File and Chain.
	Chain awsstepfunctions.IChainable
	// QueryLanguage is that of Definition or Chain, where they name none.
	//
	// Default: JSONATA.
	QueryLanguage awsstepfunctions.QueryLanguage

	// Express makes an Express workflow: up to five minutes, at least once,
	// without a history but its log. It cannot wait for jobs or task tokens
	// and has no Distributed Map.
	//
	// Default: a Standard workflow: up to a year, exactly once.
	Express bool
	// Timeout ends an execution that takes longer, unless the definition has
	// TimeoutSeconds. An execution that waits for an answer that was lost
	// would otherwise wait for a year.
	//
	// Default: 30 days; 5 minutes for an Express workflow.
	Timeout time.Duration
	// Allow is what the states may do.
	//
	// Default: what the states of Chain need, and the children of Distributed
	// Maps.
	Allow []awsiam.PolicyStatement
	allow []defaults.Statement // the same, of constructs in this package

	// Alias publishes a version at each deployment that changes the workflow
	// and points an alias of this name at it, as Deployment says. Callers are
	// then granted the alias only. Versions are kept.
	//
	// Default: no versions; callers start the latest definition.
	Alias string
	// Deployment is how the alias moves to a new version.
	//
	// Default: at once, and back if an alarm goes off.
	Deployment Deployment

	// EncryptionKey encrypts the definition, the executions' data and the log
	// group. Its policy is extended if it is a key of this app.
	//
	// Default: keys that AWS owns.
	EncryptionKey awskms.IKey
	// LogGroup takes the logs.
	//
	// Default: a new one below /aws/vendedlogs/states/, destroyed with the
	// stack.
	LogGroup awslogs.ILogGroup
	// LogRetention is how long a new log group keeps them.
	//
	// Default: three months.
	LogRetention awslogs.RetentionDays
	// LogData logs the states' input and output, too. It may be personal.
	//
	// Default: names, times and errors only.
	LogData bool
	// WithoutTracing sends no traces to X-Ray.
	//
	// Default: traces are sent.
	WithoutTracing bool
	// Alarms tunes the alarms.
	//
	// Default: all are made and notify nobody.
	Alarms WorkflowAlarms
}

// Deployment is how an alias moves from one version to the next. In between
// both are in use; each execution stays with the version it started with. If an
// alarm goes off meanwhile, the alias moves back and the deployment fails.
type Deployment struct {
	// Percentage of the executions starts with the new version at first, 1 to
	// 99.
	//
	// Default: all at once.
	Percentage int
	// Linear moves the same percentage again after each interval.
	//
	// Default: all the rest is moved after the first.
	Linear bool
	// Interval is the time between two moves, whole minutes up to 35 hours.
	//
	// Default: 10 minutes.
	Interval time.Duration
	// RollbackAlarms move the alias back, beside the workflow's own.
	//
	// Default: the workflow's alarms Failed, Throttled and TimedOut.
	RollbackAlarms []awscloudwatch.IAlarm
}

func (d Deployment) check(c *props.Check) {
	props.Between(c, "Percentage", d.Percentage, 1, 99)
	props.Between(c, "Interval", d.Interval, time.Minute, 35*time.Hour)
	c.Require(d.Interval%time.Minute == 0, "Interval", d.Interval, "whole minutes", "")
	c.Require(d.Percentage != 0 || !d.Linear && d.Interval == 0, "Percentage", d.Percentage,
		"1 to 99 with Linear or Interval", "say how much moves at a time")
}

// WorkflowAlarms tunes a workflow's alarms. The zero value makes all of them
// and notifies nobody.
type WorkflowAlarms struct {
	// Off makes none of them.
	//
	// Default: all are made.
	Off bool
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// Failed counts executions that failed.
	//
	// Default: one in a minute.
	Failed alarm.Tuning
	// Throttled counts state transitions and retries that were throttled.
	// Express workflows have no such metric.
	//
	// Default: one in a minute.
	Throttled alarm.Tuning
	// TimedOut counts executions that took longer than the time-out.
	//
	// Default: one in a minute.
	TimedOut alarm.Tuning
	// Aborted counts executions that somebody stopped. Express workflows have
	// no such metric.
	//
	// Default: one in a minute.
	Aborted alarm.Tuning
}

func (a WorkflowAlarms) check(c *props.Check) {
	c.Nested("Failed", a.Failed.Check)
	c.Nested("Throttled", a.Throttled.Check)
	c.Nested("TimedOut", a.TimedOut.Check)
	c.Nested("Aborted", a.Aborted.Check)
}

// Workflow is a Step Functions state machine with its role, logs, traces,
// alarms and, if asked for, versions. It can be granted permissions like any
// principal: a grant to the workflow is one to its states.
//
// A Standard workflow costs 25 USD for a million state transitions, an Express
// one 1 USD for a million executions and for their time and memory
// (us-east-1, https://aws.amazon.com/step-functions/pricing/).
type Workflow struct {
	constructs.Construct
	machine  awsstepfunctions.CfnStateMachine
	imported awsstepfunctions.IStateMachine
	version  awsstepfunctions.CfnStateMachineVersion
	alias    awsstepfunctions.CfnStateMachineAlias
	name     string // of the alias
	role     awsiam.Role
	logs     awslogs.ILogGroup
	alarms   []awscloudwatch.CfnAlarm
	express  bool
}

// NewWorkflow makes a workflow. It panics with a *[props.Error] when the props
// are wrong, and names the state and field where the definition is.
func NewWorkflow(scope constructs.Construct, id string, p *WorkflowProps) *Workflow {
	if p == nil {
		p = &WorkflowProps{}
	}
	var c props.Check
	d, chained := p.check(&c, scope)
	c.Panic(scope, id)
	w := &Workflow{logs: p.LogGroup, express: p.Express, name: p.Alias}
	construct.Init(w, scope, id)
	if w.logs == nil {
		w.logs = statemachine.LogGroup(w, "Logs", p.LogRetention, p.EncryptionKey)
	}
	w.addRole(p, chained)
	w.addMachine(p, d)
	if labels := slices.Compact(d.maps()); len(labels) > 0 {
		statemachine.AllowMaps(w, "MapPolicy", w.role, w.machine, labels...)
	}
	if p.EncryptionKey != nil {
		w.allowKey(p.EncryptionKey)
	}
	watched := w.addAlarms(p.Alarms)
	if p.Alias != "" {
		w.addAlias(p.Deployment, watched)
	}
	return w
}

var aliasName = regexp.MustCompile(`^[A-Za-z0-9_.-]*[A-Za-z_.-][A-Za-z0-9_.-]*$`)

// check returns the definition and what its states need.
func (p *WorkflowProps) check(c *props.Check, scope constructs.Construct) (*definition, []awsiam.PolicyStatement) {
	longest, fallback := 365*24*time.Hour, 30*24*time.Hour
	if p.Express {
		longest, fallback = 5*time.Minute, 5*time.Minute
	}
	props.Between(c, "Timeout", p.Timeout, time.Second, longest)
	c.Require(p.Timeout%time.Second == 0, "Timeout", p.Timeout, "whole seconds", "")
	c.Require(p.Alias == "" || len(p.Alias) <= 80 && aliasName.MatchString(p.Alias), "Alias", p.Alias,
		"up to 80 letters, digits, \".\", \"-\" and \"_\", not all digits", "")
	c.Require(p.Alias != "" || p.Deployment.isZero(), "Deployment", props.Words("set without Alias"), "none", "name an Alias, which it moves")
	c.Require(p.File != "" || len(p.Substitutions) == 0, "Substitutions", props.Words("set without File"), "none", "Go code needs no placeholders")
	c.Require(p.File == "" || p.QueryLanguage == "", "QueryLanguage", string(p.QueryLanguage), "none with File", "set it in the file")
	c.Require(p.LogGroup == nil || p.LogRetention == "", "LogRetention", string(p.LogRetention), "none with LogGroup", "set the retention on the group itself")
	c.Nested("Deployment", p.Deployment.check)
	c.Nested("Alarms", p.Alarms.check)

	given := 0
	for _, set := range []bool{p.Definition != nil, p.File != "", p.Chain != nil} {
		if set {
			given++
		}
	}
	if given != 1 {
		c.Wrong("Definition, File and Chain", props.Words(fmt.Sprintf("%d of them", given)), "exactly one", "")
		return nil, nil
	}
	timeout := construct.Or(p.Timeout, fallback)
	var d *definition
	var allow []awsiam.PolicyStatement
	var err error
	switch {
	case p.Definition != nil:
		d, err = fromMap(p.Definition, p.language(), timeout)
	case p.File != "":
		d, err = fromFile(p.File, p.Substitutions, timeout)
	default:
		d, allow, err = fromChain(scope, p.Chain, construct.Or(p.QueryLanguage, awsstepfunctions.QueryLanguage_JSONATA), timeout)
	}
	if err != nil {
		var path *os.PathError
		fix := ""
		if errors.As(err, &path) {
			fix = "give the path from the folder in which the app runs"
		}
		c.Wrong(d.field, props.Words("wrong: "+err.Error()), "a workflow in the Amazon States Language", fix)
		return nil, nil
	}
	d.check(c, p.Express)
	return d, allow
}

func (p *WorkflowProps) language() asl.QueryLanguage {
	if p.QueryLanguage == awsstepfunctions.QueryLanguage_JSON_PATH {
		return asl.JSONPath
	}
	return asl.JSONata
}

func (d Deployment) isZero() bool {
	return d.Percentage == 0 && !d.Linear && d.Interval == 0 && len(d.RollbackAlarms) == 0
}

func (w *Workflow) addRole(p *WorkflowProps, chained []awsiam.PolicyStatement) {
	allow := append(slices.Clone(p.allow), statemachine.ToLog())
	if !p.WithoutTracing {
		allow = append(allow, statemachine.ToTrace())
	}
	if p.EncryptionKey != nil {
		allow = append(allow, w.toEncryptLogs(p.EncryptionKey))
	}
	policy := defaults.Document(allow...)
	if given := slices.Concat(p.Allow, chained); len(given) > 0 {
		policy.AddStatements(given...)
	}
	w.role = defaults.ServiceRoleWith(w, "Role", "states.amazonaws.com", policy)
}

func (w *Workflow) addMachine(p *WorkflowProps, d *definition) {
	kind := "STANDARD"
	if p.Express {
		kind = "EXPRESS"
	}
	cfn := &awsstepfunctions.CfnStateMachineProps{
		// As text: a template's object cannot hold null.
		DefinitionString:     &d.text,
		RoleArn:              w.role,
		StateMachineType:     &kind,
		LoggingConfiguration: statemachine.Logging(w.logs, p.LogData),
		TracingConfiguration: &awsstepfunctions.CfnStateMachine_TracingConfigurationProperty{Enabled: jsii.Bool(!p.WithoutTracing)},
	}
	if p.EncryptionKey != nil {
		cfn.EncryptionConfiguration = &awsstepfunctions.CfnStateMachine_EncryptionConfigurationProperty{
			Type:                         jsii.String("CUSTOMER_MANAGED_KMS_KEY"),
			KmsKeyId:                     construct.KeyArn(p.EncryptionKey),
			KmsDataKeyReusePeriodSeconds: jsii.Number(300),
		}
	}
	w.machine = awsstepfunctions.NewCfnStateMachine(w, jsii.String("StateMachine"), cfn)
	// Grants to the workflow make a policy of the role, which must be there
	// before the first execution.
	w.machine.Node().AddDependency(w.role)
}

// toEncryptLogs lets log delivery encrypt what Step Functions hands it
// (https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html).
func (w *Workflow) toEncryptLogs(key awskms.IKey) defaults.Statement {
	logs := map[string]any{"StringEquals": map[string]any{
		"kms:EncryptionContext:SourceArn": defaults.Sub("arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:*"),
	}}
	// One statement serves all workflows with the key.
	construct.Once(key, "allows log delivery", func() bool {
		defaults.AllowServiceKey(w, key, "delivery.logs.amazonaws.com",
			defaults.Actions{"kms:Decrypt"}.To(jsii.String("*")).If(logs)) // of a key's policy: the key itself
		return true
	})
	return defaults.Actions{"kms:GenerateDataKey"}.To(construct.KeyArn(key)).If(logs)
}

// allowKey lets the workflow use the key for its own data and that of the
// children of its Distributed Maps.
func (w *Workflow) allowKey(key awskms.IKey) {
	machine := *construct.Ref(w.machine)
	awsiam.NewPolicy(w, jsii.String("KeyPolicy"), &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{w.role},
		Document: defaults.Document(defaults.Actions{"kms:Decrypt", "kms:GenerateDataKey"}.To(construct.KeyArn(key)).
			If(map[string]any{"StringLike": map[string]any{
				"kms:EncryptionContext:aws:states:stateMachineArn": []string{machine, machine + "/*"},
			}})),
	})
}

// addAlarms returns the alarms that tell a bad version.
func (w *Workflow) addAlarms(a WorkflowAlarms) (watched []awscloudwatch.CfnAlarm) {
	if a.Off {
		return nil
	}
	add := func(id, metric, description string, t alarm.Tuning) awscloudwatch.CfnAlarm {
		made := alarm.New(w, id, alarm.Alarm{
			Namespace: "AWS/States", Metric: metric, Statistic: "Sum", Threshold: 1, Description: description,
			Dimensions: map[string]*string{"StateMachineArn": construct.Ref(w.machine)},
		}, t, a.Topic)
		if made != nil {
			w.alarms = append(w.alarms, made)
		}
		return made
	}
	of := " of " + construct.Path(w)
	bad := []awscloudwatch.CfnAlarm{
		add("Failed", "ExecutionsFailed", "Executions"+of+" failed: mend the cause and redrive them.", a.Failed),
		add("TimedOut", "ExecutionsTimedOut", "Executions"+of+" took longer than the time-out: see in which state they waited.", a.TimedOut),
	}
	if !w.express {
		bad = append(bad, add("Throttled", "ExecutionThrottled",
			"State transitions"+of+" were throttled: ask AWS for a higher limit or start fewer executions.", a.Throttled))
		add("Aborted", "ExecutionsAborted", "Executions"+of+" were stopped by somebody.", a.Aborted)
	}
	for _, made := range bad {
		if made != nil {
			watched = append(watched, made)
		}
	}
	return watched
}

func (w *Workflow) addAlias(d Deployment, watched []awscloudwatch.CfnAlarm) {
	w.version = awsstepfunctions.NewCfnStateMachineVersion(w, jsii.String("Version"), &awsstepfunctions.CfnStateMachineVersionProps{
		StateMachineArn: construct.Ref(w.machine),
		// A new revision replaces the version, which publishes the next one.
		StateMachineRevisionId: w.machine.AttrStateMachineRevisionId(),
	})
	// Executions that run with the old version, and an alias on its way, need it.
	w.version.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	preference := &awsstepfunctions.CfnStateMachineAlias_DeploymentPreferenceProperty{
		StateMachineVersionArn: construct.Ref(w.version),
		Type:                   jsii.String("ALL_AT_ONCE"),
	}
	if d.Percentage != 0 {
		preference.Type = jsii.String("CANARY")
		if d.Linear {
			preference.Type = jsii.String("LINEAR")
		}
		preference.Percentage = jsii.Number(d.Percentage)
		preference.Interval = jsii.Number(construct.Or(d.Interval, 10*time.Minute).Minutes())
	}
	var alarms []*string
	for _, own := range watched {
		alarms = append(alarms, construct.Ref(own))
	}
	for _, more := range d.RollbackAlarms {
		alarms = append(alarms, more.AlarmName())
	}
	if len(alarms) > 0 {
		preference.Alarms = &alarms
	}
	w.alias = awsstepfunctions.NewCfnStateMachineAlias(w, jsii.String("Alias"), &awsstepfunctions.CfnStateMachineAliasProps{
		Name:                 &w.name,
		DeploymentPreference: preference,
	})
}

// ARN returns what callers start: the alias, or the state machine without one.
func (w *Workflow) ARN() string {
	if w.alias != nil {
		return *construct.Ref(w.alias)
	}
	return *construct.Ref(w.machine)
}

// StateMachine returns the state machine for other constructs. It is the
// machine itself, without its alias.
func (w *Workflow) StateMachine() awsstepfunctions.IStateMachine {
	if w.imported == nil {
		w.imported = awsstepfunctions.StateMachine_FromStateMachineArn(w, jsii.String("Interface"), construct.Ref(w.machine))
	}
	return w.imported
}

// CfnStateMachine returns the state machine as CloudFormation knows it.
func (w *Workflow) CfnStateMachine() awsstepfunctions.CfnStateMachine { return w.machine }

// Version returns the latest version, nil without an alias.
func (w *Workflow) Version() awsstepfunctions.CfnStateMachineVersion { return w.version }

// Alias returns the alias, or nil.
func (w *Workflow) Alias() awsstepfunctions.CfnStateMachineAlias { return w.alias }

// Role returns the role that the states act as.
func (w *Workflow) Role() awsiam.IRole { return w.role }

// LogGroup returns the log group.
func (w *Workflow) LogGroup() awslogs.ILogGroup { return w.logs }

// Alarms returns the alarms that were made.
func (w *Workflow) Alarms() []awscloudwatch.CfnAlarm { return slices.Clone(w.alarms) }

// GrantPrincipal returns the principal that the states act as. It makes a
// Workflow an awsiam.IGrantable.
func (w *Workflow) GrantPrincipal() awsiam.IPrincipal { return w.role }

// GrantStart lets the grantee start executions, through the alias only if
// there is one. Step Functions authorizes an alias by its state machine's ARN
// and a condition
// (https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html).
func (w *Workflow) GrantStart(grantee awsiam.IGrantable) awsiam.Grant {
	actions := defaults.Actions{"states:StartExecution"}
	if w.express {
		actions = append(actions, "states:StartSyncExecution")
	}
	start := actions.To(construct.Ref(w.machine))
	if w.alias != nil {
		start = start.If(map[string]any{"StringEquals": map[string]any{"states:StateMachineQualifier": w.name}})
	}
	return defaults.Grant(grantee, start)
}

// GrantRead lets the grantee list the executions and read their state, result
// and history. Express workflows keep none: read their log.
func (w *Workflow) GrantRead(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee,
		defaults.Actions{"states:ListExecutions"}.To(construct.Ref(w.machine)),
		defaults.Actions{"states:DescribeExecution", "states:GetExecutionHistory"}.To(statemachine.Execution(w, w.machine, ":*")))
}

// GrantRedrive lets the grantee redrive executions that failed, were aborted or
// timed out.
func (w *Workflow) GrantRedrive(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, defaults.Actions{"states:RedriveExecution"}.To(statemachine.Execution(w, w.machine, ":*")))
}

// GrantTaskResponse lets the grantee answer tasks that wait with a token.
func (w *Workflow) GrantTaskResponse(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, defaults.Actions{"states:SendTaskFailure", "states:SendTaskHeartbeat", "states:SendTaskSuccess"}.
		To(construct.Ref(w.machine)))
}

// fromChain renders the CDK's states.
func fromChain(scope constructs.Construct, chain awsstepfunctions.IChainable, language awsstepfunctions.QueryLanguage,
	timeout time.Duration) (*definition, []awsiam.PolicyStatement, error) {
	d := &definition{field: "Chain"}
	graph := awsstepfunctions.NewStateGraph(chain.StartState(), jsii.String("the workflow"))
	graph.SetTimeout(construct.Duration(timeout))
	body := awsstepfunctions.NewChainDefinitionBody(chain).Bind(scope, defaults.ServicePrincipal(scope, "states.amazonaws.com"),
		&awsstepfunctions.StateMachineProps{QueryLanguage: language}, graph)
	text, err := join(awscdk.Stack_Of(scope).Resolve(body.DefinitionString))
	d.text = text
	return d, *graph.PolicyStatements(), err
}

// join returns a resolved text, with tokens for what is known at deployment.
func join(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	object, _ := v.(map[string]any)
	if call, ok := object["Fn::Join"].([]any); ok && len(call) == 2 && call[0] == "" {
		var b strings.Builder
		parts, _ := call[1].([]any)
		for _, part := range parts {
			s, ok := part.(string)
			if !ok {
				s = *awscdk.Token_AsString(part, nil)
			}
			b.WriteString(s)
		}
		return b.String(), nil
	}
	return "", fmt.Errorf("the CDK rendered the states as %v", v)
}
