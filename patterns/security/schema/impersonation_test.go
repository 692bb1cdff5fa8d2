package schema_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/patterns/security/schema"
)

func TestSubjects(t *testing.T) {
	long := strings.Repeat("a", 65)
	for _, c := range []struct {
		how       schema.Subjects
		sub, want string // want empty: refused; "hash": a hash
	}{
		{schema.SubjectsPlain, "ann", "ann"},
		{schema.SubjectsPlain, "Ann.B_c-d@example.com", "Ann.B_c-d@example.com"},
		{schema.SubjectsPlain, strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{schema.SubjectsPlain, long, ""},
		{schema.SubjectsPlain, "auth0|ann", ""},
		{schema.SubjectsPlain, "", ""},
		{schema.SubjectsHashLong, "ann", "ann"},
		{schema.SubjectsHashLong, long, "hash"},
		{schema.SubjectsHashLong, strings.Repeat("a", 255), "hash"},
		{schema.SubjectsHashLong, strings.Repeat("a", 256), ""},
		{schema.SubjectsHashLong, long + "#", ""},
		{schema.SubjectsHashLong, "auth0|ann", ""},
		{schema.SubjectsHash, "ann", "hash"},
		{schema.SubjectsHash, "auth0|ann#*", "hash"},
		{schema.SubjectsHash, "ann b", ""},
		{schema.SubjectsHash, "\u0430nn", ""},
		{schema.SubjectsHash, "", ""},
		{"escape", "ann", ""},
	} {
		got, err := c.how.Subject(c.sub)
		if c.want == "hash" && err == nil && strings.HasPrefix(got, "sha256=") && len(got) == 50 {
			continue
		}
		if (err == nil) != (c.want != "") || err == nil && got != c.want {
			t.Errorf("%q: subject %q is %q, %v, want %q", c.how, c.sub, got, err, c.want)
		}
	}
}

func TestSetNames(t *testing.T) {
	for name, want := range map[string]bool{"read-own": true, "r": true, "": false, "-r": false, "Read": false, "read own": false, "r\n": false, strings.Repeat("a", 41): false} {
		if got := schema.IsSetName(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}

func TestSessionPolicy(t *testing.T) {
	got, err := schema.SessionPolicy([]schema.Permission{
		{Use: schema.UseIndex, On: []string{"arn:t/index/i"}, Keys: schema.TenantKeys, Prefix: "order:"},
		{Use: schema.UseReadObjects, On: []string{"arn:b"}},
		{Use: schema.UseKeyOfBucket, On: []string{"arn:k"}},
	})
	const want = `{"Version":"2012-10-17","Statement":[` +
		`{"Effect":"Allow","Action":["dynamodb:Query"],"Resource":["arn:t/index/i"],"Condition":{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["order:${aws:PrincipalTag/tenant}#*"]}}},` +
		`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:b/${aws:PrincipalTag/tenant}/${aws:PrincipalTag/sub}/*"]},` +
		`{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":["arn:k"]}]}`
	if err != nil || got != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
	for _, p := range []schema.Permission{
		{},
		{Use: "*", On: []string{"x"}},
		{Use: schema.UseReadItems, Keys: schema.OwnKeys},
		{Use: schema.UseReadItems, On: []string{"x"}},
		{Use: schema.UseReadItems, On: []string{"x"}, Keys: "all"},
		{Use: schema.UseReadObjects, On: []string{"x"}, Keys: schema.OwnKeys},
		{Use: schema.UseReadObjects, On: []string{strings.Repeat("x", 2048)}},
	} {
		if got, err := schema.SessionPolicy([]schema.Permission{p}); err == nil {
			t.Errorf("%+v is %s", p, got)
		}
	}
	if _, err := schema.SessionPolicy(nil); err == nil {
		t.Error("nothing is a policy")
	}
}

// Names that pass make keys and prefixes that no other names make.
func FuzzNames(f *testing.F) {
	f.Add("a#b", "c", "a", "b#c")
	f.Add("acme", "ann", "acme", "ann2")
	f.Add("a/b", "c", "a", "b/c")
	f.Add("sha256=x", "y", "sha256", "=x#y")
	f.Fuzz(func(t *testing.T, tenant, sub, tenant2, sub2 string) {
		for _, how := range []schema.Subjects{schema.SubjectsPlain, schema.SubjectsHashLong, schema.SubjectsHash} {
			a, err := how.Subject(sub)
			b, err2 := how.Subject(sub2)
			if err := errors.Join(err, err2, schema.Plain(tenant), schema.Plain(tenant2)); err != nil {
				continue
			}
			same := tenant == tenant2 && sub == sub2
			if (schema.UserKey("", tenant, a) == schema.UserKey("", tenant2, b)) != same {
				t.Errorf("%q of %q and %q of %q share a key", sub, tenant, sub2, tenant2)
			}
			// No prefix is the beginning of another's.
			if strings.HasPrefix(schema.ObjectPrefix(tenant, a), schema.ObjectPrefix(tenant2, b)) != same {
				t.Errorf("%q of %q and %q of %q share a prefix", sub, tenant, sub2, tenant2)
			}
			if (schema.SourceIdentity("i", tenant, sub) == schema.SourceIdentity("i", tenant2, sub2)) != same {
				t.Errorf("%q of %q and %q of %q share a source identity", sub, tenant, sub2, tenant2)
			}
		}
	})
}
