package engine_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	db "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/serverless-go/cdk/test/engine"
	"github.com/serverless-go/cdk/test/iam"
)

func stsRole(t *testing.T, name, trusted, permission string) *iam.TemplateRole {
	t.Helper()
	role := &iam.TemplateRole{ID: name, ARN: "arn:aws:iam::" + engine.Account + ":role/" + name}
	for document, into := range map[string]func(*iam.Policy){
		`{"Effect":"Allow","Principal":` + trusted + `,"Action":["sts:AssumeRole","sts:TagSession"]}`: func(p *iam.Policy) { role.Trust = p },
		permission: func(p *iam.Policy) { role.Policies = append(role.Policies, p) },
	} {
		p, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + document + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		into(p)
	}
	return role
}

func stsCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func TestSTS(t *testing.T) {
	double := engine.NewSTS(t)
	var later atomic.Bool
	double.Now = func() time.Time {
		if later.Load() {
			return time.Now().Add(time.Hour)
		}
		return time.Now()
	}
	service := stsRole(t, "service", `{"Service":"lambda.amazonaws.com"}`, `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	target := stsRole(t, "target", `{"AWS":"`+service.ARN+`"}`, `{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*"}`)
	double.AddRole(service, nil)
	double.AddRole(target, nil)
	cfg := double.Start(service.ARN)
	input := func() *sts.AssumeRoleInput {
		return &sts.AssumeRoleInput{RoleArn: &target.ARN, RoleSessionName: aws.String("test")}
	}
	out, err := sts.NewFromConfig(cfg).AssumeRole(t.Context(), input())
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(*out.Credentials.Expiration); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the session lasts %s", left)
	}
	key := *out.Credentials.AccessKeyId
	if !double.Decide(key, "dynamodb:GetItem", "x", nil).Allowed || double.Decide(key, "dynamodb:PutItem", "x", nil).Allowed || double.Decide("other", "dynamodb:GetItem", "x", nil).Allowed {
		t.Error("the session may do other things than its role")
	}

	for name, c := range map[string]struct {
		change func(*sts.AssumeRoleInput)
		want   string
	}{
		"unknown role":       {func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String(target.ARN + "2") }, "AccessDenied"},
		"session name":       {func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("a b") }, "ValidationError"},
		"duration":           {func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(899) }, "ValidationError"},
		"policy":             {func(in *sts.AssumeRoleInput) { in.Policy = aws.String("{") }, "MalformedPolicyDocument"},
		"long policy":        {func(in *sts.AssumeRoleInput) { in.Policy = aws.String(strings.Repeat("x", 2049)) }, "ValidationError"},
		"external id":        {func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("#") }, "ValidationError"},
		"source identity":    {func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("aws:x") }, "ValidationError"},
		"no source identity": {func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("ann") }, "AccessDenied"},
		"tag value": {func(in *sts.AssumeRoleInput) {
			in.Tags = []ststypes.Tag{{Key: aws.String("k"), Value: aws.String("#")}}
		}, "ValidationError"},
		"tag key": {func(in *sts.AssumeRoleInput) {
			in.Tags = []ststypes.Tag{{Key: aws.String("aws:k"), Value: aws.String("v")}}
		}, "ValidationError"},
		"transitive, not set":  {func(in *sts.AssumeRoleInput) { in.TransitiveTagKeys = []string{"k"} }, "ValidationError"},
		"role without a trust": {func(in *sts.AssumeRoleInput) { in.RoleArn = &service.ARN }, "AccessDenied"},
	} {
		in := input()
		c.change(in)
		if _, err := sts.NewFromConfig(cfg).AssumeRole(t.Context(), in); stsCode(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	for name, cfg := range map[string]aws.Config{
		"unknown key":   double.Config(aws.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "x", SessionToken: "y"}),
		"wrong secret":  double.Config(aws.Credentials{AccessKeyID: key, SecretAccessKey: "x", SessionToken: *out.Credentials.SessionToken}),
		"wrong session": double.Config(aws.Credentials{AccessKeyID: key, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: "y"}),
	} {
		if code := stsCode(func() error { _, err := sts.NewFromConfig(cfg).AssumeRole(t.Context(), input()); return err }()); code != "UnrecognizedClient" && code != "InvalidSignature" {
			t.Errorf("%s: %s", name, code)
		}
	}
	later.Store(true)
	if _, err := sts.NewFromConfig(cfg).AssumeRole(t.Context(), input()); stsCode(err) != "ExpiredToken" {
		t.Errorf("an expired session gets %v", err)
	}
	answer, err := http.PostForm(double.URL, url.Values{"Action": {"GetCallerIdentity"}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, _ := io.ReadAll(answer.Body); answer.StatusCode != 400 || !strings.Contains(string(body), "InvalidAction") {
		t.Errorf("an unknown operation gets %d %s", answer.StatusCode, body)
	}
}

func TestGate(t *testing.T) {
	double := engine.NewSTS(t)
	role := stsRole(t, "reader", `{"Service":"lambda.amazonaws.com"}`,
		`{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:BatchGetItem","dynamodb:Query"],"Resource":"*",`+
			`"Condition":{"ForAllValues:StringEquals":{"dynamodb:LeadingKeys":"own"},"Null":{"dynamodb:LeadingKeys":"false"}}}`)
	double.AddRole(role, nil)
	name := "gate"
	attribute := []db.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: db.ScalarAttributeTypeS}}
	_, err := dynamodb.NewFromConfig(engine.DynamoDB(t).Config()).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: db.BillingModePayPerRequest, AttributeDefinitions: attribute,
		KeySchema: []db.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: db.KeyTypeHash}}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := double.Start(role.ARN)
	cfg.BaseEndpoint = aws.String(double.Gate(t).URL)
	client := dynamodb.NewFromConfig(cfg)
	key := func(id string) map[string]db.AttributeValue {
		return map[string]db.AttributeValue{"id": &db.AttributeValueMemberS{Value: id}}
	}
	get := func(client *dynamodb.Client, id string) error {
		_, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &name, Key: key(id)})
		return err
	}
	batch := func(ids ...string) error {
		var keys []map[string]db.AttributeValue
		for _, id := range ids {
			keys = append(keys, key(id))
		}
		_, err := client.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]db.KeysAndAttributes{name: {Keys: keys}}})
		return err
	}
	query := func(condition string) error {
		_, err := client.Query(t.Context(), &dynamodb.QueryInput{TableName: &name, KeyConditionExpression: &condition,
			ExpressionAttributeValues: map[string]db.AttributeValue{":v": &db.AttributeValueMemberS{Value: "own"}}})
		return err
	}
	stranger := dynamodb.NewFromConfig(func() aws.Config { c := engine.DynamoDB(t).Config(); c.BaseEndpoint = cfg.BaseEndpoint; return c }())
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"own":         {get(client, "own"), ""},
		"own batch":   {batch("own"), ""},
		"own query":   {query("id = :v"), ""},
		"other":       {get(client, "other"), "AccessDeniedException"},
		"mixed batch": {batch("own", "other"), "AccessDeniedException"},
		"unknown key": {get(stranger, "own"), "UnrecognizedClientException"},
		"scan":        {func() error { _, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &name}); return err }(), "AccessDeniedException"},
		"other actions": {func() error {
			_, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
			return err
		}(), "ValidationException"},
	} {
		if stsCode(c.err) != c.want || c.want == "" && c.err != nil {
			t.Errorf("%s: %v, want %q", name, c.err, c.want)
		}
	}
}
