package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/serverless-go/cdk/patterns/security/identity"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/test/engine"
	"github.com/serverless-go/cdk/test/iam"
)

// refusedAs fails the test unless the broker refuses the token with the code,
// asks STS for nothing and tells nobody why.
func (w *world) refusedAs(t *testing.T, raw, set, code string) {
	t.Helper()
	before := w.sts.Calls("AssumeRole")
	payload, err := json.Marshal(schema.ImpersonationRequest{Token: raw, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := w.broker.Invoke(t.Context(), payload)
	if want := `{"error":"` + code + `"}`; err != nil || string(answer) != want {
		t.Errorf("answer %s, %v, want %s", answer, err, want)
	}
	if calls := w.sts.Calls("AssumeRole") - before; calls > 0 {
		t.Errorf("%d calls of STS", calls)
	}
	mustNotTell(t, "the log", w.logs.String(), secrets(raw, nil)...)
}

// deniedBySTS fails the test unless STS refuses what a broker without any
// checks of its own would ask for.
func (w *world) deniedBySTS(t *testing.T, sub, tenant string) {
	t.Helper()
	out, err := w.assume(t, w.sts.Start(w.brokerRole.ARN), func(in *sts.AssumeRoleInput) { in.Tags = stsTags("sub", sub, "tenant", tenant) })
	if code := errorCode(err); code != "AccessDenied" && code != "ValidationError" {
		t.Errorf("STS begins a session for %q of %q: %v, %v", sub, tenant, out, err)
	}
}

// Names that a tag must never have. Most are refused by three: the broker, STS
// and the trust policy; by the broker alone are letters that are not ASCII,
// for IAM cannot tell them.
var evilNames = []struct {
	name, value string
	brokerOnly  bool
}{
	{"separator", "ann#admin", false},
	{"only the separator", "#", false},
	{"wildcard", "*", false},
	{"wildcard within", "a*", false},
	{"single wildcard", "an?", false},
	{"path", "ann/bob", false},
	{"dot segments", "../bob", false},
	{"hidden name", ".ann", true},
	{"dots", "..", true},
	{"policy variable", "${aws:PrincipalTag/tenant}", false},
	{"escaped wildcard", "${*}", false},
	{"dollar", "a$", false},
	{"empty", "", false},
	{"colon", "order:acme", false},
	{"plus", "a+b", false},
	{"space", "ann ", false},
	{"only spaces", "  ", false},
	{"line break", "ann\nbob", false},
	{"NUL", "ann\x00", false},
	{"tab", "a\tnn", false},
	{"Cyrillic look-alike", "\u0430nn", true},
	{"full-width look-alike", "\uff41nn", true},
	{"full-width separator", "ann\uff03x", false},
	{"composed letter", "ren\u00e9", true},
	{"decomposed letter", "rene\u0301", false},
	{"zero-width space", "an\u200bn", false},
	{"zero-width joiner", "an\u200dn", false},
	{"soft hyphen", "an\u00adn", false},
	{"right-to-left override", "\u202enna", false},
	{"no-break space", "ann\u00a0", true},
	{"other digits", "\u0661\u0662", true},
	{"emoji", "ann\U0001f600", false},
	{"double encoding", "ann%23admin", false},
	{"HTML entity", "ann&#35;admin", false},
	{"quote", `ann"`, false},
	{"backslash", `ann\u0023x`, false},
	{"looks like a hash", "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", true},
	{"longer than OpenID Connect has", strings.Repeat("a", 256), false},
}

func TestAttackNames(t *testing.T) {
	w := newWorld(t, false)
	for _, c := range evilNames {
		t.Run("sub/"+c.name, func(t *testing.T) {
			w.refusedAs(t, user("acme", c.value).token(), "read-own", schema.RefusedToken)
			if !c.brokerOnly {
				w.deniedBySTS(t, c.value, "acme")
			}
		})
		t.Run("tenant/"+c.name, func(t *testing.T) {
			w.refusedAs(t, user(c.value, "ann").token(), "read-own", schema.RefusedToken)
			if !c.brokerOnly {
				w.deniedBySTS(t, "ann", c.value)
			}
		})
	}
}

func TestAttackImpersonation(t *testing.T) {
	w := newWorld(t, true)
	brokerConfig := func() aws.Config { return w.sts.Start(w.brokerRole.ARN) }
	ann := func() claims { return user("acme", "ann") }

	// Names
	t.Run("collision of tenant and subject", func(t *testing.T) {
		// Both would make the key a#b#c.
		for _, pair := range [][2]string{{"a#b", "c"}, {"a", "b#c"}} {
			w.refusedAs(t, user(pair[0], pair[1]).token(), "read-own", schema.RefusedToken)
			w.deniedBySTS(t, pair[1], pair[0])
		}
	})
	t.Run("collision of a prefix and a tenant", func(t *testing.T) {
		// The tenant named like a prefix has no items of the prefix.
		w.refusedAs(t, user("order:acme", "ann").token(), "tenant", schema.RefusedToken)
		c := w.as(t, user("order", "acme"), "tenant")
		if _, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &w.shared, Key: key("order:acme#7", "x")}); errorCode(err) != "AccessDeniedException" {
			t.Error(err)
		}
	})
	t.Run("long subject", func(t *testing.T) {
		// Hashed, as the construct says, and never cut.
		a, b := strings.Repeat("a", 100)+"1", strings.Repeat("a", 100)+"2"
		one, err := w.ask(t, user("acme", a).token(), "read-own")
		other, err2 := w.ask(t, user("acme", b).token(), "read-own")
		if err != nil || err2 != nil || one.Subject == other.Subject || !strings.HasPrefix(one.Subject, "sha256=") || len(one.Subject) > schema.MaxName {
			t.Errorf("subjects %q %q, %v %v", one.Subject, other.Subject, err, err2)
		}
	})
	t.Run("long tenant", func(t *testing.T) {
		w.refusedAs(t, user(strings.Repeat("a", 65), "ann").token(), "read-own", schema.RefusedToken)
		w.deniedBySTS(t, "ann", strings.Repeat("a", 65))
	})
	t.Run("tenant of another type", func(t *testing.T) {
		for _, v := range []any{nil, 7, true, []string{"acme"}, map[string]string{"acme": "x"}} {
			w.refusedAs(t, ann().with("org", v).token(), "read-own", schema.RefusedToken)
		}
	})
	t.Run("tenant in another claim", func(t *testing.T) {
		c := ann().with("tenant", "acme")
		delete(c, "org")
		w.refusedAs(t, c.token(), "read-own", schema.RefusedToken)
	})

	// Tokens
	t.Run("no token", func(t *testing.T) { w.refusedAs(t, "", "read-own", schema.RefusedToken) })
	t.Run("forged signature", func(t *testing.T) {
		w.refusedAs(t, ann().signed(forging, "at+jwt"), "read-own", schema.RefusedToken)
	})
	t.Run("unsigned token", func(t *testing.T) {
		parts := strings.Split(ann().token(), ".")
		w.refusedAs(t, "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0."+parts[1]+".", "read-own", schema.RefusedToken)
	})
	t.Run("payload of one token, signature of another", func(t *testing.T) {
		a, b := strings.Split(ann().token(), "."), strings.Split(user("acme", "bob").token(), ".")
		w.refusedAs(t, a[0]+"."+b[1]+"."+a[2], "read-own", schema.RefusedToken)
	})
	t.Run("token for another audience", func(t *testing.T) {
		w.refusedAs(t, ann().with("aud", "shop2").token(), "read-own", schema.RefusedToken)
	})
	t.Run("token of another issuer", func(t *testing.T) {
		w.refusedAs(t, ann().with("iss", issuer+"/").token(), "read-own", schema.RefusedToken)
	})
	t.Run("token of another type", func(t *testing.T) {
		w.refusedAs(t, ann().signed(signing, "logout+jwt"), "read-own", schema.RefusedToken)
	})

	// Providers
	t.Run("subject of another provider", func(t *testing.T) {
		const old, today = "https://old.example.com", "https://today.example.com"
		w.broker.Tenant, w.broker.Providers = "idp-0a1b", []string{today, schema.ProviderIAM}
		defer func() { w.broker.Tenant, w.broker.Providers = "", nil }()
		for _, idp := range []any{old, today + "/", "HTTPS://TODAY.EXAMPLE.COM", "", schema.ProviderCognito, nil, 7, []string{today}, map[string]any{"": today}} {
			w.refusedAs(t, user("acme", "1001").with(schema.ProviderClaim, idp).token(), "read-own", schema.RefusedToken)
		}
		w.refusedAs(t, user("acme", "1001").token(), "read-own", schema.RefusedToken)
		for _, idp := range w.broker.Providers {
			if r, err := w.ask(t, user("acme", "1001").with(schema.ProviderClaim, idp).token(), "read-own"); err != nil || r.Error != "" {
				t.Errorf("a user of %s: %v, %v", idp, r.Error, err)
			}
		}
	})

	// Clocks
	t.Run("token that ended within the leeway", func(t *testing.T) {
		w.refusedAs(t, ann().with("exp", time.Now().Add(-5*time.Second).Unix()).token(), "read-own", schema.RefusedToken)
	})
	t.Run("token without an end", func(t *testing.T) {
		c := ann()
		delete(c, "exp")
		w.refusedAs(t, c.token(), "read-own", schema.RefusedToken)
	})
	t.Run("token of the future", func(t *testing.T) {
		w.refusedAs(t, ann().with("nbf", time.Now().Add(5*time.Minute).Unix()).token(), "read-own", schema.RefusedToken)
	})
	t.Run("issuer's clock a little ahead", func(t *testing.T) {
		at := time.Now().Add(10 * time.Second).Unix()
		if r, err := w.ask(t, ann().with("nbf", at).with("iat", at).token(), "read-own"); err != nil || r.Error != "" {
			t.Errorf("refused: %v", err)
		}
	})

	// Permission sets
	t.Run("unknown permission set", func(t *testing.T) { w.refusedAs(t, ann().token(), "admin", schema.RefusedSet) })
	t.Run("no permission set", func(t *testing.T) { w.refusedAs(t, ann().token(), "", schema.RefusedSet) })
	t.Run("permission set that injects JSON", func(t *testing.T) {
		for _, set := range []string{
			`read-own","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}],"x":"`, `{"Effect":"Allow","Action":"*","Resource":"*"}`,
			"read-own\x00", "read-own ", "READ-OWN", "read-own,write-own", "*", "../write-own", "read\u2010own",
		} {
			w.refusedAs(t, ann().token(), set, schema.RefusedSet)
		}
	})
	t.Run("policy of the caller's own", func(t *testing.T) {
		for _, payload := range []string{
			`{"token":%q,"set":"read-own","policy":"{}"}`, `{"token":%q,"set":"read-own","sub":"bob"}`, `{"token":%q,"set":"read-own","sourceIdentity":"u-bob"}`,
			`{"token":%q,"set":"read-own","duration":43200}`, `{"token":%q,"set":"read-own"}{}`, `[{"token":%q,"set":"read-own"}]`, `{"token":%q,"set":["read-own","write-own"]}`,
		} {
			answer, err := w.broker.Invoke(t.Context(), fmt.Appendf(nil, payload, ann().token()))
			if err != nil || string(answer) != `{"error":"invalid_request"}` {
				t.Errorf("%s: %s, %v", payload, answer, err)
			}
		}
	})
	t.Run("huge request", func(t *testing.T) {
		payload, _ := json.Marshal(schema.ImpersonationRequest{Token: strings.Repeat("a", 1<<20), Set: "read-own"})
		if answer, err := w.broker.Invoke(t.Context(), payload); err != nil || string(answer) != `{"error":"invalid_request"}` {
			t.Errorf("%s, %v", answer, err)
		}
	})
	t.Run("narrow session writes", func(t *testing.T) {
		c := w.as(t, ann(), "read-own")
		if _, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &w.carts, Item: item("acme#ann", "x")}); errorCode(err) != "AccessDeniedException" {
			t.Error(err)
		}
	})
	t.Run("session policy wider than the role", func(t *testing.T) {
		out, err := w.assume(t, brokerConfig(), func(in *sts.AssumeRoleInput) {
			in.Policy = aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			action, resource string
			leading          []string
			want             bool
		}{
			{"dynamodb:GetItem", w.arn(w.carts), []string{"acme#ann"}, true},
			{"dynamodb:GetItem", w.arn(w.carts), []string{"acme#bob"}, false},
			{"dynamodb:Scan", w.arn(w.carts), nil, false},
			{"iam:CreateUser", "*", nil, false},
			{"sts:AssumeRole", w.role.ARN, nil, false},
		} {
			d := w.sts.Decide(*out.Credentials.AccessKeyId, c.action, c.resource, iam.Context{"dynamodb:LeadingKeys": c.leading})
			if d.Allowed != c.want {
				t.Errorf("%s with %v is %t, want %t", c.action, c.leading, d.Allowed, c.want)
			}
		}
	})

	// Confused deputies
	t.Run("inner function assumes the role", func(t *testing.T) {
		if _, err := w.assume(t, w.sts.Start(w.api.ARN), nil); errorCode(err) != "AccessDenied" {
			t.Error(err)
		}
	})
	t.Run("administrator assumes the role", func(t *testing.T) {
		admin := &iam.TemplateRole{ARN: "arn:aws:iam::" + engine.Account + ":role/admin", Policies: parsePolicies(t, `{"Effect":"Allow","Action":"*","Resource":"*"}`)}
		w.sts.AddRole(admin, nil)
		if _, err := w.assume(t, w.sts.Start(admin.ARN), nil); errorCode(err) != "AccessDenied" {
			t.Error(err)
		}
	})
	t.Run("broker without tags", func(t *testing.T) {
		_, err := w.assume(t, brokerConfig(), func(in *sts.AssumeRoleInput) { in.Tags, in.TransitiveTagKeys = nil, nil })
		if errorCode(err) != "AccessDenied" {
			t.Error(err)
		}
	})
	t.Run("broker with an extra tag", func(t *testing.T) {
		_, err := w.assume(t, brokerConfig(), func(in *sts.AssumeRoleInput) { in.Tags = stsTags("sub", "ann", "tenant", "acme", "admin", "true") })
		if errorCode(err) != "AccessDenied" {
			t.Error(err)
		}
	})
	t.Run("tag twice in two cases", func(t *testing.T) {
		_, err := w.assume(t, brokerConfig(), func(in *sts.AssumeRoleInput) { in.Tags = stsTags("sub", "ann", "tenant", "acme", "SUB", "bob") })
		if errorCode(err) != "ValidationError" {
			t.Error(err)
		}
	})
	t.Run("source identity spoofed at the start", func(t *testing.T) {
		for _, source := range []string{"ann@example.com", "root", "s-x"} {
			if _, err := w.assume(t, brokerConfig(), func(in *sts.AssumeRoleInput) { in.SourceIdentity = &source }); errorCode(err) != "AccessDenied" {
				t.Errorf("%s: %v", source, err)
			}
		}
		if _, err := w.assume(t, brokerConfig(), func(in *sts.AssumeRoleInput) { in.SourceIdentity = nil }); errorCode(err) != "AccessDenied" {
			t.Error(err)
		}
	})
	t.Run("session of another length", func(t *testing.T) {
		for _, seconds := range []int32{60, 7200, 43200} {
			if _, err := w.assume(t, brokerConfig(), func(in *sts.AssumeRoleInput) { in.DurationSeconds = &seconds }); errorCode(err) != "ValidationError" {
				t.Errorf("%d s: %v", seconds, err)
			}
		}
	})

	// Chains of roles: another role that lets users' sessions in, with any tags.
	next := &iam.TemplateRole{ARN: "arn:aws:iam::" + engine.Account + ":role/next", Trust: parsePolicies(t,
		`{"Effect":"Allow","Principal":{"AWS":"`+w.role.ARN+`"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}`)[0]}
	w.sts.AddRole(next, nil)
	chain := func(t *testing.T, change func(*sts.AssumeRoleInput)) (*sts.AssumeRoleOutput, error) {
		out, err := w.assume(t, brokerConfig(), nil)
		if err != nil {
			t.Fatal(err)
		}
		c := out.Credentials
		cfg := w.sts.Config(aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken})
		return w.assume(t, cfg, func(in *sts.AssumeRoleInput) {
			in.RoleArn, in.Tags, in.TransitiveTagKeys, in.SourceIdentity = &next.ARN, nil, nil, nil
			change(in)
		})
	}
	t.Run("chain keeps the user", func(t *testing.T) {
		if _, err := chain(t, func(*sts.AssumeRoleInput) {}); err != nil {
			t.Fatal(err)
		}
		all := w.sts.Assumed()
		if s := all[len(all)-1]; s.Role != next.ARN || s.Tags["sub"] != "ann" || s.Tags["tenant"] != "acme" || s.SourceIdentity != "u-test" {
			t.Errorf("session %+v", s)
		}
	})
	t.Run("transitive tag overridden in a chain", func(t *testing.T) {
		for _, tags := range [][]string{{"sub", "bob"}, {"tenant", "evil"}, {"Sub", "bob"}} {
			if _, err := chain(t, func(in *sts.AssumeRoleInput) { in.Tags = stsTags(tags...) }); errorCode(err) != "ValidationError" {
				t.Errorf("%v: %v", tags, err)
			}
		}
	})
	t.Run("source identity changed in a chain", func(t *testing.T) {
		if _, err := chain(t, func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("u-bob") }); errorCode(err) != "AccessDenied" {
			t.Error(err)
		}
	})
	t.Run("session policy escaped by a chain", func(t *testing.T) {
		// A session of a permission set cannot even begin it.
		u, err := w.users(nil).As(t.Context(), ann().token(), "write-own")
		if err != nil {
			t.Fatal(err)
		}
		c, err := u.Config().Credentials.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.assume(t, w.sts.Config(c), func(in *sts.AssumeRoleInput) {
			in.RoleArn, in.Tags, in.TransitiveTagKeys, in.SourceIdentity = &next.ARN, nil, nil, nil
		})
		if errorCode(err) != "AccessDenied" {
			t.Error(err)
		}
	})
	t.Run("tags of the role itself", func(t *testing.T) {
		// Tags that somebody puts on the role count for its sessions, whose own
		// win over them.
		other := newWorld(t, false)
		other.sts.AddRole(other.role, map[string]string{"sub": "bob", "Tenant": "evil"})
		r, err := other.ask(t, ann().token(), "read-own")
		if err != nil {
			t.Fatal(err)
		}
		for leading, want := range map[string]bool{"acme#ann": true, "evil#bob": false, "acme#bob": false, "evil#ann": false} {
			if d := other.sts.Decide(r.AccessKeyID, "dynamodb:GetItem", w.arn(w.carts), iam.Context{"dynamodb:LeadingKeys": {leading}}); d.Allowed != want {
				t.Errorf("%s: %t", leading, d.Allowed)
			}
		}
	})

	// Caches
	t.Run("cache crossing between users", func(t *testing.T) {
		const n = 300
		users := w.users(&identity.Options{MaxSessions: n / 3}) // many are pushed out
		var tokens [n]string
		for i := range tokens {
			tokens[i] = user(fmt.Sprintf("t%d", i%7), fmt.Sprintf("u%d", i)).token()
		}
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				for i := range n {
					i := (i*7 + worker*31) % n
					set := []string{"read-own", "write-own"}[(i+worker)%2]
					u, err := users.As(t.Context(), tokens[i], set)
					if err != nil {
						t.Error(err)
						return
					}
					c, err := u.Config().Credentials.Retrieve(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					own := fmt.Sprintf("t%d#u%d", i%7, i)
					if u.Key("") != own || !w.sts.Decide(c.AccessKeyID, "dynamodb:GetItem", w.arn(w.carts), iam.Context{"dynamodb:LeadingKeys": {own}}).Allowed ||
						w.sts.Decide(c.AccessKeyID, "dynamodb:PutItem", w.arn(w.carts), iam.Context{"dynamodb:LeadingKeys": {own}}).Allowed != (set == "write-own") {
						t.Errorf("user %d with %s got %s", i, set, u.Key(""))
					}
				}
			})
		}
		group.Wait()
	})
	t.Run("expired token with a live session", func(t *testing.T) {
		now := time.Now()
		clock := func() time.Time { return now }
		users := w.users(&identity.Options{Now: clock})
		raw := ann().with("exp", now.Add(2*time.Minute).Unix()).token()
		u, err := users.As(t.Context(), raw, "read-own")
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(2 * time.Minute)
		w.broker.Now = clock
		defer func() { w.broker.Now = nil }()
		if _, err := users.As(t.Context(), raw, "read-own"); !errors.Is(err, identity.ErrToken) {
			t.Errorf("the cache answers %v", err)
		}
		// Nor does a configuration that a handler kept.
		if _, err := dynamodb.NewFromConfig(u.Config()).GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &w.carts, Key: key("acme#ann", "x")}); !errors.Is(err, identity.ErrExpired) {
			t.Errorf("the kept configuration gives %v", err)
		}
	})
	t.Run("token with a changed end", func(t *testing.T) {
		users := w.users(nil)
		raw := ann().token()
		if _, err := users.As(t.Context(), raw, "read-own"); err != nil {
			t.Fatal(err)
		}
		last := map[bool]string{true: "B", false: "A"}[strings.HasSuffix(raw, "A")]
		if _, err := users.As(t.Context(), raw[:len(raw)-1]+last, "read-own"); !errors.Is(err, identity.ErrToken) {
			t.Errorf("a token that only looks alike gets %v", err)
		}
	})
	t.Run("token and set cut elsewhere", func(t *testing.T) {
		users := w.users(nil)
		raw := ann().token()
		if _, err := users.As(t.Context(), raw, "read-own"); err != nil {
			t.Fatal(err)
		}
		if _, err := users.As(t.Context(), raw+"r", "ead-own"); err == nil {
			t.Error("another pair with the same text has the session")
		}
	})
	t.Run("broker down", func(t *testing.T) {
		users := w.users(nil)
		raw := ann().token()
		w.sts.Fail("AssumeRole", "Throttling", 3)
		if u, err := users.As(t.Context(), raw, "read-own"); !errors.Is(err, identity.ErrUnavailable) || u != nil {
			t.Errorf("got %v, %v", u, err)
		}
		if _, err := users.As(t.Context(), raw, "read-own"); err != nil {
			t.Errorf("the failure is remembered: %v", err)
		}
	})
	t.Run("function's own rights", func(t *testing.T) {
		// The configuration of the function has credentials that may do everything.
		cfg := engine.DynamoDB(t).Config()
		users := identity.New(cfg, w, nil)
		u, err := users.As(t.Context(), ann().token(), "read-own")
		if err != nil {
			t.Fatal(err)
		}
		c, err := u.Config().Credentials.Retrieve(t.Context())
		own, _ := cfg.Credentials.Retrieve(t.Context())
		if err != nil || c.AccessKeyID == own.AccessKeyID {
			t.Errorf("credentials of the function, %v", err)
		}
		if cfg, err := identity.Config(t.Context()); !errors.Is(err, identity.ErrNobody) || cfg.Credentials != nil {
			t.Errorf("without a user: %v", err)
		}
	})
	t.Run("one user's key with another's secret", func(t *testing.T) {
		a, err := w.ask(t, ann().token(), "read-own")
		b, err2 := w.ask(t, user("acme", "bob").token(), "read-own")
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		cfg := w.gate.Config()
		cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: b.AccessKeyID, SecretAccessKey: a.SecretAccessKey, SessionToken: b.SessionToken}, nil
		})
		if _, err := dynamodb.NewFromConfig(cfg).GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &w.carts, Key: key("acme#bob", "x")}); errorCode(err) != "InvalidSignatureException" {
			t.Error(err)
		}
	})

	// Leaks
	t.Run("token and credentials in logs", func(t *testing.T) {
		raw := ann().token()
		r, err := w.ask(t, raw, "read-own")
		if err != nil {
			t.Fatal(err)
		}
		w.sts.Fail("AssumeRole", "Throttling", 3)
		w.ask(t, raw, "read-own")
		users := w.users(nil)
		u, err := users.As(t.Context(), raw, "read-own")
		if err != nil {
			t.Fatal(err)
		}
		c, _ := u.Config().Credentials.Retrieve(t.Context())
		slog.Info("user", "user", u, "config", u.Config(), "text", fmt.Sprintf("%v %+v %#v %s", u, u, u, u), "plain", fmt.Sprintf("%+v %#v", *u, *u))
		mustNotTell(t, "the log", w.logs.String(), append(secrets(raw, r), c.SecretAccessKey, c.SessionToken)...)
	})
	t.Run("errors of STS", func(t *testing.T) {
		// STS quotes names and tags in its messages; they go nowhere.
		w.sts.Fail("AssumeRole", "AccessDenied", 1)
		raw := user("acme", "very-secret-subject").token()
		r, err := w.ask(t, raw, "read-own")
		if err == nil || r != nil {
			t.Fatalf("answer %v", r)
		}
		for what, text := range map[string]string{"the answer": err.Error(), "the log": w.logs.String()} {
			mustNotTell(t, what, text, append(secrets(raw, nil), "very-secret-subject", "injected by the test")...)
		}
	})
	t.Run("names in CloudTrail", func(t *testing.T) {
		if _, err := w.ask(t, user("acme", "ann.smith@example.com").token(), "read-own"); err != nil {
			t.Fatal(err)
		}
		all := w.sts.Assumed()
		s := all[len(all)-1]
		mustNotTell(t, "a name", s.Name+s.SourceIdentity, "ann.smith", "example.com")
	})
	t.Run("subject that CloudTrail must not show", func(t *testing.T) {
		w.broker.Subjects = schema.SubjectsHash
		defer func() { w.broker.Subjects = schema.SubjectsHashLong }()
		if _, err := w.ask(t, user("acme", "auth0|ann.smith").token(), "read-own"); err != nil {
			t.Fatal(err)
		}
		all := w.sts.Assumed()
		if s := all[len(all)-1]; strings.Contains(fmt.Sprint(s.Tags, s.PolicyText), "ann.smith") {
			t.Errorf("tags %v", s.Tags)
		}
	})

	// Headers
	t.Run("token smuggled in headers", func(t *testing.T) {
		called := false
		handler := w.users(nil).HTTP("read-own", handlerFunc(func(context.Context, []byte) ([]byte, error) { called = true; return []byte("{}"), nil }))
		raw := ann().token()
		for _, headers := range []map[string]string{
			nil, {"authorization": raw}, {"authorization": "Basic " + raw}, {"authorization": "Bearer " + raw + "," + raw}, {"authorization": "Bearer " + raw + ",Bearer x"},
			{"authorization": "Bearer  " + raw}, {"authorization": "Bearer\t" + raw}, {"authorization": "Bearer " + raw + " "}, {"authorization": "Bearer " + raw + "\r\nX: y"},
			{"authorization": "Bearer " + raw, "Authorization": "Bearer " + raw}, {"x-authorization": "Bearer " + raw}, {"authorization": "Bearer " + strings.Repeat("a", 9000)},
		} {
			event, _ := json.Marshal(map[string]any{"version": "2.0", "headers": headers})
			answer, err := handler.Invoke(t.Context(), event)
			if err != nil || !strings.Contains(string(answer), `"statusCode":401`) || called {
				t.Errorf("%.60v: %s, %v, called %t", headers, answer, err, called)
			}
			mustNotTell(t, "the answer", string(answer), secrets(raw, nil)...)
		}
	})
}

type handlerFunc func(context.Context, []byte) ([]byte, error)

func (f handlerFunc) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return f(ctx, payload)
}

func (w *world) arn(table string) string {
	return "arn:aws:dynamodb:" + engine.Region + ":" + engine.Account + ":table/" + table
}

func parsePolicies(t *testing.T, statement string) []*iam.Policy {
	t.Helper()
	p, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":` + statement + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return []*iam.Policy{p}
}
