package diagram

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// shop has one of each kind of arrow: an API that calls a function, which a
// queue calls, too, and which may write a table; a rule and a pipe; and what
// becomes of that which failed.
const shop = `{"Resources": {
	"ShopApi11111111": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {}},
	"ShopIntegration22222222": {"Type": "AWS::ApiGatewayV2::Integration", "Properties": {
		"ApiId": {"Ref": "ShopApi11111111"}, "IntegrationUri": {"Ref": "ShopSellAlias33333333"}}},
	"ShopRoute44444444": {"Type": "AWS::ApiGatewayV2::Route", "Properties": {
		"ApiId": {"Ref": "ShopApi11111111"}, "RouteKey": "POST /sales",
		"Target": {"Fn::Join": ["", ["integrations/", {"Ref": "ShopIntegration22222222"}]]}}},
	"ShopSellAlias33333333": {"Type": "AWS::Lambda::Alias", "Properties": {"FunctionName": {"Ref": "ShopSellFunction55555555"}}},
	"ShopSellFunction55555555": {"Type": "AWS::Lambda::Function", "Properties": {
		"Role": {"Fn::GetAtt": ["ShopSellRole66666666", "Arn"]},
		"DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["ShopSellDeadLetters77777777", "Arn"]}}}},
	"ShopSellRole66666666": {"Type": "AWS::IAM::Role", "Properties": {}},
	"Key21212121": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": [{"Principal": {"AWS": {"Fn::GetAtt": ["ShopSellRole66666666", "Arn"]}}}]}}},
	"Signer23232323": {"Type": "AWS::KMS::Key", "Properties": {"KeyUsage": "SIGN_VERIFY", "KeyPolicy": {"Statement": [
		{"Effect": "Allow", "Action": "kms:Sign", "Principal": {"AWS": {"Fn::GetAtt": ["ShopSellRole66666666", "Arn"]}}, "Resource": "*"},
		{"Effect": "Deny", "Action": "kms:GetPublicKey", "Principal": {"AWS": {"Fn::GetAtt": ["ShopSellRole66666666", "Arn"]}}, "Resource": "*"}]}}},
	"UserRole22222222": {"Type": "AWS::IAM::Role", "Properties": {
		"AssumeRolePolicyDocument": {"Statement": [{"Principal": {"AWS": {"Fn::GetAtt": ["ShopSellRole66666666", "Arn"]}}}]},
		"Policies": [{"PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": {"Fn::GetAtt": ["Files10101010", "Arn"]}}}}]}},
	"ShopSellPolicy88888888": {"Type": "AWS::IAM::Policy", "Properties": {
		"Roles": [{"Ref": "ShopSellRole66666666"}],
		"PolicyDocument": {"Statement": [
			{"Effect": "Allow", "Action": ["dynamodb:PutItem", "dynamodb:Query"],
				"Resource": {"Fn::Sub": "${ShopSales99999999.Arn}/index/day"}},
			{"Effect": "Deny", "Action": "s3:PutObject", "Resource": {"Fn::GetAtt": ["Files10101010", "Arn"]}},
			{"Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": {"Fn::GetAtt": ["Orders12121212", "Arn"]}},
			{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": ["ShopSellDeadLetters77777777", "Arn"]}}]}}},
	"ShopSellDeadLetters77777777": {"Type": "AWS::SQS::Queue", "Properties": {}},
	"ShopSales99999999": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {}},
	"ShopErrors13131313": {"Type": "AWS::CloudWatch::Alarm", "Properties": {
		"Dimensions": [{"Name": "FunctionName", "Value": {"Ref": "ShopSellFunction55555555"}}],
		"AlarmActions": [{"Ref": "Operators14141414"}]}},
	"Operators14141414": {"Type": "AWS::SNS::Topic", "Properties": {}},
	"Files10101010": {"Type": "AWS::S3::Bucket", "Properties": {}},
	"Arrivals15151515": {"Type": "AWS::Events::Rule", "Properties": {
		"EventPattern": {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": [{"Ref": "Files10101010"}]}}},
		"Targets": [{"Arn": {"Fn::GetAtt": ["Orders12121212", "Arn"]}}]}},
	"Orders12121212": {"Type": "AWS::SQS::Queue", "Properties": {}},
	"Mapping16161616": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {
		"EventSourceArn": {"Fn::GetAtt": ["Orders12121212", "Arn"]}, "FunctionName": {"Ref": "ShopSellAlias33333333"}}},
	"Outbox17171717": {"Type": "AWS::Pipes::Pipe", "Properties": {
		"Source": {"Fn::GetAtt": ["ShopSales99999999", "StreamArn"]}, "Target": {"Fn::GetAtt": ["Bus18181818", "Arn"]}}},
	"Bus18181818": {"Type": "AWS::Events::EventBus", "Properties": {}},
	"Nightly19191919": {"Type": "AWS::Events::Rule", "Properties": {"ScheduleExpression": "rate(1 day)",
		"Targets": [{"Arn": {"Ref": "Report20202020"}}]}},
	"Report20202020": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {
		"DefinitionString": {"Fn::Join": ["", ["{\"FunctionName\": \"", {"Fn::GetAtt": ["ShopSellFunction55555555", "Arn"]}, "\"}"]]}}}
}}`

func TestGraph(t *testing.T) {
	template, err := Read([]byte(shop))
	if err != nil {
		t.Fatal(err)
	}
	g, err := template.Graph(Options{Title: "Shop", Keys: true, Parts: []Part{{Prefix: "Shop", Title: "Shop"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"access: Sell -> Sales: reads, writes",
		"access: Sell -> Signer: signs with",
		"access: Sell -> User: assumes",
		"access: User -> Files: reads",
		"failure: Sell -> Dead letters",
		"flow: 1 alarm -> Operators",
		"flow: API -> Sell: POST /sales",
		"flow: Clients -> API",
		"flow: Every day -> Report",
		"flow: Files -> Orders: Object Created",
		"flow: Orders -> Sell",
		"flow: Report -> Sell",
		"flow: Sales -> Bus: Outbox",
	}
	if got := arrows(g); !slices.Equal(got, want) {
		t.Errorf("arrows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, n := range g.Nodes {
		if n.Label == "Sell" && (n.Caption != "Lambda · 1 alarm" || n.Part != "Shop") {
			t.Errorf("the function says %q in part %q", n.Caption, n.Part)
		}
	}
	if d2 := g.D2(); !strings.Contains(d2, "frame_Shop: \"Shop\" {") || !strings.Contains(d2, "clients_ -> frame_Shop.ShopApi11111111: {class: flow}") {
		t.Errorf("D2:\n%s", d2)
	}
	if m := g.Mermaid(); !strings.Contains(m, "ShopApi11111111 -->|\"POST /sales\"| ShopSellFunction55555555") {
		t.Errorf("Mermaid:\n%s", m)
	}
}

// TestGraphFolded sees a part as one box, and an event that a part passes on
// go through it.
func TestGraphFolded(t *testing.T) {
	template, err := Read([]byte(shop))
	if err != nil {
		t.Fatal(err)
	}
	g, err := template.Graph(Options{Title: "Shop", Parts: []Part{
		{Prefix: "Shop", Title: "Shop\nStore", Fold: true}, {Prefix: "Arrivals", Title: "Arrivals\nRule", Fold: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"access: Shop -> User: assumes",
		"access: User -> Files: reads",
		"flow: 1 alarm -> Operators",
		"flow: Arrivals -> Orders",
		"flow: Clients -> Shop",
		"flow: Every day -> Report",
		"flow: Files -> Arrivals: Object Created",
		"flow: Orders -> Shop",
		"flow: Report -> Shop",
		"flow: Shop -> Bus: Outbox",
	}
	if got := arrows(g); !slices.Equal(got, want) {
		t.Errorf("arrows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(g.Parts) != 0 {
		t.Errorf("folded parts have frames: %v", g.Parts)
	}
}

func arrows(g *Graph) []string {
	label := map[string]string{}
	for _, n := range g.Nodes {
		label[n.ID] = n.Label
	}
	var all []string
	for _, e := range g.Edges {
		all = append(all, strings.TrimSuffix(fmt.Sprintf("%s: %s -> %s: %s", edgeStyles[e.Kind].name, label[e.From], label[e.To], e.Label), ": "))
	}
	slices.Sort(all)
	return all
}

// TestGraphIsTheSameEachTime walks over the maps of Go often enough to see
// their order leak.
func TestGraphIsTheSameEachTime(t *testing.T) {
	for _, d := range []Diagram{All[len(All)-1], All[len(All)-2]} {
		var d2, mermaid string
		for i := range 20 {
			g, err := d.Graph(root)
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 && (g.D2() != d2 || g.Mermaid() != mermaid) {
				t.Fatalf("%s differs from one run to the next", d.Name)
			}
			d2, mermaid = g.D2(), g.Mermaid()
		}
	}
}

func TestWrongOptions(t *testing.T) {
	template, err := Read([]byte(shop))
	if err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		`no resource belongs to the part "Stor"`: {Parts: []Part{{Prefix: "Stor"}}},
		`no resource belongs to the part "Sh"`:   {Parts: []Part{{Prefix: "Sh"}}},
		`nothing to hide is called "Bos"`:        {Hide: []string{"Bos"}},
		`nothing to label is called "Bos"`:       {Labels: map[string]string{"Bos": "Bus"}},
	} {
		if _, err := template.Graph(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for want, text := range map[string]string{"no resources": `{}`, "invalid character": `Resources:`} {
		if _, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	empty, err := Read([]byte(`{"Resources": {"Role": {"Type": "AWS::IAM::Role"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := empty.Graph(Options{}); err == nil || !strings.Contains(err.Error(), "nothing that a diagram shows") {
		t.Errorf("got %v", err)
	}
}

// TestPartsFromPaths reads the paths that the CDK leaves in cdk.out.
func TestPartsFromPaths(t *testing.T) {
	template, err := Read([]byte(`{"Resources": {
		"ShopQ1": {"Type": "AWS::SQS::Queue", "Metadata": {"aws:cdk:path": "Dev/My-Shop/Q/Resource"}},
		"ShopT1": {"Type": "AWS::SNS::Topic", "Metadata": {"aws:cdk:path": "Dev/My-Shop/T/Resource"}},
		"AloneA": {"Type": "AWS::SNS::Topic", "Metadata": {"aws:cdk:path": "Dev/Alone/Resource"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(template.Parts()); got != "[{MyShop My-Shop false [] }]" {
		t.Errorf("parts %s", got)
	}
}

// TestVerbs sees that a wildcard is not drawn as less than it allows.
func TestVerbs(t *testing.T) {
	for action, want := range map[string]string{
		"s3:GetObject": "[reads]", "s3:GetObject*": "[reads]", "s3:Get*": "[reads]", "s3:*": "[reads writes]", "s3:GetBucket*": "[]",
		"dynamodb:PartiQLInsert": "[inserts]", "dynamodb:*": "[inserts reads writes]", "dynamodb:DescribeTable": "[]", "logs:PutLogEvents": "[]",
	} {
		if got := fmt.Sprint(verbsOf(action)); got != want {
			t.Errorf("%s: %s, want %s", action, got, want)
		}
	}
	if all := verbsOf("*"); !slices.Contains(all, "publishes") || !slices.Contains(all, "writes") {
		t.Errorf("*: %v", all)
	}
}

func TestWords(t *testing.T) {
	for id, want := range map[string]string{
		"CartView": "Cart view", "API": "API", "HTTPApi": "HTTP API", "Level1": "Level1", "KeyOfAWSAccount": "Key of AWS account", "": "",
	} {
		if got := sentence(words(id)); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}
