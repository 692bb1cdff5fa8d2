package broker_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/serverless-go/cdk/patterns/security/broker"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// believer takes any text for a token of that subject, of the tenant "acme".
type believer struct{}

func (believer) Verify(_ context.Context, raw string) (*token.Claims, error) {
	return &token.Claims{Issuer: issuer, Subject: raw, Tenant: "acme", Expiry: time.Now().Add(time.Hour)}, nil
}

// recorder notes what STS is asked.
type recorder struct{ in *sts.AssumeRoleInput }

func (r *recorder) AssumeRole(_ context.Context, in *sts.AssumeRoleInput, _ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	r.in = in
	text, end := "x", time.Now().Add(15*time.Minute)
	return &sts.AssumeRoleOutput{Credentials: &ststypes.Credentials{AccessKeyId: &text, SecretAccessKey: &text, SessionToken: &text, Expiration: &end}}, nil
}

// Whatever comes in, the broker never asks STS for other names, another policy
// or other tags than it may.
func FuzzInvoke(f *testing.F) {
	f.Add(`{"token":"ann","set":"read"}`)
	f.Add(`{"token":"a#b","set":"read"}`)
	f.Add(`{"token":"ann","set":"read","policy":"{}"}`)
	f.Add(`{"token":"ann","set":"read\",\"x\":\""}`)
	f.Add(`{"TOKEN":"ann","Set":"read","set":"write"}`)
	f.Add(`{"token":"` + strings.Repeat("a", 70) + `","set":"read"}`)
	f.Fuzz(func(t *testing.T, payload string) {
		for _, subjects := range []schema.Subjects{schema.SubjectsPlain, schema.SubjectsHashLong, schema.SubjectsHash} {
			r := &recorder{}
			b := &broker.Broker{Verifier: believer{}, STS: r, Role: "role", Subjects: subjects, Sets: map[string]string{"read": "{}"}}
			answer, err := b.Invoke(t.Context(), []byte(payload))
			var response schema.ImpersonationResponse
			if err != nil || json.Unmarshal(answer, &response) != nil {
				t.Fatalf("answer %s, %v", answer, err)
			}
			if (response.Error == "") != (r.in != nil) {
				t.Fatalf("answer %s, STS asked: %t", answer, r.in != nil)
			}
			if r.in == nil {
				continue
			}
			if *r.in.Policy != "{}" || *r.in.DurationSeconds != 900 || *r.in.RoleArn != "role" || len(r.in.Tags) != 2 || len(r.in.TransitiveTagKeys) != 2 {
				t.Errorf("asked for %+v", r.in)
			}
			for _, tag := range r.in.Tags {
				if v := *tag.Value; v == "" || len(v) > schema.MaxName || strings.ContainsAny(v, "#*?$/:+ {}") || strings.ContainsFunc(v, func(c rune) bool { return c > '~' || c < ' ' }) {
					t.Errorf("tag %q", v)
				}
			}
			for name, prefix := range map[string]string{*r.in.RoleSessionName: "s-", *r.in.SourceIdentity: "u-"} {
				if len(name) != 54 || !strings.HasPrefix(name, prefix) {
					t.Errorf("name %q", name)
				}
			}
		}
	})
}
