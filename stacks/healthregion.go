package stacks

import (
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/edge/home"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// primary reports whether the region leads in its jurisdiction.
func (s *healthSite) primary() bool { return s.region.Name() == s.Region }

func (s *healthSite) fill(r *edge.Region) {
	s.region, s.stack = r, r.Stack()
	s.residency.Keep(s.Name, s.stack) // first, so that its roles have their part from the start
	s.key, s.alarms = newAlarmTopic(s.stack, "Encrypts the readings of "+s.Name+", their counts and the alarms.", s.props.AlarmEmail)
	s.store = eventsourcing.NewEventStore(s.stack, "Readings", &eventsourcing.EventStoreProps{
		EncryptionKey: s.key, Alarms: eventsourcing.EventStoreAlarms{Topic: s.alarms}, ArchiveRetention: intakeArchive,
	})
	s.addIntake()
	s.addCounts()
	s.addWorld()
	s.addApply()
	s.addAlerts()
	s.addCounters()
	s.addDesk()
	s.addAPI()
	s.acknowledge()
	for _, output := range []struct {
		id    string
		value *string
	}{{"URL", jsii.String(s.api.URL())}, {"Bus", construct.EventBusName(s.bus)}, {"EventTable", construct.TableName(s.store.Table())}} {
		awscdk.NewCfnOutput(s.stack, &output.id, &awscdk.CfnOutputProps{Value: output.value})
	}
}

// function makes one of the system's functions.
func (s *healthSite) function(id, name, description string, p function.Props) *function.Function {
	return function.NewFunction(s.stack, id, handler(name, description, s.alarms, p))
}

// with returns the variables of both.
func with(env, more map[string]string) map[string]string {
	both := maps.Clone(env)
	maps.Copy(both, more)
	return both
}

// addIntake makes the bus that readings come in by, with its archive. With a
// standby they come through a global endpoint, which puts each into both
// regions' archives.
func (s *healthSite) addIntake() {
	name := s.region.SharedName("readings")
	if s.Standby != "" {
		s.intake = edge.NewGlobalEndpoint(s.stack, "Intake", &edge.GlobalEndpointProps{
			Name: name, Primary: s.Region, Secondary: s.Standby, ArchiveRetention: intakeArchive,
			Alarms: edge.GlobalEndpointAlarms{Topic: s.alarms},
		})
		s.bus = s.intake.Bus()
	} else {
		// The same construct ids: a standby that is added later replaces no data.
		scope := construct.Scope(s.stack, "Intake")
		s.bus = awsevents.NewEventBus(scope, jsii.String("Bus"), &awsevents.EventBusProps{EventBusName: &name})
		s.bus.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE)
		awsevents.NewCfnArchive(scope, jsii.String("Replays"), &awsevents.CfnArchiveProps{
			SourceArn: construct.EventBusArn(s.bus), RetentionDays: jsii.Number(intakeArchive.Hours() / 24),
			Description: jsii.String("Keeps the events of " + name + " in this region for replay."),
		}).ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE, nil)
	}
	env := map[string]string{
		healthwatch.EnvPlan: s.plan().String(), healthwatch.EnvBus: *construct.EventBusName(s.bus), healthwatch.EnvSource: healthwatch.Source,
	}
	switch {
	case s.intake == nil:
	case s.primary():
		env[healthwatch.EnvEndpoint] = *s.intake.Endpoint().AttrEndpointId()
	default:
		// The endpoint's id is in the other stack. The standby is asked when the
		// primary region is down, and passes on what it took in.
		env[healthwatch.EnvSource] = healthwatch.StandbySource
		s.forward()
	}
	s.taker = s.function("ReadingsHandler", "readings", "Takes readings in.", function.Props{
		Memory: 512, Environment: env, WithoutDeadLetterQueue: true, // the API waits for its answer
	})
	if s.primary() && s.intake != nil {
		s.intake.GrantPut(s.taker)
	} else {
		s.taker.AddToPolicy([]string{"events:PutEvents"}, *construct.EventBusArn(s.bus))
	}
}

// forward sends what the standby took in to the primary region, once that is
// back. What cannot be sent for a day is in the archive: replay it.
func (s *healthSite) forward() {
	primary := defaults.Text(s.stack, "arn:${AWS::Partition}:events:"+s.Region+":${AWS::AccountId}:event-bus/"+s.region.SharedName("readings"))
	dead := s.deadLetters("Unforwarded", "Readings that the standby took in could not be sent to "+s.Region+
		" for a day: once it is back, replay the archive of the time.")
	role := defaults.ServiceRole(s.stack, "ForwardRole", "events.amazonaws.com", defaults.Actions{"events:PutEvents"}.To(primary))
	s.rule("Forward", []string{healthwatch.StandbySource}, primary, role.RoleArn(), dead)
}

// rule delivers the readings of the sources, for a day if need be.
func (s *healthSite) rule(id string, sources []string, target, role *string, dead awssqs.Queue) awsevents.CfnRule {
	rule := awsevents.NewCfnRule(s.stack, &id, &awsevents.CfnRuleProps{
		EventBusName: construct.EventBusName(s.bus),
		EventPattern: map[string]any{"source": sources, "detail-type": []string{healthwatch.ReadingTaken}},
		Targets: []any{&awsevents.CfnRule_TargetProperty{
			Id: &id, Arn: target, RoleArn: role,
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: construct.QueueArn(dead)},
			RetryPolicy: &awsevents.CfnRule_RetryPolicyProperty{
				MaximumEventAgeInSeconds: jsii.Number(86400), MaximumRetryAttempts: jsii.Number(185),
			},
		}},
	})
	defaults.AllowEvents(s.stack, dead, "sqs:SendMessage", construct.QueueArn(dead), construct.AttrArn(rule))
	return rule
}

// deadLetters makes a queue for what could not be delivered, and its alarm.
func (s *healthSite) deadLetters(id, description string) awssqs.Queue {
	queue := defaults.DeadLetterQueue(s.stack, id, defaults.DeadLetters{})
	alarm.New(s.stack, id+"Alarm", alarm.Alarm{
		Namespace: "AWS/SQS", Metric: "ApproximateNumberOfMessagesVisible", Statistic: "Maximum", Threshold: 1,
		Dimensions: map[string]*string{"QueueName": construct.QueueName(queue)}, Description: description,
	}, alarm.Tuning{}, s.alarms)
	return queue
}

// addCounts makes the table of this region's counts, and the one that tells
// which readings are in them.
func (s *healthSite) addCounts() {
	s.claims = edge.NewClaims(s.stack, "Claims", &edge.ClaimsProps{ArchiveRetention: intakeArchive, EncryptionKey: s.key})
	attribute := func(name string) *awsdynamodb.Attribute {
		return &awsdynamodb.Attribute{Name: &name, Type: awsdynamodb.AttributeType_STRING}
	}
	s.counts = defaults.Table(s.stack, "Counts", s.key, nil, &awsdynamodb.TablePropsV2{
		PartitionKey: attribute(healthwatch.CountPK), SortKey: attribute(healthwatch.CountSK),
		TimeToLiveAttribute: jsii.String(healthwatch.CountTTL), DynamoStream: awsdynamodb.StreamViewType_KEYS_ONLY,
	})
}

// allow lets a function do something to the table of counts.
func (s *healthSite) allow(f *function.Function, actions ...string) {
	f.AddToPolicy(actions, *construct.TableArn(s.counts))
	useTableKey(f, s.key)
}

// world returns the props of the table of the world's counts. Each region is at
// home to what it reports itself.
func (h *HealthWatch) world(r *edge.Region, stack awscdk.Stack, alarms awssns.Topic) *edge.GlobalStore {
	p := &edge.GlobalStoreProps{
		Name: r.SharedName("counts"), Regions: []string{edgeRegion}, Consistency: edge.Eventual,
		Homes: home.Map{Prefixes: map[string]string{}},
		// A lag is measured where something is written, which the edge does not.
		Alarms: edge.GlobalStoreAlarms{Topic: alarms, Replication: alarm.Tuning{Off: r.Name() == edgeRegion}},
	}
	for _, j := range h.props.Jurisdictions {
		for _, region := range j.regions() {
			p.Regions = append(p.Regions, region)
			p.Homes.Prefixes[region+"/"] = region
		}
	}
	p.EncryptionKey = edge.NewStoreKey(stack, "WorldKey", &edge.StoreKeyProps{Name: p.Name}).Key()
	return edge.NewGlobalStore(stack, "World", p)
}

func (s *healthSite) addWorld() { s.world = s.HealthWatch.world(s.region, s.stack, s.alarms) }

// addApply makes what records each reading and counts it.
func (s *healthSite) addApply() {
	timeout := 20 * time.Second
	dead := s.deadLetters("Unapplied", "Readings could not be recorded and wait in the dead-letter queue: mend the cause, then redrive.")
	s.queue = defaults.Queue(s.stack, "Unrecorded", &awssqs.QueueProps{
		VisibilityTimeout: construct.SharedDuration(s.stack, 6*timeout), // as Lambda asks for
		DeadLetterQueue:   &awssqs.DeadLetterQueue{Queue: dead, MaxReceiveCount: jsii.Number(5)},
	})
	rule := s.rule("Record", []string{healthwatch.Source, healthwatch.StandbySource}, construct.QueueArn(s.queue), nil, dead)
	defaults.AllowEvents(s.stack, s.queue, "sqs:SendMessage", construct.QueueArn(s.queue), construct.AttrArn(rule))
	defaults.LagAlarm(s.stack, "UnrecordedAlarm", s.queue,
		"Readings wait to be recorded: the function that does it is slow, throttled or failing.", alarm.Tuning{}, s.alarms)
	apply := s.function("ApplyHandler", "applyreadings", "Records readings and counts each once.", function.Props{
		Memory: 512, Timeout: timeout, WithoutDeadLetterQueue: true, // the queue has one
		Environment: map[string]string{healthwatch.EnvPlan: s.plan().String(), healthwatch.EnvCounts: *construct.TableName(s.counts)},
		Grants: func(f *function.Function) {
			s.claims.GrantClaim(f)
			s.store.GrantAppend(f)
			s.store.GrantReadSealed(f) // to know its own events again
			s.allow(f, "dynamodb:UpdateItem")
			defaults.Grant(f, defaults.TakeMessages.To(construct.QueueArn(s.queue)))
		},
	})
	awslambda.NewEventSourceMapping(s.stack, jsii.String("ApplyMapping"), &awslambda.EventSourceMappingProps{
		Target: apply.Target(), EventSourceArn: construct.QueueArn(s.queue), ReportBatchItemFailures: jsii.Bool(true),
		BatchSize: jsii.Number(10), MaxConcurrency: jsii.Number(50),
	})
	s.function("ForgetHandler", "forget", "Forgets a person: destroys the key of the person's data in this region.", function.Props{
		Timeout: 30 * time.Second, Grants: func(f *function.Function) { s.store.GrantForget(f) },
	})
}

// addAlerts tells people near an anomaly. The bus is the local one: what is put
// there and not through the endpoint is not replicated.
func (s *healthSite) addAlerts() {
	s.alerts = edge.NewLocalAlerts(s.stack, "Alerts", &edge.LocalAlertsProps{
		Jurisdiction: s.Name, Bus: s.bus, Events: []string{healthwatch.LocalitySpike}, Localities: s.localities(), Templates: s.templates,
		Window: healthwatch.Window, EncryptionKey: s.key, Alarms: edge.LocalAlertsAlarms{Topic: s.alarms},
	})
	if s.AlertEmail != "" {
		s.alerts.AddEmail("Duty", &edge.AlertRecipientProps{Endpoint: s.AlertEmail})
	}
}

// addCounters makes the two readers of the stream of counts: one alerts, the
// other tells the world. Neither waits for the other.
func (s *healthSite) addCounters() {
	s.addCounter("Watch", "watchcounts", "Tells of localities with unusually many readings.", time.Second,
		map[string]string{healthwatch.EnvBus: *construct.EventBusName(s.bus)}, func(f *function.Function) {
			defaults.Grant(f, defaults.Actions{"events:PutEvents"}.To(construct.EventBusArn(s.bus)).
				If(map[string]any{"StringEquals": map[string]any{"events:source": healthwatch.WatchSource}}))
		})
	s.addCounter("Report", "reportcounts", "Tells the other regions this one's counts.", time.Minute,
		map[string]string{healthwatch.EnvWorld: s.world.TableName()}, func(f *function.Function) {
			s.world.GrantAppend(f.Identity()) // the streams' homes in the environment would name other regions
		})
}

// addCounter makes a function that takes the changes of counts, for which it
// waits to have more at once.
func (s *healthSite) addCounter(id, name, description string, wait time.Duration, env map[string]string, grants func(*function.Function)) {
	dead := s.deadLetters(id+"Missed", "The function "+id+" could not take changes of counts for a day: the next change of each makes up for it.")
	stream := construct.TableStreamArn(s.counts)
	counter := s.function(id+"Handler", name, description, function.Props{
		Memory: 512, Timeout: time.Minute, WithoutDeadLetterQueue: true, // the stream has one
		Environment: with(env, map[string]string{healthwatch.EnvPlan: s.plan().String(), healthwatch.EnvCounts: *construct.TableName(s.counts)}),
		Grants: func(f *function.Function) {
			grants(f)
			s.allow(f, "dynamodb:BatchGetItem", "dynamodb:Query")
			defaults.Grant(f, defaults.ReadStream.To(stream), defaults.ReadKey.To(construct.KeyArn(s.key)),
				defaults.Actions{"sqs:SendMessage"}.To(construct.QueueArn(dead)))
		},
	})
	awslambda.NewCfnEventSourceMapping(s.stack, jsii.String(id+"Mapping"), &awslambda.CfnEventSourceMappingProps{
		FunctionName: construct.FunctionName(counter.Target()), EventSourceArn: stream, StartingPosition: jsii.String("TRIM_HORIZON"),
		BatchSize: jsii.Number(1000), MaximumBatchingWindowInSeconds: jsii.Number(wait.Seconds()),
		MaximumRecordAgeInSeconds: jsii.Number(86400), BisectBatchOnFunctionError: jsii.Bool(true),
		DestinationConfig: &awslambda.CfnEventSourceMapping_DestinationConfigProperty{
			OnFailure: &awslambda.CfnEventSourceMapping_OnFailureProperty{Destination: construct.QueueArn(dead)},
		},
		FilterCriteria: &awslambda.CfnEventSourceMapping_FilterCriteriaProperty{ // not what the time to live removes
			Filters: []any{&awslambda.CfnEventSourceMapping_FilterProperty{Pattern: jsii.String(`{"eventName":["INSERT","MODIFY"]}`)}},
		},
	})
}

// worldIndexes returns the ARN of the indexes of the world's counts here, without
// importing the table.
func (s *healthSite) worldIndexes() *string {
	return defaults.Text(s.stack, "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/"+s.world.TableName()+"/index/*")
}

// addDesk makes what answers questions and acknowledges alerts.
func (s *healthSite) addDesk() {
	s.desk = s.function("DeskHandler", "healthdesk", "Answers questions about counts, and acknowledges alerts.", function.Props{
		Memory: 512, WithoutDeadLetterQueue: true, // the API waits for its answer
		Environment: map[string]string{
			healthwatch.EnvPlan: s.plan().String(), healthwatch.EnvCounts: *construct.TableName(s.counts), healthwatch.EnvWorld: s.world.TableName(),
			healthwatch.EnvAcknowledge: *construct.FunctionName(s.alerts.Acknowledger().Target()),
		},
		Grants: func(f *function.Function) {
			s.allow(f, "dynamodb:Query")
			s.world.GrantRead(f)
			f.AddToPolicy([]string{"dynamodb:Query"}, *s.worldIndexes())
		},
	})
	s.alerts.GrantAcknowledge(s.desk)
}

// addAPI makes the API of the region.
func (s *healthSite) addAPI() {
	p := &edge.RegionalAPIProps{Dependencies: s.addDependencies, Alarms: edge.RegionalAPIAlarms{Topic: s.alarms}}
	scopes := func(string) []string { return nil }
	if s.props.Identity.Issuer != "" {
		p.JWT = &edge.JWT{Issuer: s.props.Identity.Issuer, Audience: s.props.Identity.Audience}
		scopes = func(scope string) []string { return []string{scope} }
	}
	if s.props.Domain.Name != "" {
		p.DNS = &edge.DNS{Name: s.host(s.props.Domain), ZoneID: s.props.Domain.Zone}
		if s.Standby != "" {
			p.DNS.Failover = s.regions()
		} else {
			p.DNS.Geolocation = []edge.GeoRoute{{Name: "only", Regions: s.regions(), Default: true}}
		}
		p.Certificate = certificate(s.stack, s.props.Domain.Zone, p.DNS.Name, "*."+p.DNS.Name)
	}
	s.api = edge.NewRegionalAPI(s.stack, "API", p)
	if s.props.opaque() {
		s.addReferences(p.DNS)
	} else {
		s.api.AddRoutes("Readings", &edge.RoutesProps{Function: s.taker, Routes: []string{healthwatch.RouteTake}, Scopes: scopes(healthwatch.TakeScope)})
		s.api.AddRoutes("Counts", &edge.RoutesProps{Function: s.desk, Routes: []string{healthwatch.RouteLocality, healthwatch.RouteCounts},
			Scopes: scopes(healthwatch.CountsScope)})
		s.api.AddRoutes("Acknowledge", &edge.RoutesProps{Function: s.desk, Routes: []string{healthwatch.RouteAcknowledge},
			Scopes: scopes(healthwatch.AcknowledgeScope)})
	}
}

// addDependencies says what the region needs to be well.
func (s *healthSite) addDependencies(api *edge.RegionalAPI) {
	api.AddBusDependency("intake", s.bus, nil)
	api.AddTableDependency("counts", s.counts, &edge.TableDependencyProps{
		PartitionKey: healthwatch.CountPK, SortKey: healthwatch.CountSK, EncryptionKey: s.key,
	})
	api.AddQueueDependency("unrecorded", s.queue, &edge.DependencyProps{Optional: true})
}

// opaque reports whether callers show references. All routes need a scope, and
// AWS credentials have none: see signed.
func (p *HealthWatchProps) opaque() bool { return p.Identity.Issuer != "" && !p.ShowTokens }

// addReferences lets callers show references to the region's API. References
// and keys are the region's own: where one region is lost, the other's stay as
// they are, and callers have a reference issued there. So keys and issuer go by
// the region's own name.
func (s *healthSite) addReferences(dns *edge.DNS) {
	url := *s.api.API().AttrApiEndpoint()
	if dns != nil {
		url = "https://" + dns.RegionalName(s.region.Name())
	}
	r := &references{audience: healthwatch.Audience, scopes: healthwatch.Scopes(), key: s.key, alarms: s.alarms}
	opaque := r.invocation(s.stack, url)
	s.api.AddRoutes("References", &edge.RoutesProps{Function: opaque.Endpoint(), Routes: opaque.ReferenceRoutes()})
	door := &httpAPI{scope: construct.Scope(s.stack, "Door"), id: construct.Ref(s.api.API())}
	door.addKeys(integration{"JWKS", opaque.JWKS(), []string{"GET " + schema.JWKSPath}})
	authorizer := construct.Ref(opaque.AddAuthorizer("Clients", s.api.API()))
	for _, in := range []integration{
		{"Readings", s.taker, []string{healthwatch.RouteTake}},
		{"Desk", s.desk, healthwatch.DeskRoutes()},
	} {
		door.addRoutes(in, opaque.RequestParameters(), func(route *awsapigatewayv2.CfnRouteProps) {
			route.AuthorizationType, route.AuthorizerId = jsii.String("CUSTOM"), authorizer
		})
		behind(opaque, healthwatch.Audience, in.function)
	}
	for _, open := range door.open {
		path := strings.NewReplacer(".", `\.`).Replace(open.key)
		s.api.Stage().AddPropertyOverride(jsii.String("RouteSettings."+path), throttledKeys())
		s.api.Stage().AddResourceDependency(open.route, nil)
	}
}

// host returns the name that leads to the jurisdiction's region that is well.
func (j Jurisdiction) host(d Domain) string { return j.Name + "." + d.Name }

// certificate makes a certificate that proves itself in the hosted zone.
func certificate(stack awscdk.Stack, zone string, names ...string) awscertificatemanager.ICertificate {
	p := &awscertificatemanager.CfnCertificateProps{DomainName: &names[0], ValidationMethod: jsii.String("DNS")}
	if len(names) > 1 {
		p.SubjectAlternativeNames = jsii.Strings(names[1:]...)
	}
	var options []any
	for _, name := range names {
		options = append(options, &awscertificatemanager.CfnCertificate_DomainValidationOptionProperty{DomainName: &name, HostedZoneId: &zone})
	}
	p.DomainValidationOptions = options
	return awscertificatemanager.Certificate_FromCertificateArn(stack, jsii.String("CertificateARN"),
		awscertificatemanager.NewCfnCertificate(stack, jsii.String("Certificate"), p).Ref())
}

// acknowledge says why what does not carry the jurisdiction's data is there.
func (s *healthSite) acknowledge() {
	path := construct.Path(s.stack) + "/"
	acknowledge := func(reason string, ids ...string) {
		for _, id := range ids {
			s.residency.Acknowledge(path+id, reason)
		}
	}
	if s.props.AlarmEmail != "" {
		acknowledge("alarms name resources and no person", "AlarmEmail/Resource")
	}
	if s.AlertEmail != "" {
		acknowledge("an alert names a locality and a kind of reading, and no person", "Alerts/Duty")
	}
	for _, peer := range s.region.Peers() {
		acknowledge("the alarm watches how late counts get there; it carries none", "World/ReplicationTo"+peer)
	}
	if s.props.Domain.Name != "" {
		acknowledge("it asks for the region's health from there; it carries no readings", "API/HealthCheck")
	}
}
