package diagram

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// addFlows draws the way of events, messages, requests and calls, and that of
// what fails.
func (b *builder) addFlows() {
	for _, id := range b.ids {
		p := b.resources[id].Properties
		self := b.node(id)
		switch b.resources[id].Type {
		case "AWS::ApiGatewayV2::Api":
			b.connect(b.outside("clients", "outside", "Clients", ""), self, Flow, "")
		case "AWS::ApiGatewayV2::Integration":
			api, function := b.nodesOf(p["ApiId"]), b.nodesOf(p["IntegrationUri"])
			b.connectAll(api, function, Flow, b.routes(api, function))
			b.connectAll(api, b.nodesOf(p["RequestParameters"]), Flow, "")
		case "AWS::ApiGatewayV2::Authorizer":
			b.connectAll(b.nodesOf(p["ApiId"]), b.nodesOf(p["AuthorizerUri"]), Flow, "authorizes")
		case "AWS::ApplicationAutoScaling::ScalableTarget":
			b.connectAll([]string{self}, b.nodesOf([]any{p["ResourceId"], dependencies(b.resources[id])}), Flow, "keeps ready")
		case "AWS::Athena::WorkGroup":
			b.connectAll([]string{self}, b.nodesOf(at(p, "WorkGroupConfiguration.ResultConfiguration")), Flow, "results")
		case "AWS::CloudFront::Distribution":
			b.addDistribution(self, p)
		case "AWS::CloudFront::Function":
			b.connectAll([]string{self}, b.nodesOf(at(p, "FunctionConfig.KeyValueStoreAssociations")), Access, "reads")
		case "AWS::CodeDeploy::DeploymentGroup":
			// The group's own properties name the alias nowhere: the alias names the group.
			for _, alias := range b.of("AWS::Lambda::Alias") {
				if slices.Contains(b.refs(b.resources[alias].UpdatePolicy["CodeDeployLambdaAliasUpdate"]), id) {
					b.connect(self, b.node(alias), Flow, "shifts traffic")
				}
			}
		case "AWS::Events::Archive":
			b.connectAll(b.nodesOf(p["SourceArn"]), []string{self}, Flow, "")
		case "AWS::Events::Endpoint":
			b.connectAll([]string{self}, b.nodesOf(p["EventBuses"]), Flow, "")
			b.connectAll(b.nodesOf(p["RoutingConfig"]), []string{self}, Flow, "fails over")
			b.connect(b.outside("clients", "outside", "Producers", ""), self, Flow, "")
		case "AWS::Events::EventBus":
			b.connectAll([]string{self}, b.nodesOf(p["DeadLetterConfig"]), Failure, "")
		case "AWS::Events::Rule":
			b.addRule(id, p)
		case "AWS::KinesisFirehose::DeliveryStream":
			b.connectAll([]string{self}, b.nodesOf(at(p, "ExtendedS3DestinationConfiguration.BucketARN")), Flow, "")
		case "AWS::Lambda::EventInvokeConfig":
			function := b.nodesOf(p["FunctionName"])
			b.connectAll(function, b.nodesOf(at(p, "DestinationConfig.OnFailure")), Failure, "")
			b.connectAll(function, b.nodesOf(at(p, "DestinationConfig.OnSuccess")), Flow, "")
		case "AWS::Lambda::EventSourceMapping":
			function := b.nodesOf(p["FunctionName"])
			b.connectAll(b.nodesOf(p["EventSourceArn"]), function, Flow, "")
			b.connectAll(function, b.nodesOf(at(p, "DestinationConfig.OnFailure")), Failure, "")
		case "AWS::Lambda::Function":
			b.connectAll([]string{self}, b.nodesOf(p["DeadLetterConfig"]), Failure, "")
		case "AWS::Pipes::Pipe":
			source := b.nodesOf(p["Source"])
			via := b.nodesOf(p["Enrichment"])
			_, rest := b.within(id)
			label := sentence(words(rest))
			if len(via) > 0 {
				b.connectAll(source, via, Flow, label)
				b.connectAll(via, b.nodesOf(p["Target"]), Flow, "")
			} else {
				b.connectAll(source, b.nodesOf(p["Target"]), Flow, label)
			}
			b.connectAll(source, b.nodesOf(at(p, "SourceParameters.DynamoDBStreamParameters.DeadLetterConfig")), Failure, "")
		case "AWS::Route53::RecordSet":
			b.addRecord(id, p)
		case "AWS::Route53::HealthCheck":
			if target := b.nodesOf(at(p, "HealthCheckConfig.FullyQualifiedDomainName")); len(target) > 0 {
				b.connectAll([]string{self}, target, Flow, "checks")
			} else if at(p, "HealthCheckConfig.FullyQualifiedDomainName") != nil && len(b.of("AWS::ApiGatewayV2::Api")) == 1 {
				b.connect(self, b.of("AWS::ApiGatewayV2::Api")[0], Flow, "checks")
			}
		case "AWS::SNS::Subscription":
			b.addSubscription(p["TopicArn"], p)
		case "AWS::SNS::Topic":
			for _, s := range list(p["Subscription"]) {
				b.addSubscription(map[string]any{"Ref": id}, s)
			}
		case "AWS::SQS::Queue":
			b.connectAll([]string{self}, b.nodesOf(at(p, "RedrivePolicy.deadLetterTargetArn")), Failure, "")
		case "AWS::Scheduler::Schedule":
			target := b.nodesOf(at(p, "Target.Arn"))
			clock := b.outside("schedules_"+strings.Join(target, "_"), "clock", "Schedule", b.part(id))
			b.connectAll([]string{clock}, target, Flow, "")
			b.connectAll([]string{clock}, b.nodesOf(at(p, "Target.DeadLetterConfig")), Failure, "")
		case "AWS::StepFunctions::StateMachine":
			b.addTasks(self, p)
		case "Custom::CloudflareWorker", "Custom::OpenWhisk":
			b.connectAll(b.nodesOf(p["ServiceToken"]), []string{self}, Flow, "deploys")
		}
	}
	// Roles of SageMaker's jobs belong to no resource: the jobs are made by a workflow.
	for _, id := range b.of("AWS::IAM::Role") {
		if strings.Contains(fmt.Sprint(at(b.resources[id].Properties, "AssumeRolePolicyDocument.Statement")), "sagemaker.amazonaws.com") {
			jobs := b.outside("sagemaker", "learning", "Training and batch jobs", b.part(id))
			b.roles[id] = append(b.roles[id], jobs)
			for _, machine := range b.of("AWS::StepFunctions::StateMachine") {
				p := b.resources[machine].Properties
				if slices.Contains(b.refs([]any{p["DefinitionString"], p["DefinitionSubstitutions"]}), id) {
					b.connect(machine, jobs, Flow, "runs")
				}
			}
		}
	}
}

func dependencies(r resource) any {
	var all []any
	for _, d := range list(r.DependsOn) {
		all = append(all, map[string]any{"Ref": d})
	}
	return all
}

// routes says which requests reach a function through an API, by way of any
// integration.
func (b *builder) routes(api, function []string) string {
	var keys []string
	for _, id := range b.of("AWS::ApiGatewayV2::Route") {
		for _, i := range b.refs(b.resources[id].Properties["Target"]) {
			p := b.resources[i].Properties
			if slices.Equal(b.nodesOf(p["ApiId"]), api) && slices.Equal(b.nodesOf(p["IntegrationUri"]), function) {
				keys = append(keys, text(b.resources[id].Properties["RouteKey"]))
			}
		}
	}
	if len(keys) == 1 && len(keys[0]) <= 24 && len(b.of("AWS::ApiGatewayV2::Integration")) == 1 {
		return keys[0]
	}
	return plural(len(keys), "route")
}

// addRule draws a rule as the arrow from what it listens to.
func (b *builder) addRule(id string, p map[string]any) {
	pattern := p["EventPattern"]
	var sources []string
	label := ""
	switch rate := text(p["ScheduleExpression"]); {
	case rate != "":
		sources = []string{b.outside("clock_"+id, "clock", everyRate(rate), b.part(id))}
	case len(b.nodesOf(p["EventBusName"])) > 0:
		sources, label = b.nodesOf(p["EventBusName"]), eventTypes(pattern)
	case len(b.watched(pattern)) > 0:
		sources = b.watched(pattern)
		label = eventTypes(pattern)
	case text(p["EventBusName"]) != "":
		name := text(p["EventBusName"])
		sources, label = []string{b.outside("bus_"+letters(name), "bus", name, "")}, eventTypes(pattern)
	default:
		source, _ := first(list(at(pattern, "source"))).(string)
		sources, label = []string{b.outside("events_"+letters(source), "bus", strings.TrimSpace("Events of "+source), "")}, eventTypes(pattern)
	}
	for _, t := range list(p["Targets"]) {
		to := b.nodesOf(at(t, "Arn"))
		if len(to) == 0 {
			for _, l := range b.refs(at(t, "Arn")) {
				if b.resources[l].Type == "AWS::Logs::LogGroup" {
					b.nodes[l] = &Node{ID: l, Kind: "logs", Part: b.part(l)}
					to = append(to, l)
				}
			}
		}
		if via := b.through(id, sources, to); via != nil {
			b.connectAll(sources, via, Flow, label)
			b.connectAll(via, to, Flow, "")
			b.connectAll(via, b.nodesOf(at(t, "DeadLetterConfig")), Failure, "")
		} else {
			b.connectAll(sources, to, Flow, label)
			b.connectAll(sources, b.nodesOf(at(t, "DeadLetterConfig")), Failure, "")
		}
	}
}

// through returns a node to lead a rule's events through, if neither end of
// the rule is in the rule's own part: else the picture would not show that it
// is this part that joins them.
func (b *builder) through(rule string, sources, to []string) []string {
	part := b.part(rule)
	own := func(id string) bool { return b.nodes[id].Part == part }
	if part == "" || slices.ContainsFunc(sources, own) || slices.ContainsFunc(to, own) {
		return nil
	}
	return []string{b.outside("rules_"+part, "rules", "Rules", part)}
}

// watched returns the resources whose events a pattern takes from the default
// bus, alarms among them, which are then drawn.
func (b *builder) watched(pattern any) []string {
	for _, id := range b.refs(pattern) {
		if b.resources[id].Type == "AWS::CloudWatch::Alarm" && b.nodes[id] == nil {
			b.nodes[id] = &Node{ID: id, Kind: "alarm", Part: b.part(id)}
		}
	}
	return b.nodesOf(pattern)
}

// eventTypes says which events a pattern takes.
func eventTypes(pattern any) string {
	types := list(at(pattern, "detail-type"))
	name, ok := first(types).(string)
	switch {
	case len(types) == 0:
		return ""
	case len(types) == 1 && ok && strings.HasPrefix(name, "CloudWatch Alarm"):
		return "alarm"
	case len(types) == 1 && ok && len(name) <= 24:
		return name
	}
	return plural(len(types), "event type")
}

// everyRate writes "rate(5 minutes)" as "Every 5 minutes".
func everyRate(expression string) string {
	rate, ok := strings.CutPrefix(expression, "rate(")
	if !ok {
		return "Schedule"
	}
	rate = strings.TrimSuffix(rate, ")")
	return "Every " + strings.TrimPrefix(rate, "1 ")
}

func (b *builder) addSubscription(topic any, subscription any) {
	to := b.nodesOf(at(subscription, "Endpoint"))
	if len(to) == 0 {
		protocol := text(at(subscription, "Protocol"))
		label, ok := map[string]string{"email": "E-mail", "email-json": "E-mail", "sms": "Text message", "https": "HTTPS endpoint"}[protocol]
		if !ok {
			label = "Subscriber"
		}
		to = []string{b.outside("subscriber_"+letters(protocol), "outside", label, "")}
	}
	b.connectAll(b.nodesOf(topic), to, Flow, "")
	b.connectAll(b.nodesOf(topic), b.nodesOf(at(subscription, "RedrivePolicy")), Failure, "")
}

func (b *builder) addDistribution(self string, p map[string]any) {
	clients := b.outside("clients", "outside", "Clients", "")
	config := at(p, "DistributionConfig")
	b.connect(clients, self, Flow, "")
	b.connectAll(b.nodesOf(at(config, "WebACLId")), []string{self}, Flow, "filters")
	for _, behavior := range append(list(at(config, "DefaultCacheBehavior")), list(at(config, "CacheBehaviors"))...) {
		b.connectAll([]string{self}, b.nodesOf([]any{at(behavior, "FunctionAssociations"), at(behavior, "LambdaFunctionAssociations")}), Flow, "each request")
	}
	b.connectAll([]string{self}, b.nodesOf(at(config, "Logging.Bucket")), Flow, "access logs")
	literal := 0
	for _, origin := range list(at(config, "Origins")) {
		if to := b.nodesOf(at(origin, "DomainName")); len(to) > 0 {
			b.connectAll([]string{self}, to, Flow, "")
		} else {
			literal++
		}
	}
	if literal > 0 {
		b.connect(self, b.outside("origins_"+self, "outside", plural(literal, "origin"), ""), Flow, "")
	}
}

// addRecord draws all records of an API as one node before it.
func (b *builder) addRecord(id string, p map[string]any) {
	apis := b.of("AWS::ApiGatewayV2::Api")
	if len(apis) != 1 {
		return
	}
	dns := b.outside("dns", "dns", "DNS", b.part(id))
	clients := b.outside("clients", "outside", "Clients", "")
	b.edges = slices.DeleteFunc(b.edges, func(e Edge) bool { return e.From == clients && e.To == apis[0] })
	b.connect(clients, dns, Flow, "")
	b.connect(dns, apis[0], Flow, "")
}

// addTasks draws what a state machine's definition names and calls. What it
// reads and writes itself is for the arrows of access.
func (b *builder) addTasks(self string, p map[string]any) {
	calls := []string{"function", "queue", "topic", "bus", "machine", "job", "query"}
	for _, to := range b.nodesOf([]any{p["DefinitionString"], p["DefinitionSubstitutions"], p["Definition"]}) {
		if slices.Contains(calls, b.nodes[to].Kind) {
			b.connect(self, to, Flow, "")
		}
	}
}

// addAlarms counts each node's alarms, and draws those that something other
// than a person reacts to.
func (b *builder) addAlarms() {
	filters := map[string]string{} // metric -> function whose logs it counts in
	for _, id := range b.of("AWS::Logs::MetricFilter") {
		p := b.resources[id].Properties
		for _, group := range b.refs(p["LogGroupName"]) {
			for _, f := range b.of("AWS::Lambda::Function") {
				if slices.Contains(b.refs(b.resources[f].Properties["LoggingConfig"]), group) {
					t := first(list(p["MetricTransformations"]))
					filters[text(at(t, "MetricNamespace"))+" "+text(at(t, "MetricName"))] = f
				}
			}
		}
	}
	for _, id := range b.of("AWS::CloudWatch::Alarm") {
		p := b.resources[id].Properties
		if p["ThresholdMetricId"] != nil && b.nodes[id] == nil { // on anomalies: a pattern's result, not its health
			b.nodes[id] = &Node{ID: id, Kind: "alarm", Part: b.part(id)}
		}
		measured := []any{p["Dimensions"], p["Metrics"]}
		of := b.nodesOf(measured)
		for _, r := range b.refs(measured) {
			if b.resources[r].Type == "AWS::Events::Rule" {
				of = append(of, b.nodesOf(b.resources[r].Properties["EventBusName"])...)
			}
		}
		if f := filters[text(p["Namespace"])+" "+text(p["MetricName"])]; f != "" {
			of = append(of, f)
		}
		if b.nodes[id] != nil {
			b.connectAll(of, []string{id}, Flow, "counts")
			b.connectAll([]string{id}, b.nodesOf(p["AlarmActions"]), Flow, "")
			continue
		}
		if len(of) > 0 {
			b.alarms[of[0]]++
		}
		if topics := b.nodesOf(p["AlarmActions"]); len(topics) > 0 {
			all := b.outside("alarms", "alarm", "Alarms", "")
			b.alarms[all]++
			b.connectAll([]string{all}, topics, Flow, "")
		}
	}
}

// mergeDeadLetters draws the dead-letter queues of a part as one: which queue
// is whose is of no interest before something lies in one.
func (b *builder) mergeDeadLetters() {
	var dead []string
	for i, e := range b.edges {
		// A workflow sends what failed itself.
		if e.Kind == Flow && b.nodes[e.To].Kind == "queue" && strings.HasSuffix(human(e.To), "DeadLetters") {
			e.Kind = Failure
			b.edges[i] = e
		}
		if e.Kind == Failure && b.nodes[e.To].Kind == "queue" && !slices.Contains(dead, e.To) {
			dead = append(dead, e.To)
		}
	}
	slices.Sort(dead)
	merged, count := map[string]string{}, map[string]int{}
	for _, id := range dead {
		part := b.nodes[id].Part
		all := b.outside("dead_"+part, "deadletters", "Dead letters", part)
		merged[id] = all
		count[all]++
		b.alarms[all] += b.alarms[id]
		delete(b.nodes, id)
	}
	for id, n := range count {
		b.nodes[id].Caption = plural(n, "SQS queue")
	}
	b.redirect(merged)
}

// redirect moves the ends of the arrows.
func (b *builder) redirect(to map[string]string) {
	for i, e := range b.edges {
		b.edges[i].From = cmp.Or(to[e.From], e.From)
		b.edges[i].To = cmp.Or(to[e.To], e.To)
	}
}
