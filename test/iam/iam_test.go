package iam

import (
	"fmt"
	"strings"
	"testing"
)

const (
	roleARN = "arn:aws:iam::111122223333:role/carts"
	table   = "arn:aws:dynamodb:eu-central-1:111122223333:table/events"
)

func policy(t *testing.T, statements ...string) *Policy {
	t.Helper()
	p, err := Parse(fmt.Appendf(nil, `{"Version":"2012-10-17","Statement":[%s]}`, strings.Join(statements, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true},
		{"*", "anything:at/all", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"dynamodb:*Item", "dynamodb:PutItem", true},
		{"dynamodb:*Item", "dynamodb:PutItems", false},
		{"*a*b*c", "xxaxxbxxc", true},
		{"*a*b*c", "xxaxxcxxb", false},
		{"table/events", "table/events2", false},
		{"table/events/*", "table/events", false},
		{strings.Repeat("*a", 30), strings.Repeat("a", 29), false},
	} {
		if got := Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

func TestParseRejects(t *testing.T) {
	for _, c := range []struct{ document, want string }{
		{`{"Statement":[{"Effect":"Allow","Actions":"s3:*","Resource":"*"}]}`, `unknown field "Actions"`},
		{`{"Statement":[{"Effect":"allow","Action":"s3:*","Resource":"*"}]}`, `Effect is "allow"`},
		{`{"Statement":[{"Effect":"Allow","Resource":"*"}]}`, "exactly one of Action and NotAction"},
		{`{"Statement":[{"Effect":"Allow","Action":"a:b","NotAction":"a:b","Resource":"*"}]}`, "exactly one of Action and NotAction"},
		{`{"Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*","NotResource":"*"}]}`, "exclude each other"},
		{`{"Statement":[{"Effect":"Allow","Action":"a:b","Resource":{"Ref":"X"}}]}`, "resolve intrinsic functions"},
		{`{"Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringMatches":{"a":"b"}}}]}`, "unknown condition operator"},
		{`{"Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"ForSome:StringLike":{"a":"b"}}}]}`, "unknown qualifier"},
		{`{"Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*","Principal":{"Aws":"x"}}]}`, "unknown kind"},
	} {
		_, err := Parse([]byte(c.document))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%s) = %v, want an error with %q", c.document, err, c.want)
		}
	}
}

func TestSingleStatementAndScalars(t *testing.T) {
	p, err := Parse([]byte(`{"Statement":{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":true},"NumericLessThan":{"s3:max-keys":10}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Principal: Principal{ARN: roleARN}, Action: "sqs:SendMessage", Resource: "arn:aws:sqs:x:1:q",
		Context: Context{"aws:securetransport": {"true"}, "s3:max-keys": {"9"}}}
	if d := Evaluate(r, Policies{Identity: []*Policy{p}}); !d.Allowed {
		t.Errorf("denied %s", d.Reason)
	}
}

// TestConditions evaluates one statement whose condition is the case's.
func TestConditions(t *testing.T) {
	for _, c := range []struct {
		condition string
		context   Context
		want      bool
	}{
		{`{"StringEquals":{"k":["a","b"]}}`, Context{"k": {"b"}}, true},
		{`{"StringEquals":{"k":"a*"}}`, Context{"k": {"ab"}}, false},
		{`{"StringEquals":{"k":"a*"}}`, Context{"k": {"a*"}}, true},
		{`{"StringEquals":{"k":"a"}}`, nil, false},
		{`{"StringEqualsIfExists":{"k":"a"}}`, nil, true},
		{`{"StringEqualsIfExists":{"k":"a"}}`, Context{"k": {"b"}}, false},
		{`{"StringNotEquals":{"k":"a"}}`, nil, true},
		{`{"StringNotEquals":{"k":["a","b"]}}`, Context{"k": {"b"}}, false},
		{`{"StringEqualsIgnoreCase":{"k":"ABC"}}`, Context{"k": {"abc"}}, true},
		{`{"StringNotEqualsIgnoreCase":{"k":"ABC"}}`, Context{"k": {"abc"}}, false},
		{`{"StringLike":{"k":"a?c*"}}`, Context{"K": {"abcd"}}, true},
		{`{"StringNotLike":{"k":"a*"}}`, Context{"k": {"abcd"}}, false},
		{`{"StringEquals":{"k":"a","l":"b"}}`, Context{"k": {"a"}}, false},
		{`{"StringEquals":{"k":"a"},"Bool":{"l":"true"}}`, Context{"k": {"a"}, "l": {"false"}}, false},
		{`{"Null":{"k":"false"}}`, nil, false},
		{`{"Null":{"k":"false"}}`, Context{"k": {"x"}}, true},
		{`{"Null":{"k":"true"}}`, Context{"k": {}}, true},
		{`{"Bool":{"aws:SecureTransport":"false"}}`, Context{"aws:SecureTransport": {"false"}}, true},
		{`{"ArnLike":{"k":"arn:aws:events:*:1:rule/*"}}`, Context{"k": {"arn:aws:events:eu:1:rule/bus/r"}}, true},
		{`{"ArnLike":{"k":"arn:aws:events:*:rule/*"}}`, Context{"k": {"arn:aws:events:eu:1:rule/bus/r"}}, false},
		{`{"ArnEquals":{"k":"arn:aws:sns:eu:1:t"}}`, Context{"k": {"arn:aws:sns:eu:1:t2"}}, false},
		{`{"ArnNotEquals":{"k":"arn:aws:sns:eu:1:t"}}`, Context{"k": {"arn:aws:sns:eu:1:t2"}}, true},
		{`{"NumericGreaterThanEquals":{"k":"5"}}`, Context{"k": {"5"}}, true},
		{`{"NumericGreaterThan":{"k":"5"}}`, Context{"k": {"five"}}, false},
		{`{"NumericNotEquals":{"k":"5"}}`, Context{"k": {"6"}}, true},
		{`{"DateLessThan":{"k":"2030-01-01T00:00:00Z"}}`, Context{"k": {"2029-12-31"}}, true},
		{`{"DateGreaterThan":{"k":"1893456000"}}`, Context{"k": {"2029-12-31"}}, false},
		{`{"IpAddress":{"k":"10.0.0.0/8"}}`, Context{"k": {"10.1.2.3"}}, true},
		{`{"NotIpAddress":{"k":["10.0.0.0/8","2001:db8::/32"]}}`, Context{"k": {"2001:db8::1"}}, false},
		{`{"BinaryEquals":{"k":"QUI="}}`, Context{"k": {"QUI="}}, true},
		// A multivalued key: every value, or any value.
		{`{"ForAllValues:StringLike":{"k":["a*","b*"]}}`, Context{"k": {"a1", "b1"}}, true},
		{`{"ForAllValues:StringLike":{"k":["a*"]}}`, Context{"k": {"a1", "b1"}}, false},
		{`{"ForAnyValue:StringLike":{"k":["a*"]}}`, Context{"k": {"a1", "b1"}}, true},
		{`{"ForAllValues:StringEquals":{"k":"a"}}`, nil, true},
		{`{"ForAllValues:StringEquals":{"k":"a"},"Null":{"k":"false"}}`, nil, false},
		{`{"ForAnyValue:StringEquals":{"k":"a"}}`, nil, false},
		// Policy variables.
		{`{"StringEquals":{"k":"${aws:username}"}}`, Context{"k": {"ann"}, "aws:username": {"ann"}}, true},
		{`{"StringEquals":{"k":"${aws:username}"}}`, Context{"k": {"ann"}}, false},
		{`{"StringEquals":{"k":"${aws:username, 'nobody'}"}}`, Context{"k": {"nobody"}}, true},
		{`{"StringLike":{"k":"${aws:username}"}}`, Context{"k": {"ann"}, "aws:username": {"*"}}, false},
		{`{"StringLike":{"k":"x${*}"}}`, Context{"k": {"xy"}}, false},
		{`{"StringLike":{"k":"x${*}"}}`, Context{"k": {"x*"}}, true},
	} {
		p := policy(t, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":`+c.condition+`}`)
		d := Evaluate(Request{Principal: Principal{ARN: roleARN}, Action: "a:b", Resource: "*", Context: c.context}, Policies{Identity: []*Policy{p}})
		if d.Allowed != c.want {
			t.Errorf("%s with %v: %v, want %v", c.condition, c.context, d.Allowed, c.want)
		}
	}
}

func TestEvaluate(t *testing.T) {
	var (
		insert      = `{"Effect":"Allow","Action":"dynamodb:PartiQLInsert","Resource":"` + table + `"}`
		everything  = `{"Effect":"Allow","Action":"*","Resource":"*"}`
		noDelete    = `{"Sid":"Immutable","Effect":"Deny","Action":["dynamodb:*Delete*","dynamodb:*Update*"],"Resource":"` + table + `"}`
		notDynamoDB = `{"Effect":"Allow","NotAction":"dynamodb:*","Resource":"*"}`
		notTable    = `{"Effect":"Allow","Action":"dynamodb:*","NotResource":"` + table + `"}`
		ownItems    = `{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"arn:aws:dynamodb:*:*:table/${aws:PrincipalTag/table}"}`
		forRole     = `{"Effect":"Allow","Principal":{"AWS":"` + roleARN + `"},"Action":"dynamodb:GetItem","Resource":"*"}`
		forAccount  = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"*","Resource":"*"}`
		forOther    = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"*","Resource":"*"}`
		forRules    = `{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*","Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:events:e:1:rule/r"}}}`
		notForRole  = `{"Effect":"Deny","NotPrincipal":{"AWS":"` + roleARN + `"},"Action":"*","Resource":"*"}`
		forAll      = `{"Effect":"Allow","Principal":"*","Action":"sqs:*"}`
		forUsers    = `{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/id"},"Action":"sts:AssumeRoleWithWebIdentity"}`
	)
	get := Request{Principal: Principal{ARN: roleARN}, Action: "dynamodb:GetItem", Resource: table}
	put := Request{Principal: Principal{ARN: roleARN}, Action: "dynamodb:partiqlinsert", Resource: table}
	remove := Request{Principal: Principal{ARN: roleARN}, Action: "dynamodb:DeleteItem", Resource: table}
	send := Request{Principal: Principal{Service: "events.amazonaws.com"}, Action: "sqs:SendMessage", Resource: "arn:aws:sqs:e:1:q",
		Context: Context{"aws:SourceArn": {"arn:aws:events:e:1:rule/r"}}}
	foreign := send
	foreign.Context = Context{"aws:SourceArn": {"arn:aws:events:e:1:rule/other"}}
	tagged := get
	tagged.Context = Context{"aws:PrincipalTag/table": {"events"}}
	wild := get
	wild.Context = Context{"aws:PrincipalTag/table": {"*"}}

	user := Request{Principal: Principal{Federated: "arn:aws:iam::111122223333:oidc-provider/id"}, Action: "sts:AssumeRoleWithWebIdentity", Resource: roleARN}
	stranger := user
	stranger.Principal.Federated = "arn:aws:iam::111122223333:oidc-provider/other"

	list := func(statements ...string) []*Policy { return []*Policy{policy(t, statements...)} }
	for _, c := range []struct {
		name     string
		request  Request
		policies Policies
		allowed  bool
		reason   string
	}{
		{"nothing allows", get, Policies{}, false, "no identity-based policy"},
		{"action regardless of case", put, Policies{Identity: list(insert)}, true, ""},
		{"another action", get, Policies{Identity: list(insert)}, false, "no identity-based policy"},
		{"explicit deny wins", remove, Policies{Identity: list(everything, noDelete)}, false, `explicit deny in the statement "Immutable"`},
		{"deny does not reach others", get, Policies{Identity: list(everything, noDelete)}, true, ""},
		{"NotAction", get, Policies{Identity: list(notDynamoDB)}, false, "no identity-based policy"},
		{"NotResource", get, Policies{Identity: list(notTable)}, false, "no identity-based policy"},
		{"variable in a resource", tagged, Policies{Identity: list(ownItems)}, true, ""},
		{"variable without value", get, Policies{Identity: list(ownItems)}, false, "no identity-based policy"},
		{"variable's wildcard is literal", wild, Policies{Identity: list(ownItems)}, false, "no identity-based policy"},
		{"boundary limits", get, Policies{Identity: list(everything), Boundaries: list(insert)}, false, "no permissions boundary"},
		{"boundary grants nothing", put, Policies{Boundaries: list(insert)}, false, "no identity-based policy"},
		{"session policy limits", get, Policies{Identity: list(everything), Session: list(insert)}, false, "no session policy"},
		{"one session policy suffices", put, Policies{Identity: list(everything), Session: append(list(insert), list(notDynamoDB)...)}, true, ""},
		{"session policy grants nothing", put, Policies{Session: list(insert)}, false, "no identity-based policy"},
		{"session policy denies", remove, Policies{Identity: list(everything), Session: list(everything, noDelete)}, false, "explicit deny"},
		{"session policy limits resource policies", get, Policies{Resource: list(forRole), Session: list(insert)}, false, "no session policy"},
		{"user of a provider", user, Policies{Resource: list(forUsers), ResourceRules: true}, true, ""},
		{"user of another provider", stranger, Policies{Resource: list(forUsers), ResourceRules: true}, false, "no resource-based policy"},
		{"resource policy for the role suffices", get, Policies{Resource: list(forRole)}, true, ""},
		{"resource policy for the account delegates", get, Policies{Resource: list(forAccount)}, false, "no identity-based policy"},
		{"resource policy that delegates and allows", get, Policies{Resource: list(forAccount, forRole)}, true, ""},
		{"key needs its own policy", get, Policies{Identity: list(everything), ResourceRules: true}, false, "no resource-based policy"},
		{"key that delegates", get, Policies{Identity: list(everything), Resource: list(forAccount), ResourceRules: true}, true, ""},
		{"key of another account", get, Policies{Identity: list(everything), Resource: list(forOther), ResourceRules: true}, false, "no resource-based policy"},
		{"service with its source", send, Policies{Resource: list(forRules)}, true, ""},
		{"service with another source", foreign, Policies{Resource: list(forRules)}, false, "no resource-based policy"},
		{"role is no service", get, Policies{Resource: list(forRules)}, false, "no identity-based policy"},
		{"NotPrincipal spares", get, Policies{Identity: list(everything), Resource: list(notForRole)}, true, ""},
		{"NotPrincipal denies", send, Policies{Resource: list(forRules, notForRole)}, false, "explicit deny"},
		{"anyone, resource implied", send, Policies{Resource: list(forAll)}, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Evaluate(c.request, c.policies)
			if d.Allowed != c.allowed || !strings.Contains(d.Reason, c.reason) {
				t.Errorf("got %v %q, want %v with %q", d.Allowed, d.Reason, c.allowed, c.reason)
			}
		})
	}
}
