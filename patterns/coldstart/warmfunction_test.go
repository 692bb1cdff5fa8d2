package coldstart_test

import (
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsefs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/coldstart"
	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestWarmFunctionIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, coldstart.NewWarmFunction(stack, "Checkout", &coldstart.WarmFunctionProps{Function: silent()}))
}

// Every combination that is refused, with its message.
func TestWarmFunctionRejects(t *testing.T) {
	type (
		warm        = coldstart.WarmFunctionProps
		provisioned = coldstart.ProvisionedConcurrencyProps
		keepWarm    = coldstart.KeepWarmProps
	)
	fixed := &provisioned{Concurrency: 1}
	for name, tt := range map[string]struct {
		props func(awscdk.Stack) *warm
		want  []string
	}{
		"nil": {func(awscdk.Stack) *warm { return nil }, []string{"Test/nil: wrong props", "Function is not set; allowed is what to run"}},
		"snapstart and provisioned": {func(stack awscdk.Stack) *warm {
			return &warm{Function: python(stack), SnapStart: true, ProvisionedConcurrency: fixed}
		}, []string{"SnapStart is set together with ProvisionedConcurrency; allowed is one of the two",
			"choose ProvisionedConcurrency where no invocation may wait, SnapStart where"}},
		"snapstart for go": {func(awscdk.Stack) *warm { return &warm{Function: silent(), SnapStart: true} },
			[]string{"SnapStart is set for Go on provided.al2023", "Java 11, Python 3.12, .NET 8", "a Go handler starts within milliseconds", "ship it as an image with SnapStartImage"}},
		"snapstart for node": {func(stack awscdk.Stack) *warm {
			p := python(stack)
			p.Runtime = awslambda.Runtime_NODEJS_22_X()
			return &warm{Function: p, SnapStart: true}
		}, []string{"SnapStart is set for nodejs22.x", "use ProvisionedConcurrency or KeepWarm"}},
		"snapstart for an old python": {func(stack awscdk.Stack) *warm {
			p := python(stack)
			p.Runtime = awslambda.Runtime_PYTHON_3_11()
			return &warm{Function: p, SnapStart: true}
		}, []string{"SnapStart is set for python3.11"}},
		"snapstart for an os-only runtime": {func(stack awscdk.Stack) *warm {
			p := python(stack)
			p.Runtime = nil
			return &warm{Function: p, SnapStart: true}
		}, []string{"SnapStart is set for provided.al2023"}},
		"snapstart for any image": {func(stack awscdk.Stack) *warm { return &warm{Function: image(stack), SnapStart: true} },
			[]string{"SnapStartImage is false; allowed is true for a container image", `LABEL com.amazonaws.lambda.feature.snapstart="Allow"`}},
		"an image that is none": {func(stack awscdk.Stack) *warm {
			return &warm{Function: python(stack), SnapStart: true, SnapStartImage: true}
		}, []string{"SnapStartImage is true; allowed is false for code that is no container image"}},
		"an image without snapstart": {func(stack awscdk.Stack) *warm { return &warm{Function: image(stack), SnapStartImage: true} },
			[]string{"SnapStartImage is true; allowed is false without SnapStart"}},
		"snapstart with much storage": {func(stack awscdk.Stack) *warm {
			p := python(stack)
			p.FunctionProps = &awslambda.FunctionProps{EphemeralStorageSize: awscdk.Size_Gibibytes(jsii.Number(1))}
			return &warm{Function: p, SnapStart: true}
		}, []string{"Function.FunctionProps.EphemeralStorageSize is 1024; allowed is 512 MB or less with SnapStart"}},
		"snapstart with a file system": {func(stack awscdk.Stack) *warm {
			p := python(stack)
			group := awsec2.SecurityGroup_FromSecurityGroupId(stack, jsii.String("Group"), jsii.String("sg-1"), nil)
			point := awsefs.AccessPoint_FromAccessPointAttributes(stack, jsii.String("Files"), &awsefs.AccessPointAttributes{
				AccessPointId: jsii.String("fsap-1"),
				FileSystem: awsefs.FileSystem_FromFileSystemAttributes(stack, jsii.String("EFS"), &awsefs.FileSystemAttributes{
					FileSystemId: jsii.String("fs-1"), SecurityGroup: group}),
			})
			p.FunctionProps = &awslambda.FunctionProps{Filesystem: awslambda.FileSystem_FromEfsAccessPoint(point, jsii.String("/mnt/a"))}
			return &warm{Function: p, SnapStart: true}
		}, []string{"SnapStart is set together with Function.FunctionProps.Filesystem; allowed is functions without EFS"}},

		"pings to provisioned environments": {func(awscdk.Stack) *warm {
			return &warm{Function: silent(), ProvisionedConcurrency: fixed, KeepWarm: &keepWarm{}}
		}, []string{"KeepWarm is set together with ProvisionedConcurrency that is never 0; allowed is one of the two", "provision for a promise"}},
		"pings to tracked environments": {func(awscdk.Stack) *warm {
			return &warm{Function: silent(), KeepWarm: &keepWarm{},
				ProvisionedConcurrency: &provisioned{TargetTracking: &coldstart.TargetTracking{Max: 3}}}
		}, []string{"KeepWarm is set together with ProvisionedConcurrency"}},
		"pings to environments provisioned always": {func(awscdk.Stack) *warm {
			return &warm{Function: silent(), KeepWarm: &keepWarm{},
				ProvisionedConcurrency: &provisioned{Schedule: schedule.Schedule{schedule.Always(1)}}}
		}, []string{"KeepWarm is set together with ProvisionedConcurrency"}},
		"more provisioned than reserved": {func(awscdk.Stack) *warm {
			p := silent()
			p.ReservedConcurrency = new(39)
			return &warm{Function: p, ProvisionedConcurrency: &provisioned{Schedule: shopHours()}}
		}, []string{"Function.ReservedConcurrency is 39; allowed is 40 or more, for so many are provisioned"}},
		"functions of its own": {func(stack awscdk.Stack) *warm {
			f := function.NewFunction(stack, "Other", silent())
			return &warm{Function: silent(), ProvisionedConcurrency: &provisioned{Function: f, Concurrency: 1}, KeepWarm: &keepWarm{Functions: []*function.Function{f}}}
		}, []string{"ProvisionedConcurrency.Function is set; allowed is nil", "KeepWarm.Functions is set; allowed is nil"}},
		"a hold beyond the time-out": {func(awscdk.Stack) *warm {
			return &warm{Function: silent(), KeepWarm: &keepWarm{Hold: 10 * time.Second}}
		}, []string{"KeepWarm.Hold is 10s; allowed is less than the function's time-out of 10s"}},
		"ping longer than the CDK's own time-out": {func(awscdk.Stack) *warm {
			fn := silent()
			fn.FunctionProps = &awslambda.FunctionProps{Timeout: awscdk.Duration_Seconds(jsii.Number(5))}
			return &warm{Function: fn, KeepWarm: &keepWarm{Hold: 5 * time.Second}}
		}, []string{"KeepWarm.Hold is 5s; allowed is less than the function's time-out of 5s"}},
		"nested": {func(awscdk.Stack) *warm {
			return &warm{Function: silent(), ProvisionedConcurrency: &provisioned{}, KeepWarm: &keepWarm{Payload: "{"},
				PreWarm: &coldstart.PreWarm{Concurrency: 101, Payload: "{", Hold: time.Minute}}
		}, []string{"ProvisionedConcurrency.Concurrency is 0", `KeepWarm.Payload is "{"; allowed is JSON`,
			"PreWarm.Concurrency is 101; allowed is 1 to 100", `PreWarm.Payload is "{"; allowed is JSON`, "PreWarm.Hold is 1m0s; allowed is 0 with a Payload"}},

		"a deployment without alarms": {func(awscdk.Stack) *warm {
			return &warm{Function: silent(), Deployment: coldstart.Canary(10, time.Minute)}
		},
			[]string{"Deployment.RollbackAlarms is empty; allowed is an alarm to roll back on"}},
		"a wrong canary": {func(awscdk.Stack) *warm {
			return &warm{Function: goFunction(), Deployment: coldstart.Canary(0, time.Second)}
		}, []string{"Deployment.Percentage is 0; allowed is 1 to 99", "Deployment.Interval is 1s; allowed is whole minutes"}},
		"a slow linear": {func(awscdk.Stack) *warm {
			return &warm{Function: goFunction(), Deployment: coldstart.Linear(1, time.Hour)}
		}, []string{"Deployment.Interval is 1h0m0s; allowed is at most 48h0m0s in all; these steps take 99h0m0s"}},
		"one version": {func(awscdk.Stack) *warm { return &warm{Function: silent(), KeepVersions: 1} }, []string{"KeepVersions is 1; allowed is 2 to 100"}},
		"alarm": {func(awscdk.Stack) *warm {
			return &warm{Function: silent(), Alarms: coldstart.WarmFunctionAlarms{Init: alarm.Tuning{Period: time.Second}}}
		}, []string{"Alarms.Init.Period is 1s"}},
		"the function": {func(awscdk.Stack) *warm { return &warm{Function: &function.Props{}} }, []string{`Entry is ""`}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			cdktest.Rejects(t, func() { coldstart.NewWarmFunction(stack, name, tt.props(stack)) }, tt.want...)
		})
	}
}
