package edge

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge/alerts/rules"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// LocalAlertsProps says what one jurisdiction alerts about, whom and how.
type LocalAlertsProps struct {
	// Jurisdiction is where the data must stay, such as "eu". Required.
	Jurisdiction string
	// Bus carries the readings, and is told of alerts that nobody
	// acknowledged. Required; it must be in the stack's region.
	Bus awsevents.IEventBus
	// Events are the detail types of the readings. Their detail has a locality
	// and a kind, and may have an id and urgent.
	//
	// Default: "LocalReading".
	Events []string
	// Localities are the places that alerts are about, by code. Required.
	Localities map[string]rules.Locality
	// Templates are the words, by kind of alert and BCP 47 language tag.
	// Required.
	Templates map[string]map[string]rules.Template
	// Language is the one to fall back to; each kind needs a template in it.
	//
	// Default: "en".
	Language string
	// Window is how long readings of a locality and kind share one alert, 1m to
	// 24h.
	//
	// Default: 1 hour.
	Window time.Duration
	// Levels are the steps of escalation, one to five.
	//
	// Default: two with a topic of their own, 15 minutes each.
	Levels []AlertLevel
	// GlobalBus is sent the counts of each locality and window, and nothing
	// else. It may be in another region or account.
	//
	// Default: no counts leave the jurisdiction.
	GlobalBus awsevents.IEventBus
	// EncryptionKey encrypts a new table and new topics.
	//
	// Default: a new one, retained when the stack is destroyed.
	EncryptionKey awskms.IKey
	// Table keeps alerts and marks, if it exists already. It needs the keys, the
	// index and the TTL attribute that package schema names.
	//
	// Default: a new one.
	Table awsdynamodb.ITableV2
	// TableProps changes a new table.
	//
	// Default: on demand, point-in-time recovery, deletion protection,
	// retained when the stack is destroyed.
	TableProps *awsdynamodb.TablePropsV2
	// MaxConcurrency is the most invocations that readings lead to at a time, 2
	// to 1,000.
	//
	// Default: 10.
	MaxConcurrency int
	// Attempts is how often a reading is tried before it goes to the
	// dead-letter queue, 2 to 1,000.
	//
	// Default: 5.
	Attempts int
	// DeadLetterQueue takes the readings that could not be delivered or handled.
	// An imported one must let events.amazonaws.com send to it.
	//
	// Default: a new one, with an alarm, retained when the stack is destroyed.
	DeadLetterQueue awssqs.IQueue
	// Alarms tunes the alarms.
	//
	// Default: all are made and notify nobody.
	Alarms LocalAlertsAlarms
}

// AlertLevel is one step of the escalation.
type AlertLevel struct {
	// Wait is how long an acknowledgement is waited for, 1m to 24h.
	//
	// Default: 15 minutes.
	Wait time.Duration
	// Topic is told. If a customer's key encrypts it, the key's policy must let
	// the function use it.
	//
	// Default: a new one.
	Topic awssns.ITopic
}

// LocalAlertsAlarms tunes the alarms of a [LocalAlerts].
type LocalAlertsAlarms struct {
	// Topic is told when an alarm goes off and when it is over. The functions'
	// alarms tell it too.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// DeadLetters counts the readings that could not be handled.
	//
	// Default: one.
	DeadLetters alarm.Tuning
	// Lag is the age of the oldest reading that waits, in seconds.
	//
	// Default: 5 minutes.
	Lag alarm.Tuning
	// Tick counts the ticks that did not reach the function.
	//
	// Default: one.
	Tick alarm.Tuning
	// Unacknowledged counts the alerts that nobody acknowledged at any level.
	//
	// Default: one.
	Unacknowledged alarm.Tuning
	// Counts counts the counts that could not be sent to the global view.
	//
	// Default: one.
	Counts alarm.Tuning
}

func (a LocalAlertsAlarms) check(c *props.Check) {
	c.Nested("DeadLetters", a.DeadLetters.Check)
	c.Nested("Lag", a.Lag.Check)
	c.Nested("Tick", a.Tick.Check)
	c.Nested("Unacknowledged", a.Unacknowledged.Check)
	c.Nested("Counts", a.Counts.Check)
}

// LocalAlerts tells people near a reading about it: once for each locality and
// window, in their language, not in quiet hours unless it is urgent, and at
// higher levels until somebody acknowledges. The table is the outbox, which a
// tick works off every minute; see package alerts for why nothing is lost.
//
// What leaves the jurisdiction is put on a bus of its own, which no reading is
// ever put on, and a rule forwards it from there: PutEvents cannot name a bus
// of another region, a rule's target can
// (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-region.html).
type LocalAlerts struct {
	constructs.Construct
	rules       *rules.Rules
	key         awskms.IKey
	table       awsdynamodb.ITableV2
	tableKey    awskms.IKey // nil if AWS owns it
	topics      []awssns.ITopic
	counts      awsevents.EventBus
	queue       awssqs.Queue
	deadLetters awssqs.IQueue
	function    *function.Function
	acknowledge *function.Function
	alarms      []awscloudwatch.CfnAlarm
}

// alertsTimeout is shorter than the lease of a step in package alerts.
const alertsTimeout = time.Minute

// NewLocalAlerts makes the alerting of one jurisdiction. It panics with a
// *[props.Error] when the props are wrong.
func NewLocalAlerts(scope constructs.Construct, id string, p *LocalAlertsProps) *LocalAlerts {
	if p == nil {
		p = &LocalAlertsProps{}
	}
	a := &LocalAlerts{rules: p.rules(), key: p.EncryptionKey, table: p.Table}
	p.check(scope, id, a.rules)
	construct.Init(a, scope, id)
	if a.key == nil {
		a.key = defaults.Key(a, "Key", "Encrypts the alerts of "+p.Jurisdiction)
	}
	a.addTable(p)
	for i, level := range p.levels() {
		if level.Topic == nil {
			level.Topic = awssns.NewTopic(a, jsii.String("Level"+strconv.Itoa(i+1)), &awssns.TopicProps{
				MasterKey: a.key, EnforceSSL: jsii.Bool(true)})
		}
		a.topics = append(a.topics, level.Topic)
	}
	a.addQueue(p)
	a.addFunctions(p)
	a.addReadings(p)
	a.addTick(p)
	if p.GlobalBus != nil {
		a.addCounts(p)
	}
	return a
}

func (p *LocalAlertsProps) levels() []AlertLevel {
	levels := slices.Clone(p.Levels)
	if levels == nil {
		levels = make([]AlertLevel, 2)
	}
	for i := range levels {
		levels[i].Wait = construct.Or(levels[i].Wait, 15*time.Minute)
	}
	return levels
}

func (p *LocalAlertsProps) rules() *rules.Rules {
	r := &rules.Rules{
		Jurisdiction: p.Jurisdiction, Localities: p.Localities, Templates: p.Templates,
		Window: construct.Or(p.Window, time.Hour), Language: construct.Or(p.Language, "en"),
	}
	for _, level := range p.levels() {
		r.Waits = append(r.Waits, level.Wait)
	}
	return r
}

func (p *LocalAlertsProps) check(scope constructs.Construct, id string, r *rules.Rules) {
	var c props.Check
	c.Require(p.Bus != nil, "Bus", props.Unset, "the bus of the readings", "set it")
	r.Check(c.Wrong)
	for _, e := range p.Events {
		// Its own events on the bus must not come back as readings.
		c.Require(e != "" && e != schema.AlertCountType && e != schema.AlertUnacknowledgedType, "Events", e,
			"detail types of readings", "leave Events out for "+schema.ReadingType)
	}
	props.Between(&c, "MaxConcurrency", p.MaxConcurrency, 2, 1000)
	props.Between(&c, "Attempts", p.Attempts, 2, 1000)
	c.Require(p.Table == nil || p.TableProps == nil, "TableProps", props.Words("set together with Table"), "one of the two",
		"leave it out, and change the table itself")
	c.Nested("Alarms", p.Alarms.check)
	c.Panic(scope, id)
}

func (a *LocalAlerts) addTable(p *LocalAlertsProps) {
	if a.table != nil {
		a.tableKey = construct.EncryptionKey(a.table)
		return
	}
	a.tableKey = a.key
	attribute := func(name string, t awsdynamodb.AttributeType) *awsdynamodb.Attribute {
		return &awsdynamodb.Attribute{Name: &name, Type: t}
	}
	a.table = defaults.Table(a, "Table", a.key, p.TableProps, &awsdynamodb.TablePropsV2{
		PartitionKey:        attribute(schema.AlertPK, awsdynamodb.AttributeType_STRING),
		SortKey:             attribute(schema.AlertSK, awsdynamodb.AttributeType_STRING),
		TimeToLiveAttribute: jsii.String(schema.AlertTTL),
		GlobalSecondaryIndexes: &[]*awsdynamodb.GlobalSecondaryIndexPropsV2{{
			IndexName:      jsii.String(schema.OutboxIndex),
			PartitionKey:   attribute(schema.AlertOutbox, awsdynamodb.AttributeType_STRING),
			SortKey:        attribute(schema.AlertDue, awsdynamodb.AttributeType_NUMBER),
			ProjectionType: awsdynamodb.ProjectionType_KEYS_ONLY,
		}},
	})
}

// layer makes the layer with the rules: they change together with the
// function, in one deployment, and may be larger than an environment.
func (a *LocalAlerts) layer() awslambda.LayerVersion {
	data, err := json.MarshalIndent(a.rules, "", "\t")
	var dir string
	if err == nil {
		dir, err = os.MkdirTemp("", "rules-")
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, schema.RulesFolder), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, schema.RulesFolder, schema.RulesFile), data, 0o644)
	}
	if err != nil {
		panic(fmt.Errorf("%s: write the rules: %w", *a.Node().Path(), err))
	}
	return awslambda.NewLayerVersion(a, jsii.String("Rules"), &awslambda.LayerVersionProps{
		Code:        awslambda.Code_FromAsset(&dir, nil),
		Description: jsii.String("Alerting rules of " + a.rules.Jurisdiction),
	})
}

func (a *LocalAlerts) addFunctions(p *LocalAlertsProps) {
	const module = "github.com/serverless-go/cdk/functions/"
	arns := make([]string, len(a.topics))
	resources := make([]*string, len(a.topics))
	for i, topic := range a.topics {
		resources[i] = construct.TopicArn(topic)
		arns[i] = *resources[i]
	}
	table, arn := *construct.TableName(a.table), construct.TableArn(a.table)
	a.function = function.NewFunction(a, "Function", &function.Props{
		Entry: module + "localalert", Description: "Sends the alerts of " + p.Jurisdiction, Timeout: alertsTimeout,
		Environment: map[string]string{
			schema.EnvAlertsTable: table, schema.EnvAlertsBus: *construct.EventBusName(p.Bus), schema.EnvAlertsTopics: strings.Join(arns, ","),
		},
		Alarms:        function.Alarms{Topic: p.Alarms.Topic},
		FunctionProps: &awslambda.FunctionProps{Layers: &[]awslambda.ILayerVersion{a.layer()}},
		Grants: func(f *function.Function) {
			statements := append([]defaults.Statement{
				defaults.Actions{"dynamodb:BatchWriteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"}.To(arn),
				defaults.Actions{"dynamodb:Query"}.To(jsii.String(*arn + "/index/" + schema.OutboxIndex)),
				defaults.Actions{"sns:Publish"}.To(resources...),
				putAlerts(construct.EventBusArn(p.Bus)),
			}, a.useKeys("sns")...)
			defaults.Grant(f, append(statements, defaults.TakeMessages.To(construct.QueueArn(a.queue)))...)
		},
	})
	a.addUnacknowledged(p)

	a.acknowledge = function.NewFunction(a, "Acknowledge", &function.Props{
		Entry: module + "localalertack", Description: "Acknowledges the alerts of " + p.Jurisdiction,
		Environment:            map[string]string{schema.EnvAlertsTable: table},
		WithoutDeadLetterQueue: true,
		Alarms:                 function.Alarms{Topic: p.Alarms.Topic},
		Grants: func(f *function.Function) {
			defaults.Grant(f, append([]defaults.Statement{defaults.Actions{"dynamodb:GetItem", "dynamodb:UpdateItem"}.To(arn)}, a.useKeys()...)...)
		},
	})
}

// putAlerts allows the alerts' own events on a bus, and no others.
func putAlerts(bus *string) defaults.Statement {
	return defaults.Actions{"events:PutEvents"}.To(bus).
		If(map[string]any{"StringEquals": map[string]any{"events:source": schema.AlertSource}})
}

// useKeys allows the table's key through DynamoDB, and ours through the other
// services, and not to open what else a key has sealed.
func (a *LocalAlerts) useKeys(others ...string) []defaults.Statement {
	use := func(key awskms.IKey, services ...string) defaults.Statement {
		return defaults.UseKey.To(construct.KeyArn(key)).If(defaults.Through(services...))
	}
	if a.tableKey == a.key {
		return []defaults.Statement{use(a.key, append([]string{"dynamodb"}, others...)...)}
	}
	var statements []defaults.Statement
	if a.tableKey != nil {
		statements = append(statements, use(a.tableKey, "dynamodb"))
	}
	if len(others) > 0 {
		statements = append(statements, use(a.key, others...))
	}
	return statements
}

func (a *LocalAlerts) addUnacknowledged(p *LocalAlertsProps) {
	const namespace, metric = "ServerlessGo/LocalAlerts", "Unacknowledged"
	if p.Alarms.Unacknowledged.Off {
		return
	}
	awslogs.NewCfnMetricFilter(a, jsii.String("UnacknowledgedMetric"), &awslogs.CfnMetricFilterProps{
		LogGroupName:  a.function.LogGroup(),
		FilterPattern: jsii.String(`{ $.msg = "` + schema.AlertUnacknowledgedMessage + `" }`),
		MetricTransformations: []any{&awslogs.CfnMetricFilter_MetricTransformationProperty{
			MetricName: jsii.String(metric), MetricNamespace: jsii.String(namespace), MetricValue: jsii.String("1"),
			Dimensions: []any{&awslogs.CfnMetricFilter_DimensionProperty{
				Key: jsii.String("FunctionName"), Value: jsii.String("$." + schema.AlertFunctionField)}},
		}},
	})
	a.addAlarm(alarm.New(a, "UnacknowledgedAlarm", alarm.Alarm{
		Namespace: namespace, Metric: metric, Statistic: "Sum", Threshold: 1,
		Dimensions:  map[string]*string{"FunctionName": construct.FunctionName(a.function.Lambda())},
		Description: "Nobody acknowledged an alert of " + p.Jurisdiction + " at any level: the function's log names it.",
	}, p.Alarms.Unacknowledged, p.Alarms.Topic))
}

// addQueue makes the queue of the readings.
func (a *LocalAlerts) addQueue(p *LocalAlertsProps) {
	dead := defaults.DeadLetters{For: "Readings for the alerts of " + p.Jurisdiction, Alarm: p.Alarms.DeadLetters, Topic: p.Alarms.Topic}
	var deadAlarm awscloudwatch.CfnAlarm
	a.deadLetters, deadAlarm = defaults.WatchedDeadLetters(a, "DeadLetters", p.DeadLetterQueue, dead)
	a.queue = defaults.Queue(a, "Queue", &awssqs.QueueProps{
		// Lambda asks for six times the function's time-out.
		VisibilityTimeout: construct.SharedDuration(a, 6*alertsTimeout),
		DeadLetterQueue: &awssqs.DeadLetterQueue{
			Queue: a.deadLetters, MaxReceiveCount: jsii.Number(construct.Or(p.Attempts, 5))},
	})
	a.addAlarm(deadAlarm)
	a.addAlarm(defaults.LagAlarm(a, "Lag", a.queue,
		"Alerts of "+p.Jurisdiction+" are late: the function is slow, throttled or failing.", p.Alarms.Lag, p.Alarms.Topic))
}

// addReadings brings the readings from the bus to the function.
func (a *LocalAlerts) addReadings(p *LocalAlertsProps) {
	types := p.Events
	if len(types) == 0 {
		types = []string{schema.ReadingType}
	}
	rule := awsevents.NewCfnRule(a, jsii.String("Readings"), &awsevents.CfnRuleProps{
		EventBusName: construct.EventBusName(p.Bus),
		EventPattern: map[string]any{"detail-type": types},
		Targets:      []any{a.target(construct.QueueArn(a.queue), nil, a.deadLetters)},
	})
	arn := rule.AttrArn()
	defaults.AllowEvents(a, a.queue, "sqs:SendMessage", construct.QueueArn(a.queue), arn)
	defaults.AllowEvents(a, a.deadLetters, "sqs:SendMessage", construct.QueueArn(a.deadLetters), arn)
	awslambda.NewEventSourceMapping(a, jsii.String("Mapping"), &awslambda.EventSourceMappingProps{
		Target: a.function.Target(), EventSourceArn: construct.QueueArn(a.queue), ReportBatchItemFailures: jsii.Bool(true),
		BatchSize: jsii.Number(100), MaxBatchingWindow: construct.SharedDuration(a, time.Second),
		MaxConcurrency: jsii.Number(construct.Or(p.MaxConcurrency, 10)),
	})
}

func (a *LocalAlerts) target(arn, role *string, dead awssqs.IQueue) *awsevents.CfnRule_TargetProperty {
	return &awsevents.CfnRule_TargetProperty{
		Id: jsii.String("Target"), Arn: arn, RoleArn: role,
		DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: construct.QueueArn(dead)},
		RetryPolicy: &awsevents.CfnRule_RetryPolicyProperty{
			MaximumEventAgeInSeconds: jsii.Number((24 * time.Hour).Seconds()), MaximumRetryAttempts: jsii.Number(185)},
	}
}

// addTick invokes the function every minute. A tick that fails needs no dead
// letter: the next one does its work.
func (a *LocalAlerts) addTick(p *LocalAlertsProps) {
	arn := construct.FunctionArn(a.function.Target())
	rule := awsevents.NewCfnRule(a, jsii.String("Tick"), &awsevents.CfnRuleProps{
		ScheduleExpression: jsii.String("rate(1 minute)"),
		Targets: []any{&awsevents.CfnRule_TargetProperty{Id: jsii.String("Target"), Arn: arn,
			RetryPolicy: &awsevents.CfnRule_RetryPolicyProperty{MaximumEventAgeInSeconds: jsii.Number(60), MaximumRetryAttempts: jsii.Number(2)}}},
	})
	awslambda.NewCfnPermission(a, jsii.String("TickPermission"), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: arn,
		Principal: jsii.String("events.amazonaws.com"), SourceArn: rule.AttrArn(),
	})
	a.addAlarm(alarm.New(a, "TickAlarm", alarm.Alarm{
		Namespace: "AWS/Events", Metric: "FailedInvocations", Statistic: "Sum", Threshold: 1,
		Dimensions:  map[string]*string{"RuleName": rule.Ref()},
		Description: "The tick does not reach the function: alerts that wait are not sent.",
	}, p.Alarms.Tick, p.Alarms.Topic))
}

// addCounts makes the bus of the counts and forwards it to the global view.
func (a *LocalAlerts) addCounts(p *LocalAlertsProps) {
	a.counts = awsevents.NewEventBus(a, jsii.String("Counts"), nil)
	global := construct.EventBusArn(p.GlobalBus)
	a.function.AddEnvironment(schema.EnvAlertsCounts, *construct.EventBusName(a.counts))
	defaults.Grant(a.function, putAlerts(construct.EventBusArn(a.counts)))
	dead := defaults.DeadLetters{For: "Counts for the global view", Alarm: p.Alarms.Counts, Topic: p.Alarms.Topic}
	queue, deadAlarm := defaults.WatchedDeadLetters(a, "CountsDeadLetters", nil, dead)
	a.addAlarm(deadAlarm)
	role := defaults.ServiceRole(a, "CountsRole", "events.amazonaws.com", defaults.Actions{"events:PutEvents"}.To(global))
	rule := awsevents.NewCfnRule(a, jsii.String("CountsRule"), &awsevents.CfnRuleProps{
		EventBusName: construct.EventBusName(a.counts),
		EventPattern: map[string]any{"source": []string{schema.AlertSource}, "detail-type": []string{schema.AlertCountType}},
		Targets:      []any{a.target(global, role.RoleArn(), queue)},
	})
	defaults.AllowEvents(a, queue, "sqs:SendMessage", construct.QueueArn(queue), rule.AttrArn())
}

func (a *LocalAlerts) addAlarm(made awscloudwatch.CfnAlarm) {
	if made != nil {
		a.alarms = append(a.alarms, made)
	}
}

// AlertRecipientProps says who reads alerts by e-mail or SMS.
type AlertRecipientProps struct {
	// Endpoint is the e-mail address, or the telephone number with "+" and the
	// country's code. It stands in the template. Required.
	Endpoint string
	// Level is the one that tells them, 1 is the first.
	//
	// Default: 1.
	Level int
	// Localities are the ones they read about.
	//
	// Default: all.
	Localities []string
}

var (
	alertEmail = regexp.MustCompile(`^[^@\s]+@[^@\s]+$`)
	alertPhone = regexp.MustCompile(`^\+[1-9][0-9]{5,14}$`) // E.164
	alertHook  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)
)

// AddEmail subscribes an e-mail address, whose owner must confirm. It panics
// with a *[props.Error] when the props are wrong.
func (a *LocalAlerts) AddEmail(id string, p *AlertRecipientProps) awssns.CfnSubscription {
	return a.subscribe(id, "email", "an e-mail address", alertEmail, p)
}

// AddSMS subscribes a telephone number. It panics with a *[props.Error] when
// the props are wrong.
func (a *LocalAlerts) AddSMS(id string, p *AlertRecipientProps) awssns.CfnSubscription {
	return a.subscribe(id, "sms", `a number such as "+4930123456"`, alertPhone, p)
}

func (a *LocalAlerts) subscribe(id, protocol, allowed string, valid *regexp.Regexp, p *AlertRecipientProps) awssns.CfnSubscription {
	var c props.Check
	if p == nil {
		p = &AlertRecipientProps{}
	}
	c.Require(valid.MatchString(p.Endpoint), "Endpoint", p.Endpoint, allowed, "set it")
	props.Between(&c, "Level", p.Level, 1, len(a.topics))
	for _, l := range p.Localities {
		_, ok := a.rules.Localities[l]
		c.Require(ok, "Localities", l, "localities of these alerts", "")
	}
	c.Panic(a, id)
	s := &awssns.CfnSubscriptionProps{
		Protocol: &protocol, Endpoint: &p.Endpoint, TopicArn: construct.TopicArn(a.topics[construct.Or(p.Level, 1)-1])}
	if len(p.Localities) > 0 {
		s.FilterPolicy = map[string]any{"locality": p.Localities}
	}
	return awssns.NewCfnSubscription(a, &id, s)
}

// AlertWebhookProps says where a webhook is and what signs its requests.
type AlertWebhookProps struct {
	// URL is posted to, https on a public address. Required.
	URL string
	// Secret holds at least 16 bytes that sign the requests; see alerts.Sign.
	// Required.
	Secret awssecretsmanager.ISecret
	// Level is the one that posts, 1 is the first.
	//
	// Default: 1.
	Level int
}

// AddWebhook posts the alerts of a level to a URL, retried until the level's
// time is over. It panics with a *[props.Error] when the props are wrong.
func (a *LocalAlerts) AddWebhook(id string, p *AlertWebhookProps) {
	var c props.Check
	if p == nil {
		p = &AlertWebhookProps{}
	}
	u, err := url.Parse(p.URL)
	c.Require(err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && !strings.Contains(p.URL, " "), "URL", p.URL,
		"an https URL without a user", "keep credentials in Secret")
	c.Require(p.Secret != nil, "Secret", props.Unset, "a secret", "set it")
	c.Require(alertHook.MatchString(id), "id", id, "letters and digits", "")
	props.Between(&c, "Level", p.Level, 1, len(a.topics))
	c.Panic(a, id)
	level := strconv.Itoa(construct.Or(p.Level, 1) - 1)
	a.function.AddEnvironment(schema.EnvAlertsWebhook+level+"_"+id, *p.Secret.SecretArn()+" "+p.URL)
	p.Secret.GrantRead(a.function.GrantPrincipal(), nil)
}

// GrantAcknowledge lets the grantee acknowledge alerts: to invoke the function
// with a schema.Acknowledgement.
func (a *LocalAlerts) GrantAcknowledge(grantee awsiam.IGrantable) awsiam.Grant {
	return a.acknowledge.GrantInvoke(grantee)
}

// Table returns the table of alerts, marks and what is left to do.
func (a *LocalAlerts) Table() awsdynamodb.ITableV2 { return a.table }

// Topics returns the topics of the levels, in their order.
func (a *LocalAlerts) Topics() []awssns.ITopic { return slices.Clone(a.topics) }

// Queue returns the queue of the readings.
func (a *LocalAlerts) Queue() awssqs.IQueue { return a.queue }

// DeadLetterQueue returns the queue of the readings that could not be handled.
func (a *LocalAlerts) DeadLetterQueue() awssqs.IQueue { return a.deadLetters }

// Function returns the function that sends the alerts.
func (a *LocalAlerts) Function() *function.Function { return a.function }

// Acknowledger returns the function that acknowledges alerts.
func (a *LocalAlerts) Acknowledger() *function.Function { return a.acknowledge }

// CountsBus returns the bus of the counts, nil without a GlobalBus.
func (a *LocalAlerts) CountsBus() awsevents.IEventBus {
	if a.counts == nil {
		return nil
	}
	return a.counts
}

// Alarms returns the alarms that were made, those of the functions too.
func (a *LocalAlerts) Alarms() []awscloudwatch.CfnAlarm {
	return slices.Concat(a.alarms, a.function.Alarms(), a.acknowledge.Alarms())
}
