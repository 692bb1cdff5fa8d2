package security_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/leastprivilege"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/test/cdktest"
)

// leastPrivilegeStack returns a stack "Shop" in an app with the check.
func leastPrivilegeStack(t *testing.T, p *security.LeastPrivilegeProps) (awscdk.Stack, *security.LeastPrivilege) {
	app := cdktest.NewApp(t)
	check := security.NewLeastPrivilege(app, "LeastPrivilege", p)
	return awscdk.NewStack(app, jsii.String("Shop"), nil), check
}

type leastPrivilegeLine struct{ Stack, Path, LogicalID, Rule, Outcome, Value, Message, Reason string }

// leastPrivilegeReport synthesizes and returns what the report says is not
// right, and whether the synth failed.
func leastPrivilegeReport(t *testing.T, stack awscdk.Stack) (found []leastPrivilegeLine, failed bool) {
	t.Helper()
	data, failed := cdktest.Report(t, stack, "least-privilege-report.json")
	var lines []leastPrivilegeLine
	if err := json.Unmarshal(data, &lines); err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if l.Outcome != "passed" {
			found = append(found, l)
		}
	}
	return found, failed
}

func leastPrivilegeRole(stack awscdk.Stack, id string, actions ...string) awsiam.Role {
	role := awsiam.NewRole(stack, &id, &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
	role.AddToPolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: jsii.Strings(actions...), Resources: jsii.Strings("*")}))
	return role
}

func TestLeastPrivilegeFailsSynth(t *testing.T) {
	stack, check := leastPrivilegeStack(t, nil)
	leastPrivilegeRole(stack, "Role", "sqs:SendMessage")
	found, failed := leastPrivilegeReport(t, stack)
	if !failed || len(found) != 1 || check.Open() != 1 {
		t.Fatalf("failed %t, %d open, found %v", failed, check.Open(), found)
	}
	if f := found[0]; f.Rule != string(security.WildcardResource) || f.Path != "Shop/Role/DefaultPolicy/Resource" || f.Value != "sqs:SendMessage" {
		t.Errorf("found %+v", f)
	}
}

func TestLeastPrivilegeSeesOverrides(t *testing.T) {
	stack, _ := leastPrivilegeStack(t, nil)
	queue := awssqs.NewQueue(stack, jsii.String("Queue"), &awssqs.QueueProps{EnforceSSL: jsii.Bool(true), Encryption: awssqs.QueueEncryption_SQS_MANAGED})
	var made awssqs.CfnQueue
	jsii.UnsafeCast(queue.Node().DefaultChild(), &made)
	made.AddPropertyOverride(jsii.String("SqsManagedSseEnabled"), false)
	found, failed := leastPrivilegeReport(t, stack)
	if !failed || len(found) != 1 || found[0].Rule != string(security.Encryption) || found[0].Value != "false" {
		t.Errorf("failed %t, found %v", failed, found)
	}
}

func TestLeastPrivilegeSeesStagesAndNestedStacks(t *testing.T) {
	stack, _ := leastPrivilegeStack(t, nil)
	var app awscdk.App
	jsii.UnsafeCast(stack.Node().Root(), &app)
	stage := awscdk.NewStage(app, jsii.String("Prod"), nil)
	leastPrivilegeRole(awscdk.NewStack(stage, jsii.String("Staged"), nil), "Role", "sqs:SendMessage")
	nested := awscdk.NewNestedStack(stack, jsii.String("Nested"), nil)
	leastPrivilegeRole(nested, "Role", "sqs:SendMessage")
	found, failed := leastPrivilegeReport(t, stack)
	if !failed || len(found) != 2 {
		t.Errorf("failed %t, found %v", failed, found)
	}
}

func TestLeastPrivilegeAcknowledges(t *testing.T) {
	stack, _ := leastPrivilegeStack(t, nil)
	role := leastPrivilegeRole(stack, "Role", "sqs:SendMessage", "sqs:ReceiveMessage")
	security.Acknowledge(role, security.WildcardResource, "it writes to queues of tenants, which come and go", "sqs:SendMessage", "sqs:ReceiveMessage")
	// Its policy is made later than the acknowledgement, and below the role.
	other := awsiam.NewRole(stack, jsii.String("Other"), &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
	security.Acknowledge(other, security.WildcardAction, "a shell for tests")
	other.AddToPolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: jsii.Strings("sqs:*"), Resources: jsii.Strings("arn:aws:sqs:eu-west-1:111122223333:q")}))
	found, failed := leastPrivilegeReport(t, stack)
	if failed || len(found) != 3 {
		t.Fatalf("failed %t, found %v", failed, found)
	}
	for _, f := range found {
		if f.Outcome != "acknowledged" || f.Reason == "" {
			t.Errorf("%+v", f)
		}
	}
}

func TestLeastPrivilegeAcknowledgesEverywhere(t *testing.T) {
	stack, _ := leastPrivilegeStack(t, nil)
	const why = "it is like that"
	security.Acknowledge(leastPrivilegeRole(awscdk.NewNestedStack(stack, jsii.String("Nested"), nil), "Role", "sqs:SendMessage"), security.WildcardResource, why)

	part := constructs.NewConstruct(stack, jsii.String("Part"))
	output := awscdk.NewCfnOutput(part, jsii.String("Output"), &awscdk.CfnOutputProps{Value: jsii.String("{{resolve:secretsmanager:shop}}")})
	security.Acknowledge(output, security.Secret, why)
	security.Acknowledge(awscdk.NewCfnParameter(part, jsii.String("Token"), nil), security.Secret, why)

	fn := awslambda.NewFunction(stack, jsii.String("Fn"), &awslambda.FunctionProps{
		Code: awslambda.Code_FromInline(jsii.String("x")), Handler: jsii.String("index.x"), Runtime: awslambda.Runtime_NODEJS_22_X(),
		Role: awsiam.NewRole(stack, jsii.String("FnRole"), &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)}),
	})
	fn.AddFunctionUrl(&awslambda.FunctionUrlOptions{AuthType: awslambda.FunctionUrlAuthType_NONE})
	security.Acknowledge(fn, security.PublicAccess, why)

	found, failed := leastPrivilegeReport(t, stack)
	if failed || len(found) < 4 {
		t.Errorf("failed %t, found %v", failed, found)
	}
}

func TestLeastPrivilegeOfStage(t *testing.T) {
	app := cdktest.NewApp(t)
	stage := awscdk.NewStage(app, jsii.String("Prod"), nil)
	security.NewLeastPrivilege(stage, "LeastPrivilege", nil)
	leastPrivilegeRole(awscdk.NewStack(app, jsii.String("Outside"), nil), "Role", "sqs:SendMessage")
	inside := awscdk.NewStack(stage, jsii.String("Inside"), nil)
	role := leastPrivilegeRole(inside, "Role", "sqs:SendMessage")
	leastPrivilegeRole(inside, "Other", "sqs:SendMessage")
	security.Acknowledge(role, security.WildcardResource, "it is like that")
	found, failed := leastPrivilegeReport(t, inside)
	if !failed || len(found) != 2 || found[0].Path != "Prod/Inside/Other/DefaultPolicy/Resource" || found[1].Outcome != "acknowledged" {
		t.Errorf("failed %t, found %v", failed, found)
	}
}

func TestLeastPrivilegeAcknowledgesNoMore(t *testing.T) {
	stack, _ := leastPrivilegeStack(t, nil)
	role := leastPrivilegeRole(stack, "Role", "sqs:SendMessage", "sqs:DeleteQueue")
	security.Acknowledge(role, security.WildcardResource, "it writes to queues of tenants", "sqs:SendMessage")
	leastPrivilegeRole(stack, "RoleTwo", "sqs:SendMessage")
	found, failed := leastPrivilegeReport(t, stack)
	open := map[string]bool{}
	for _, f := range found {
		if f.Outcome == "violated" {
			open[f.Path+" "+f.Value] = true
		}
	}
	if !failed || len(open) != 2 || !open["Shop/Role/DefaultPolicy/Resource sqs:DeleteQueue"] || !open["Shop/RoleTwo/DefaultPolicy/Resource sqs:SendMessage"] {
		t.Errorf("failed %t, found %v", failed, found)
	}
}

func TestLeastPrivilegeFindsUnusedAcknowledgements(t *testing.T) {
	stack, _ := leastPrivilegeStack(t, nil)
	role := leastPrivilegeRole(stack, "Role", "sqs:SendMessage")
	security.Acknowledge(role, security.WildcardResource, "queues of tenants", "sqs:SendMessage", "sqs:DeleteMessage")
	security.Acknowledge(role, security.Secret, "there was one")
	// A construct of this module cannot know whether there is something.
	leastprivilege.Acknowledge(role, leastprivilege.PublicAccess, "it depends")
	found, failed := leastPrivilegeReport(t, stack)
	unused := map[string]string{}
	for _, f := range found {
		if f.Rule == "unused-acknowledgement" && f.Path == "Shop/Role" && f.LogicalID == "Role" {
			unused[f.Value] = f.Message
		}
	}
	if !failed || len(unused) != 2 || !strings.Contains(unused[""], `"secret"`) || !strings.Contains(unused["sqs:DeleteMessage"], "queues of tenants") {
		t.Errorf("failed %t, found %v", failed, found)
	}
}

// The CDK's Validations_Of(x).Acknowledge silences a rule in the whole app.
func TestLeastPrivilegeIsNotSilencedByTheCDK(t *testing.T) {
	stack, _ := leastPrivilegeStack(t, nil)
	role := leastPrivilegeRole(stack, "Role", "sqs:SendMessage")
	awscdk.Validations_Of(role).Acknowledge(&awscdk.Acknowledgment{Id: jsii.String("least-privilege::wildcard-resource"), Reason: jsii.String("any")})
	leastPrivilegeRole(stack, "Other", "sqs:SendMessage")
	if found, failed := leastPrivilegeReport(t, stack); !failed {
		t.Errorf("the synth passed, with %v", found)
	}
}

func TestLeastPrivilegeReportOnly(t *testing.T) {
	stack, check := leastPrivilegeStack(t, &security.LeastPrivilegeProps{ReportOnly: true})
	leastPrivilegeRole(stack, "Role", "sqs:SendMessage")
	found, failed := leastPrivilegeReport(t, stack)
	if failed || len(found) != 1 || found[0].Outcome != "violated" || check.Open() != 1 {
		t.Errorf("failed %t, %d open, found %v", failed, check.Open(), found)
	}
}

// A second synth into the same folder finds the report of the first one there,
// and the CDK refuses plugins that change files.
func TestLeastPrivilegeSynthesizesAgain(t *testing.T) {
	dir := t.TempDir()
	for _, id := range []string{"First", "Second"} {
		app := awscdk.NewApp(&awscdk.AppProps{Outdir: &dir})
		security.NewLeastPrivilege(app, "LeastPrivilege", nil)
		stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
		leastPrivilegeRole(stack, id, "xray:PutTraceSegments")
		if _, failed := leastPrivilegeReport(t, stack); failed {
			t.Errorf("the synth of %s failed", id)
		}
	}
}

func TestLeastPrivilegeReportForPeople(t *testing.T) {
	stack, _ := leastPrivilegeStack(t, nil)
	awscdk.NewCfnResource(stack, jsii.String("Bus"), &awscdk.CfnResourceProps{Type: jsii.String("AWS::Events::EventBus"), Properties: &map[string]any{"Name": "b"}})
	url := awscdk.NewCfnResource(stack, jsii.String("Url"), &awscdk.CfnResourceProps{Type: jsii.String("AWS::Lambda::Url"),
		Properties: &map[string]any{"AuthType": "NONE", "TargetFunctionArn": "f"}})
	security.Acknowledge(url, security.PublicAccess, "a web hook, which verifies the sender's signature")
	if found, failed := leastPrivilegeReport(t, stack); failed {
		t.Fatalf("found %v", found)
	}
	data, _ := cdktest.Report(t, stack, "least-privilege-report.txt")
	for _, want := range []string{
		"passed: encryption: Shop/Bus (AWS::Events::EventBus): EventBridge always encrypts; without KmsKeyIdentifier with a key that AWS owns\n",
		`acknowledged: public-access: Shop/Url (AWS::Lambda::Url): AuthType is "NONE"; allowed is AWS_IAM; let callers sign their requests, ` +
			"or put an API with an authorizer before it (acknowledged: a web hook, which verifies the sender's signature)\n",
	} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the report lacks %q:\n%s", want, data)
		}
	}
}

// Its scope is a stack here, for what is in no stack can hold no resource.
func TestLeastPrivilegeIsConstruct(t *testing.T) {
	cdktest.IsConstruct(t, security.NewLeastPrivilege(cdktest.NewStack(t), "LeastPrivilege", nil))
}

func TestAcknowledgeRejects(t *testing.T) {
	stack, _ := leastPrivilegeStack(t, nil)
	role := leastPrivilegeRole(stack, "Role", "xray:PutTraceSegments")
	cdktest.Rejects(t, func() { security.Acknowledge(role, "wildcard", " ") },
		"Shop/Role: wrong props", `rule is "wildcard"; allowed is wildcard-action, wildcard-resource`, "reason is")
	cdktest.Rejects(t, func() { security.Acknowledge(stack, security.TLS, "all of it") }, `scope is "Shop"; allowed is a construct in a stack`)
	cdktest.Rejects(t, func() { security.Acknowledge(role, security.TLS, "why", "") }, "values is")
}

// TestLeastPrivilegeRules holds the constants and the page against the rules.
func TestLeastPrivilegeRules(t *testing.T) {
	constants := []security.Rule{
		security.WildcardAction, security.WildcardResource, security.CrossAccount, security.InvertedStatement, security.PassRole,
		security.ManagedPolicy, security.PolicySize, security.ConfusedDeputy, security.PublicAccess, security.Secret, security.Encryption, security.TLS,
	}
	page, err := os.ReadFile("../../docs/security-leastprivilege.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := leastprivilege.Rules()
	if rows := strings.Count(string(page), "| [source]("); len(rules) != len(constants) || rows != len(rules) {
		t.Errorf("there are %d rules, %d constants and %d rows of the page", len(rules), len(constants), rows)
	}
	for i, r := range rules {
		if string(constants[i]) != r.ID {
			t.Errorf("constant %d is %s, want %s", i, constants[i], r.ID)
		}
		if row := fmt.Sprintf("\n| `%s` | %s | %s | [source](%s) |\n", r.ID, r.Refuses, r.Why, r.Source); !strings.Contains(string(page), row) {
			t.Errorf("the page lacks the row%s", row)
		}
	}
}

func ExampleNewLeastPrivilege() {
	app := awscdk.NewApp(nil)
	security.NewLeastPrivilege(app, "LeastPrivilege", nil)

	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	hook := awslambda.NewFunction(stack, jsii.String("Hook"), &awslambda.FunctionProps{
		Code:    awslambda.Code_FromAsset(jsii.String("hook"), nil),
		Handler: jsii.String("bootstrap"),
		Runtime: awslambda.Runtime_PROVIDED_AL2023(),
	})
	hook.AddFunctionUrl(&awslambda.FunctionUrlOptions{AuthType: awslambda.FunctionUrlAuthType_NONE})
	security.Acknowledge(hook, security.PublicAccess, "a web hook, which verifies the sender's signature")
}
