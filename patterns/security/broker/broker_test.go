package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/serverless-go/cdk/patterns/security/broker"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/test/engine"
)

func asError[T error](err error, target *T) bool { return errors.As(err, target) }

func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func stsTags(pairs ...string) (tags []ststypes.Tag) {
	for i := 0; i < len(pairs); i += 2 {
		tags = append(tags, ststypes.Tag{Key: &pairs[i], Value: &pairs[i+1]})
	}
	return tags
}

// A session is what the token says and lasts 15 minutes.
func TestBrokerSession(t *testing.T) {
	w := newWorld(t, false)
	c := user("acme", "ann")
	raw := c.token()
	r, err := w.ask(t, raw, "read-own")
	if err != nil || r.Error != "" {
		t.Fatalf("answer %v, %v", r.Error, err)
	}
	if left := time.Until(r.Expires); left > 15*time.Minute || left < 14*time.Minute {
		t.Errorf("the credentials last %s", left)
	}
	if r.TokenExpires.Unix() != c["exp"] || r.Tenant != "acme" || r.Subject != "ann" {
		t.Errorf("answer %s %s %s", r.TokenExpires, r.Tenant, r.Subject)
	}
	s := w.sts.Assumed()[0]
	if s.Tags["sub"] != "ann" || s.Tags["tenant"] != "acme" || len(s.Tags) != 2 || len(s.Transitive) != 2 || s.Duration != 15*time.Minute {
		t.Errorf("session %+v", s)
	}
	if s.Role != w.role.ARN || s.Policy == nil {
		t.Errorf("session of %s with policy %v", s.Role, s.Policy)
	}
	for _, name := range []string{s.Name, s.SourceIdentity} {
		if strings.Contains(name, "ann") || strings.Contains(name, "acme") || len(name) != 54 {
			t.Errorf("CloudTrail shows %s", name)
		}
	}
	// The source identity is the user's, the session's name the token's.
	second := user("acme", "ann")
	if _, err := w.ask(t, second.token(), "read-own"); err != nil {
		t.Fatal(err)
	}
	if again := w.sts.Assumed()[1]; again.SourceIdentity != s.SourceIdentity || again.Name == s.Name {
		t.Errorf("names %s %s, then %s %s", s.SourceIdentity, s.Name, again.SourceIdentity, again.Name)
	}
}

// Where the tenant comes from, as the props say.
func TestBrokerTenant(t *testing.T) {
	w := newWorld(t, false)
	for _, c := range []struct{ claim, fixed, want string }{
		{"org", "", "acme"},
		{"", "", "other"},
		{"tenant", "", "other"},
		{"org", "shop", "shop"},
		{"team", "", ""},
	} {
		w.broker.TenantClaim, w.broker.Tenant = c.claim, c.fixed
		r, err := w.ask(t, user("acme", "ann").with("tenant", "other").token(), "read-own")
		if err != nil || r.Tenant != c.want || (r.Error == schema.RefusedToken) != (c.want == "") {
			t.Errorf("claim %q, tenant %q: %q %s %v, want %q", c.claim, c.fixed, r.Tenant, r.Error, err, c.want)
		}
	}
}

// Real calls of DynamoDB with the broker's credentials.
func TestBrokerItems(t *testing.T) {
	w := newWorld(t, true)
	admin := dynamodb.NewFromConfig(engine.DynamoDB(t).Config())
	for _, pk := range []string{"acme#ann", "acme#bob", "evil#ann"} {
		if _, err := admin.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &w.carts, Item: item(pk, "cart")}); err != nil {
			t.Fatal(err)
		}
	}
	read, write := w.as(t, user("acme", "ann"), "read-own"), w.as(t, user("acme", "ann"), "write-own")
	get := func(pk string) func() error {
		return func() error {
			_, err := read.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &w.carts, Key: key(pk, "cart")})
			return err
		}
	}
	batch := func(pks ...string) func() error {
		var keys []map[string]types.AttributeValue
		for _, pk := range pks {
			keys = append(keys, key(pk, "cart"))
		}
		return func() error {
			_, err := read.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{w.carts: {Keys: keys}}})
			return err
		}
	}
	transact := func(pks ...string) func() error {
		var items []types.TransactWriteItem
		for _, pk := range pks {
			items = append(items, types.TransactWriteItem{Put: &types.Put{TableName: &w.carts, Item: item(pk, "order")}})
		}
		return func() error {
			_, err := write.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: items})
			return err
		}
	}
	query := func(index *string, attribute, pk string) func() error {
		return func() error {
			out, err := read.Query(t.Context(), &dynamodb.QueryInput{TableName: &w.carts, IndexName: index,
				KeyConditionExpression: aws.String("#k = :k"), ExpressionAttributeNames: map[string]string{"#k": attribute},
				ExpressionAttributeValues: map[string]types.AttributeValue{":k": text(pk)}})
			if err == nil && len(out.Items) == 0 {
				return errors.New("no items")
			}
			return err
		}
	}
	for _, c := range []struct {
		name string
		call func() error
		want bool
	}{
		{"own item", get("acme#ann"), true},
		{"another user's item", get("acme#bob"), false},
		{"another tenant's item", get("evil#ann"), false},
		{"own batch", batch("acme#ann"), true},
		{"mixed batch", batch("acme#ann", "acme#bob"), false},
		{"own transaction", transact("acme#ann"), true},
		{"mixed transaction", transact("acme#ann", "acme#bob"), false},
		{"own query", query(nil, "pk", "acme#ann"), true},
		{"foreign query", query(nil, "pk", "acme#bob"), false},
		{"own query of the index", query(aws.String("byUser"), "user", "acme#ann"), true},
		{"foreign query of the index", query(aws.String("byUser"), "user", "acme#bob"), false},
		{"write with the reading set", func() error {
			_, err := read.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &w.carts, Item: item("acme#ann", "cart")})
			return err
		}, false},
		{"scan", func() error {
			_, err := write.Scan(t.Context(), &dynamodb.ScanInput{TableName: &w.carts})
			return err
		}, false},
		{"PartiQL", func() error {
			_, err := write.ExecuteStatement(t.Context(), &dynamodb.ExecuteStatementInput{Statement: aws.String(`SELECT * FROM "` + w.carts + `" WHERE pk = 'acme#ann'`)})
			return err
		}, false},
		{"another table", func() error {
			_, err := write.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &w.shared, Key: key("acme#ann", "cart")})
			return err
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.call()
			if c.want && err != nil || !c.want && errorCode(err) != "AccessDeniedException" {
				t.Errorf("got %v, want it to be allowed: %t", err, c.want)
			}
		})
	}
	// Nothing of the mixed transaction was written.
	out, err := admin.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &w.carts, Key: key("acme#bob", "order")})
	if err != nil || out.Item != nil {
		t.Errorf("foreign order %v, %v", out.Item, err)
	}
	// The tenant's items are shared within it.
	shared := w.as(t, user("acme", "ann"), "tenant")
	if _, err := shared.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &w.shared, Item: item("order:acme#7", "x")}); err != nil {
		t.Error(err)
	}
	other := w.as(t, user("evil", "eve"), "tenant")
	if _, err := other.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &w.shared, Key: key("order:acme#7", "x")}); errorCode(err) != "AccessDeniedException" {
		t.Errorf("another tenant gets %v", err)
	}
}

// STS that cannot answer closes, and the refusal can be tried again.
func TestBrokerUnavailable(t *testing.T) {
	for _, code := range []string{"Throttling", "ServiceUnavailable", "RegionDisabledException", "AccessDenied"} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t, false)
			raw := user("acme", "ann").token()
			w.sts.Fail("AssumeRole", code, 3) // as often as the SDK tries at most
			request, err := w.broker.Assume(t.Context(), schema.ImpersonationRequest{Token: raw, Set: "read-own"})
			if !errors.Is(err, broker.ErrUnavailable) || request != nil {
				t.Errorf("answer %v, %v", request, err)
			}
			if !strings.Contains(w.logs.String(), `"code":"`+code+`"`) {
				t.Errorf("the log does not say why: %s", w.logs)
			}
			for range 3 {
				if r, err := w.ask(t, raw, "read-own"); err == nil && r.Error == "" {
					return
				}
			}
			t.Error("it stays closed")
		})
	}
}

// packed says how large STS found policy and tags.
type packed struct{ broker.STS }

func (p packed) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, o ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	out, err := p.STS.AssumeRole(ctx, in, o...)
	if err == nil {
		out.SessionTokenUtilization = aws.Int32(73)
	}
	return out, err
}

// STS packs policy and tags, and nobody but STS knows how large they get: the
// log tells before it is too much, and then trying again does not help.
func TestBrokerPackedSize(t *testing.T) {
	w := newWorld(t, false)
	w.broker.STS = packed{w.broker.STS}
	raw := user("acme", "ann").token()
	if r, err := w.ask(t, raw, "read-own"); err != nil || r.Error != "" || !strings.Contains(w.logs.String(), `"tokenPercent":73`) {
		t.Errorf("answer %v, %v; the log does not tell the size: %s", r.Error, err, w.logs)
	}
	w.sts.Fail("AssumeRole", "PackedPolicyTooLarge", 1)
	if r, err := w.ask(t, raw, "read-own"); err != nil || r.Error != schema.RefusedSize || r.SecretAccessKey != "" {
		t.Errorf("answer %v, %v", r.Error, err)
	}
	if !strings.Contains(w.logs.String(), `"code":"PackedPolicyTooLarge"`) {
		t.Errorf("the log does not say why: %s", w.logs)
	}
}

func TestBrokerFromEnvRefuses(t *testing.T) {
	w := newWorld(t, false)
	cfg := w.sts.Start(w.brokerRole.ARN)
	for _, c := range []struct{ variable, value, want string }{
		{schema.EnvBrokerRole, "", "must be set"},
		{schema.EnvBrokerIssuer, "", "must be set"},
		{schema.EnvBrokerAudience, "", "must be set"},
		{schema.EnvBrokerKeys, "", "must be set"},
		{schema.EnvBrokerSets, "", "must be set"},
		{schema.EnvBrokerSets, "{}", "no permission set"},
		{schema.EnvBrokerSets, "read", schema.EnvBrokerSets},
		{schema.EnvBrokerSets, `{"Read":[{"use":"items","on":["a"],"keys":"own"}]}`, "cannot name"},
		{schema.EnvBrokerSets, `{"read":[]}`, "without permissions"},
		{schema.EnvBrokerSets, `{"read":[{"use":"everything","on":["a"]}]}`, "unknown use"},
		{schema.EnvBrokerSets, `{"read":[{"use":"items","on":["a"]}]}`, "keys"},
		{schema.EnvBrokerSets, `{"read":[{"use":"items","on":["` + strings.Repeat("x", 2048) + `"],"keys":"own"}]}`, "split the permission set"},
		{schema.EnvBrokerTenant, "a#b", "tenant"},
		{schema.EnvBrokerProviders, "iam", schema.EnvBrokerProviders},
		{schema.EnvBrokerProviders, "[]", schema.EnvBrokerProviders},
		{schema.EnvBrokerProviders, `["iam",""]`, schema.EnvBrokerProviders},
		{schema.EnvBrokerSubjects, "escape", schema.EnvBrokerSubjects},
		{schema.EnvBrokerTypes, "at+jwt", schema.EnvBrokerTypes},
	} {
		t.Run(c.variable+"="+c.value[:min(len(c.value), 20)], func(t *testing.T) {
			t.Setenv(c.variable, c.value)
			if _, err := broker.FromEnv(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
