package coldstart_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/coldstart"
	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestMain(m *testing.M) { cdktest.Main(m) }

// goFunction is a function whose code is never built.
func goFunction() *function.Props {
	return &function.Props{Entry: "example.com/shop/checkout", WithoutDeadLetterQueue: true}
}

// silent is goFunction without alarms.
func silent() *function.Props {
	p := goFunction()
	p.Alarms.Off = true
	return p
}

func python(stack constructs.Construct) *function.Props {
	return &function.Props{
		Code:                   awslambda.Code_FromInline(jsii.String("def handler(event, context): return 1")),
		Runtime:                awslambda.Runtime_PYTHON_3_13(),
		Handler:                "index.handler",
		WithoutDeadLetterQueue: true,
		Alarms:                 function.Alarms{Off: true},
	}
}

func java(stack constructs.Construct) *function.Props {
	p := python(stack)
	p.Code = awslambda.Code_FromBucketV2(awss3.Bucket_FromBucketName(stack, jsii.String("Builds"), jsii.String("builds")), jsii.String("shop.jar"),
		&awslambda.BucketOptions{ObjectVersion: jsii.String("7")})
	p.Runtime, p.Handler = awslambda.Runtime_JAVA_21(), "shop.Checkout::handle"
	return p
}

func image(stack constructs.Construct) *function.Props {
	p := python(stack)
	p.Code = awslambda.Code_FromEcrImage(awsecr.Repository_FromRepositoryName(stack, jsii.String("Images"), jsii.String("shop")),
		&awslambda.EcrImageCodeProps{TagOrDigest: jsii.String("v7")})
	p.Runtime, p.Handler = awslambda.Runtime_FROM_IMAGE(), *awslambda.Handler_FROM_IMAGE()
	return p
}

// The sale of the examples: a Friday night in November.
var (
	saleOpens  = time.Date(2036, time.November, 28, 17, 0, 0, 0, time.UTC)
	saleCloses = saleOpens.Add(6 * time.Hour)
)

func shopHours() schedule.Schedule {
	return schedule.Schedule{
		schedule.Weekdays("Europe/Paris", 8, 20, 40),
		schedule.Weekends("Europe/Paris", 10, 18, 15),
	}
}

// Each strategy, and each combination that makes sense.
func TestWarmFunction(t *testing.T) {
	for name, props := range map[string]func(awscdk.Stack) *coldstart.WarmFunctionProps{
		"Defaults": func(awscdk.Stack) *coldstart.WarmFunctionProps {
			return &coldstart.WarmFunctionProps{Function: goFunction()}
		},
		"Fixed": func(awscdk.Stack) *coldstart.WarmFunctionProps {
			return &coldstart.WarmFunctionProps{Function: silent(),
				ProvisionedConcurrency: &coldstart.ProvisionedConcurrencyProps{Concurrency: 3}}
		},
		"Circadian": func(awscdk.Stack) *coldstart.WarmFunctionProps {
			return &coldstart.WarmFunctionProps{Function: silent(),
				ProvisionedConcurrency: &coldstart.ProvisionedConcurrencyProps{Schedule: append(shopHours(),
					schedule.Always(2), schedule.Window(saleOpens, saleCloses, 400))}}
		},
		"Tracking": func(awscdk.Stack) *coldstart.WarmFunctionProps {
			return &coldstart.WarmFunctionProps{Function: silent(),
				ProvisionedConcurrency: &coldstart.ProvisionedConcurrencyProps{TargetTracking: &coldstart.TargetTracking{Max: 50}}}
		},
		"CircadianTracking": func(awscdk.Stack) *coldstart.WarmFunctionProps {
			return &coldstart.WarmFunctionProps{Function: silent(),
				ProvisionedConcurrency: &coldstart.ProvisionedConcurrencyProps{
					Schedule:       shopHours(),
					Lead:           10 * time.Minute,
					TargetTracking: &coldstart.TargetTracking{Max: 200, Utilization: 0.5},
				}}
		},
		"KeepWarm": func(awscdk.Stack) *coldstart.WarmFunctionProps {
			return &coldstart.WarmFunctionProps{Function: silent(), KeepWarm: &coldstart.KeepWarmProps{}}
		},
		"CircadianKeptWarmAtNight": func(awscdk.Stack) *coldstart.WarmFunctionProps {
			return &coldstart.WarmFunctionProps{Function: silent(),
				ProvisionedConcurrency: &coldstart.ProvisionedConcurrencyProps{Schedule: schedule.Schedule{schedule.Daily("Europe/Paris", 7, 22, 5)}},
				KeepWarm:               &coldstart.KeepWarmProps{Schedule: schedule.Schedule{schedule.Daily("Europe/Paris", 22, 7, 2)}, Rate: 5 * time.Minute},
			}
		},
		"PreWarmCanary": func(awscdk.Stack) *coldstart.WarmFunctionProps {
			return &coldstart.WarmFunctionProps{Function: goFunction(),
				PreWarm:    &coldstart.PreWarm{Concurrency: 5},
				Deployment: coldstart.Canary(10, 5*time.Minute)}
		},
		"Linear": func(stack awscdk.Stack) *coldstart.WarmFunctionProps {
			deployment := coldstart.Linear(13, 7*time.Minute)
			deployment.RollbackAlarms = []awscloudwatch.IAlarm{awscloudwatch.Alarm_FromAlarmName(stack, jsii.String("Revenue"), jsii.String("revenue"))}
			return &coldstart.WarmFunctionProps{Function: silent(), Deployment: deployment}
		},
		"SnapStartPython": func(stack awscdk.Stack) *coldstart.WarmFunctionProps {
			return &coldstart.WarmFunctionProps{Function: python(stack), SnapStart: true,
				PreWarm: &coldstart.PreWarm{Payload: `{"health":true}`}}
		},
		"SnapStartJava": func(stack awscdk.Stack) *coldstart.WarmFunctionProps {
			return &coldstart.WarmFunctionProps{Function: java(stack), SnapStart: true}
		},
		"SnapStartImage": func(stack awscdk.Stack) *coldstart.WarmFunctionProps {
			return &coldstart.WarmFunctionProps{Function: image(stack), SnapStart: true, SnapStartImage: true,
				KeepWarm: &coldstart.KeepWarmProps{Payload: `{"source":"warmer"}`}}
		},
		"Everything": func(stack awscdk.Stack) *coldstart.WarmFunctionProps {
			fn := goFunction()
			fn.Alias = "blue"
			fn.EncryptionKey = awskms.NewKey(stack, jsii.String("Key"), nil)
			fn.Architecture = awslambda.Architecture_X86_64()
			fn.ReservedConcurrency = new(100)
			return &coldstart.WarmFunctionProps{
				Function: fn,
				ProvisionedConcurrency: &coldstart.ProvisionedConcurrencyProps{
					Schedule:       shopHours(),
					TargetTracking: &coldstart.TargetTracking{Max: 100},
					Alarms: coldstart.ProvisionedConcurrencyAlarms{
						Spillover: alarm.Tuning{Threshold: jsii.Number(50), Period: 5 * time.Minute, Periods: 2},
						Underuse:  alarm.Tuning{Threshold: jsii.Number(0.1), Periods: 1},
					},
				},
				KeepWarm:     &coldstart.KeepWarmProps{Concurrency: 4, Hold: time.Second, Alarms: coldstart.KeepWarmAlarms{Failed: alarm.Tuning{Off: true}}},
				PreWarm:      &coldstart.PreWarm{Concurrency: 10, Hold: 2 * time.Second},
				Deployment:   coldstart.Linear(10, time.Minute),
				KeepVersions: 5,
				Alarms: coldstart.WarmFunctionAlarms{
					Topic: awssns.NewTopic(stack, jsii.String("Alarms"), nil),
					Init:  alarm.Tuning{Threshold: jsii.Number(500)},
				},
				Dashboard: true,
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			coldstart.NewWarmFunction(stack, "Checkout", props(stack))
			cdktest.Golden(t, stack)
		})
	}
}

func TestProvisionedConcurrencyOfAFunction(t *testing.T) {
	stack := cdktest.NewStack(t)
	props := silent()
	props.Alias = "live"
	c := coldstart.NewProvisionedConcurrency(stack, "Ready", &coldstart.ProvisionedConcurrencyProps{
		Function:    function.NewFunction(stack, "Checkout", props),
		Concurrency: 2,
		Alarms: coldstart.ProvisionedConcurrencyAlarms{
			Spillover: alarm.Tuning{Off: true},
			Underuse:  alarm.Tuning{Off: true},
		},
	})
	template := cdktest.Synth(t, stack)
	template.Has(t, "AWS::Lambda::Alias", cdktest.Match{"ProvisionedConcurrencyConfig": cdktest.Match{"ProvisionedConcurrentExecutions": 2}})
	template.Count(t, "AWS::ApplicationAutoScaling::ScalableTarget", 0)
	template.Count(t, "AWS::CloudWatch::Alarm", 0)
	if c.ScalableTarget() != nil || c.ScalingPolicy() != nil || c.SpilloverAlarm() != nil || c.UnderuseAlarm() != nil {
		t.Error("accessors return what was not made")
	}
}

func TestProvisionedConcurrencyOfAnAdoptedAlias(t *testing.T) {
	stack := cdktest.NewStack(t)
	adopted := func(id string) *function.Function {
		return function.Adopt(stack, id, awslambda.Alias_FromAliasAttributes(stack, jsii.String(id+"Alias"), &awslambda.AliasAttributes{
			AliasName: jsii.String("prod"),
			AliasVersion: awslambda.Version_FromVersionArn(stack, jsii.String(id+"Version"),
				jsii.String("arn:aws:lambda:eu-west-1:123456789012:function:old:7")),
		}))
	}
	coldstart.NewProvisionedConcurrency(stack, "Ready", &coldstart.ProvisionedConcurrencyProps{
		Function: adopted("Old"),
		Schedule: schedule.Schedule{schedule.Always(2)},
	})
	cdktest.Rejects(t, func() {
		coldstart.NewProvisionedConcurrency(stack, "Fixed", &coldstart.ProvisionedConcurrencyProps{Function: adopted("Older"), Concurrency: 2})
	}, "Concurrency is 2; allowed is 0 for an alias that was adopted", "schedule.Always(n)")
	template := cdktest.Synth(t, stack)
	template.Has(t, "AWS::ApplicationAutoScaling::ScalableTarget", cdktest.Match{
		"ResourceId": "function:old:prod", "MinCapacity": 2, "MaxCapacity": 2})
}

func TestKeepWarmOfSeveralFunctions(t *testing.T) {
	stack := cdktest.NewStack(t)
	approve := silent()
	approve.Alias = "live"
	k := coldstart.NewKeepWarm(stack, "KeepWarm", &coldstart.KeepWarmProps{
		Functions: []*function.Function{
			function.NewFunction(stack, "Approve", approve),
			function.NewFunction(stack, "Status", silent()),
		},
		Schedule: schedule.Schedule{schedule.Weekdays("America/New_York", 9, 17, 3), schedule.Daily("America/New_York", 7, 21, 1)},
		Alarms:   coldstart.KeepWarmAlarms{Topic: awssns.NewTopic(stack, jsii.String("Alarms"), nil)},
	})
	k.GrantStart(awsiam.NewRole(stack, jsii.String("Operator"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()}))
	cdktest.Golden(t, stack)
}

// The role of the workflow may invoke the aliases it pings, and nothing else of
// Lambda; callers reach the alias and nothing else.
func TestOnlyTheAliasIsInvoked(t *testing.T) {
	stack := cdktest.NewStack(t)
	w := coldstart.NewWarmFunction(stack, "Checkout", &coldstart.WarmFunctionProps{
		Function: silent(), KeepWarm: &coldstart.KeepWarmProps{},
	})
	w.GrantInvoke(awsiam.NewRole(stack, jsii.String("Caller"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()}))
	template := cdktest.Synth(t, stack)
	alias := template.One(t, "AWS::Lambda::Alias", nil).ID
	found := 0
	for _, r := range template.Resources("") {
		text, err := json.Marshal(r.Properties)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), `"lambda:InvokeFunction"`) {
			continue
		}
		found++
		for _, statement := range statements(r) {
			if statement["Action"] != "lambda:InvokeFunction" {
				continue
			}
			if got, ok := statement["Resource"].(map[string]any); !ok || got["Ref"] != alias {
				t.Errorf("%s may invoke %v, want the alias", r.ID, statement["Resource"])
			}
		}
	}
	if found != 2 {
		t.Errorf("%d roles may invoke, want the caller's and the workflow's", found)
	}
}

// statements returns those of a policy or of a role's own policies.
func statements(r cdktest.Resource) []map[string]any {
	documents := []any{r.Properties["PolicyDocument"]}
	if own, ok := r.Properties["Policies"].([]any); ok {
		for _, p := range own {
			documents = append(documents, p.(map[string]any)["PolicyDocument"])
		}
	}
	var out []map[string]any
	for _, d := range documents {
		if d, ok := d.(map[string]any); ok {
			for _, s := range d["Statement"].([]any) {
				out = append(out, s.(map[string]any))
			}
		}
	}
	return out
}

// The order of a deployment: the version, its pre-warming, the alias, and only
// then the pruning.
func TestOrderOfADeployment(t *testing.T) {
	stack := cdktest.NewStack(t)
	coldstart.NewWarmFunction(stack, "Checkout", &coldstart.WarmFunctionProps{Function: silent(), PreWarm: &coldstart.PreWarm{}})
	template := cdktest.Synth(t, stack)
	dependsOn := func(r cdktest.Resource, on string) bool {
		list, _ := r.Attributes["DependsOn"].([]any)
		for _, id := range list {
			if id == on {
				return true
			}
		}
		return false
	}
	preWarm := template.One(t, "Custom::PreWarm", cdktest.Match{"Version": cdktest.Match{"Fn::GetAtt": []any{cdktest.Pattern("CurrentVersion"), "Version"}}})
	alias := template.One(t, "AWS::Lambda::Alias", nil)
	prune := template.One(t, "Custom::PruneVersions", nil)
	if !dependsOn(alias, preWarm.ID) {
		t.Error("the alias moves before the version was tried")
	}
	if !dependsOn(prune, alias.ID) {
		t.Error("versions are deleted before the alias has moved")
	}
}

func TestAccessors(t *testing.T) {
	stack := cdktest.NewStack(t)
	w := coldstart.NewWarmFunction(stack, "Checkout", &coldstart.WarmFunctionProps{Function: silent(),
		ProvisionedConcurrency: &coldstart.ProvisionedConcurrencyProps{TargetTracking: &coldstart.TargetTracking{Max: 5}},
		Deployment:             &coldstart.Deployment{Percentage: 10, Interval: time.Minute, RollbackAlarms: []awscloudwatch.IAlarm{awscloudwatch.Alarm_FromAlarmName(stack, jsii.String("A"), jsii.String("a"))}},
		Dashboard:              true})
	k := coldstart.NewKeepWarm(stack, "KeepWarm", &coldstart.KeepWarmProps{Functions: []*function.Function{w.Function()}})
	if w.Alias() == nil || w.DeploymentGroup() == nil || w.Dashboard() == nil || w.InitAlarm() == nil || w.KeepWarm() != nil ||
		w.ProvisionedConcurrency().ScalingPolicy() == nil || k.CfnStateMachine() == nil || len(k.Schedules()) != 1 || k.FailedAlarm() == nil {
		t.Error("accessors do not return what was made")
	}
}

// A WarmFunction is an awsiam.IGrantable: the CDK's own grants take it.
func TestIsGrantable(t *testing.T) {
	stack := cdktest.NewStack(t)
	w := coldstart.NewWarmFunction(stack, "Checkout", &coldstart.WarmFunctionProps{Function: silent()})
	awssqs.NewQueue(stack, jsii.String("Orders"), nil).GrantSendMessages(w)
	cdktest.Synth(t, stack).Has(t, "AWS::IAM::Policy", cdktest.Match{
		"Roles":          []any{cdktest.Match{"Ref": cdktest.Pattern("^CheckoutFunctionRole")}},
		"PolicyDocument": cdktest.Match{"Statement": cdktest.Contains(cdktest.Match{"Action": cdktest.Any()})},
	})
}

func TestCallersPropsAreNotChanged(t *testing.T) {
	stack := cdktest.NewStack(t)
	fn := silent()
	provisioned := &coldstart.ProvisionedConcurrencyProps{Schedule: shopHours()}
	keepWarm := &coldstart.KeepWarmProps{}
	topic := awssns.NewTopic(stack, jsii.String("Alarms"), nil)
	for _, id := range []string{"First", "Second"} {
		coldstart.NewWarmFunction(stack, id, &coldstart.WarmFunctionProps{
			Function: fn, ProvisionedConcurrency: provisioned, KeepWarm: keepWarm, Alarms: coldstart.WarmFunctionAlarms{Topic: topic}})
	}
	if fn.Alias != "" || fn.Alarms.Topic != nil || provisioned.Function != nil || provisioned.Alarms.Topic != nil || keepWarm.Functions != nil || keepWarm.Alarms.Topic != nil {
		t.Error("the caller's props were changed")
	}
}

// A window that is over is still deployed as written, with the advice to remove
// it.
func TestWindowIsOver(t *testing.T) {
	stack := cdktest.NewStack(t)
	over := time.Date(2020, 11, 27, 18, 0, 0, 0, time.UTC)
	w := coldstart.NewWarmFunction(stack, "Checkout", &coldstart.WarmFunctionProps{Function: silent(),
		ProvisionedConcurrency: &coldstart.ProvisionedConcurrencyProps{Schedule: schedule.Schedule{schedule.Window(over, over.Add(time.Hour), 4)}}})
	found := false
	for _, entry := range *w.ProvisionedConcurrency().Node().Metadata() {
		text, _ := entry.Data.(string)
		found = found || strings.Contains(text, "the window 2020-11-27T18:00:00Z to 2020-11-27T19:00:00Z: 4 is over")
	}
	if !found {
		t.Error("nobody is told that the window is over")
	}
}
