package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/serverless-go/cdk/functions/notebook"
	security "github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/test/e2e"
	"github.com/serverless-go/cdk/test/engine"
)

// notebooks drives a deployed gateway.
type notebooks struct {
	*testing.T
	*e2e.Deployment
	kms *engine.KMS
}

// deployGateway deploys the gateway, changed if change is not nil.
func deployGateway(t *testing.T, change func(*e2e.Template) error) *notebooks {
	t.Helper()
	template := system(t, "Gateway-dev")
	if change != nil {
		if err := change(template); err != nil {
			t.Fatal(err)
		}
	}
	kms := engine.NewKMS(t)
	d, err := e2e.Deploy(t.Context(), template, e2e.Options{
		DynamoDB: engine.DynamoDB(t).URL, Fauxqs: engine.Fauxqs(t).URL, KMS: kms.URL, Speed: 600, Patience: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return &notebooks{t, d, kms}
}

// in returns n for a subtest.
func (n *notebooks) in(t *testing.T) *notebooks { return &notebooks{t, n.Deployment, n.kms} }

// user is who the provider's token names.
func user(name string) map[string]string {
	return map[string]string{"iss": issuer, "aud": "carts", "sub": name, "scope": notebook.ReadScope + " " + notebook.WriteScope}
}

// send sends a request and checks its status.
func (n *notebooks) send(want int, r e2e.Request) *e2e.Response {
	n.Helper()
	got, err := n.Request(n.Context(), "APIApi", r)
	if err != nil {
		n.Fatal(err)
	}
	if got.Status != want {
		n.Errorf("%s %s: status %d, want %d: %s", r.Method, r.Path, got.Status, want, got.Body)
	}
	return got
}

type issued struct{ ID, Reference string }

// issue has a reference issued, with all of the user's scopes unless the body
// says otherwise.
func (n *notebooks) issue(name, body string) (i issued) {
	n.Helper()
	r := n.send(http.StatusCreated, e2e.Request{Method: http.MethodPost, Path: "/references", Claims: user(name), Body: []byte(body)})
	if err := json.Unmarshal(r.Body, &i); err != nil || i.Reference == "" {
		n.Fatalf("no reference: %v", err)
	}
	return i
}

func by(reference, method, path, body string) e2e.Request {
	return e2e.Request{Method: method, Path: path, Body: []byte(body), Header: map[string]string{security.ReferenceHeader: reference}}
}

// TestGateway follows a reference from its issue to its revocation.
func TestGateway(t *testing.T) {
	t.Parallel()
	n := deployGateway(t, nil)
	ann, bob := n.issue("ann", ""), n.issue("bob", "")

	// Written and read as the user: no function has a permission on notes.
	n.send(http.StatusOK, by(ann.Reference, "PUT", "/notes/shopping", `{"title":"Shopping","text":"milk"}`))
	n.send(http.StatusOK, by(bob.Reference, "PUT", "/notes/shopping", `{"title":"Bob's","text":"tea"}`))
	if r := n.send(http.StatusOK, by(ann.Reference, "GET", "/notes/shopping", "")); !strings.Contains(string(r.Body), "milk") {
		t.Errorf("ann reads %s", r.Body)
	}
	n.send(http.StatusNotFound, by(ann.Reference, "GET", "/notes/unknown", ""))

	file := by(ann.Reference, "PUT", "/notes/shopping/file", "\x00\xff%PDF")
	file.Header["Content-Type"] = "application/pdf"
	n.send(http.StatusOK, file)
	if r := n.send(http.StatusOK, by(ann.Reference, "GET", "/notes/shopping/file", "")); string(r.Body) != "\x00\xff%PDF" || r.Header["content-type"] != "application/pdf" {
		t.Errorf("ann's file is %q, %v", r.Body, r.Header)
	}
	n.send(http.StatusNotFound, by(bob.Reference, "GET", "/notes/shopping/file", ""))
	if r := n.send(http.StatusOK, by(ann.Reference, "GET", "/notes", "")); !strings.Contains(string(r.Body), `"file":"application/pdf"`) || strings.Contains(string(r.Body), "Bob") {
		t.Errorf("ann's notes are %s", r.Body)
	}
	n.checkJournal(map[string]int{notebook.Written: 2, notebook.FileWritten: 1})
	if denials := n.Denials(); len(denials) > 0 {
		t.Errorf("denied: %+v", denials)
	}

	t.Run("foreign items", func(t *testing.T) { n.in(t).testForeign() })
	t.Run("scopes", func(t *testing.T) { n.in(t).testScopes() })
	t.Run("smuggling", func(t *testing.T) { n.in(t).testSmuggling(ann.Reference) })
	t.Run("deletion", func(t *testing.T) {
		n := n.in(t)
		n.send(http.StatusOK, by(ann.Reference, "DELETE", "/notes/shopping", ""))
		n.send(http.StatusNotFound, by(ann.Reference, "GET", "/notes/shopping/file", ""))
		n.send(http.StatusOK, by(bob.Reference, "GET", "/notes/shopping", ""))
	})
	t.Run("revocation", func(t *testing.T) {
		n := n.in(t)
		n.send(http.StatusOK, e2e.Request{Method: "DELETE", Path: "/references/" + bob.ID, Claims: user("ann")}) // not ann's: nothing happens
		n.send(http.StatusOK, by(bob.Reference, "GET", "/notes", ""))
		n.send(http.StatusOK, e2e.Request{Method: "DELETE", Path: "/references/" + bob.ID, Claims: user("bob")})
		n.send(http.StatusForbidden, by(bob.Reference, "GET", "/notes", ""))
		n.send(http.StatusOK, by(ann.Reference, "GET", "/notes", ""))
	})
	t.Run("another provider before", func(t *testing.T) { n.in(t).testProvider() })
	t.Run("KMS fails", func(t *testing.T) {
		n := n.in(t)
		n.kms.Fail("Sign", "ThrottlingException", 1_000)
		eve := n.issue("eve", "")
		n.send(http.StatusInternalServerError, by(eve.Reference, "GET", "/notes", ""))
	})
	t.Run("logs", func(t *testing.T) { n.in(t).testLogs() })
}

// TestGatewayFailsClosed breaks one thing each time: what depends on it is
// refused, and nothing is changed.
func TestGatewayFailsClosed(t *testing.T) {
	t.Parallel()
	drop := func(prefix, action string) func(*e2e.Template) error {
		return func(template *e2e.Template) error {
			if template.DropActions(prefix, action) == 0 {
				return fmt.Errorf("no policy of %s allows %s", prefix, action)
			}
			return nil
		}
	}
	for _, c := range []struct {
		name       string
		change     func(*e2e.Template) error
		get, write int
	}{
		{"nothing", func(*e2e.Template) error { return nil }, http.StatusNotFound, http.StatusOK},
		{"permission to exchange", drop("NotesHandler", "execute-api:Invoke"), http.StatusNotFound, http.StatusServiceUnavailable},
		{"key of the exchange", drop("ExchangeSigningKey1", "kms:Sign"), http.StatusNotFound, http.StatusServiceUnavailable},
		{"permission of the journal", drop("JournalHandler", "dynamodb:PutItem"), http.StatusNotFound, http.StatusServiceUnavailable},
		{"trust of the users' role", drop("UsersUserRole", "sts:TagSession"), http.StatusServiceUnavailable, http.StatusServiceUnavailable},
		{"permission to read references", drop("APIReferencesAuthorizer", "dynamodb:GetItem"), http.StatusInternalServerError, http.StatusInternalServerError},
		{"removal of the reference", func(template *e2e.Template) error {
			id, err := template.Find("AWS::ApiGatewayV2::Integration", "APINotesIntegration")
			if err != nil {
				return err
			}
			return template.Resources[id].Set("RequestParameters", map[string]any{})
		}, http.StatusUnauthorized, http.StatusUnauthorized},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := deployGateway(t, c.change)
			ann := n.issue("ann", "").Reference
			n.send(c.get, by(ann, "GET", "/notes/a", ""))
			n.send(c.write, by(ann, "PUT", "/notes/a", `{"title":"A"}`))
			want := 0
			if c.write == http.StatusOK {
				want = 1
			}
			if got := len(n.scan("Notes")); got != want {
				t.Errorf("there are %d notes, want %d", got, want)
			}
		})
	}
}

// act returns the credentials that the broker gives for a user's token, as a
// function that is in a stranger's hands would get them.
func (n *notebooks) act(name, set string) (aws.Config, *security.ImpersonationResponse) {
	n.Helper()
	reference := n.issue(name, "").Reference
	event, err := json.Marshal(map[string]any{
		"version": "2.0", "type": "REQUEST", "routeKey": notebook.RouteList, "rawPath": "/notes", "rawQueryString": "",
		"headers": map[string]string{security.ReferenceHeader: reference}, "requestContext": map[string]any{"requestId": "r"},
	})
	if err != nil {
		n.Fatal(err)
	}
	answer, err := n.Invoke(n.Context(), "APIReferencesAuthorizerFunction", event)
	var authorized struct{ Context map[string]string }
	if err == nil {
		err = json.Unmarshal(answer, &authorized)
	}
	var request []byte
	if err == nil {
		request, err = json.Marshal(security.ImpersonationRequest{Token: authorized.Context[security.OpaqueToken], Set: set})
	}
	if err == nil {
		answer, err = n.Invoke(n.Context(), "UsersBrokerFunction", request)
	}
	var session security.ImpersonationResponse
	if err == nil {
		err = json.Unmarshal(answer, &session)
	}
	if err != nil || session.Error != "" {
		n.Fatalf("no session for %s: %v %s", name, err, session.Error)
	}
	return aws.Config{
		Region: engine.Region, BaseEndpoint: aws.String(n.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(session.AccessKeyID, session.SecretAccessKey, session.SessionToken),
	}, &session
}

// testForeign uses ann's session for what is bob's: the policies of the
// template refuse it, and no code of ours is asked.
func (n *notebooks) testForeign() {
	ctx := n.Context()
	cfg, ann := n.act("ann", notebook.WriteSet)
	_, bob := n.act("bob", notebook.ReadSet)
	reader, _ := n.act("ann", notebook.ReadSet)
	if ann.Tenant != bob.Tenant || ann.Subject == bob.Subject || strings.Contains(ann.Subject, "ann") {
		n.Fatalf("the sessions are of %s/%s and %s/%s", ann.Tenant, ann.Subject, bob.Tenant, bob.Subject)
	}
	table, err := n.Table("Notes")
	if err != nil {
		n.Fatal(err)
	}
	bucket, err := n.PhysicalName("AWS::S3::Bucket", "Files")
	if err != nil {
		n.Fatal(err)
	}
	key := func(of *security.ImpersonationResponse) map[string]types.AttributeValue {
		return map[string]types.AttributeValue{
			notebook.PK: &types.AttributeValueMemberS{Value: security.UserKey("", of.Tenant, of.Subject)},
			notebook.SK: &types.AttributeValueMemberS{Value: "shopping"},
		}
	}
	get := func(ctx context.Context, cfg aws.Config, of *security.ImpersonationResponse) error {
		out, err := dynamodb.NewFromConfig(cfg).GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: key(of)})
		if err == nil && len(out.Item) == 0 {
			err = errors.New("there is no such note")
		}
		return err
	}
	put := func(ctx context.Context, cfg aws.Config, of *security.ImpersonationResponse) error {
		_, err := dynamodb.NewFromConfig(cfg).PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: key(of)})
		return err
	}
	object := func(ctx context.Context, cfg aws.Config, of *security.ImpersonationResponse) error {
		_, err := s3.NewFromConfig(cfg).GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: aws.String(security.ObjectPrefix(of.Tenant, of.Subject) + "shopping")})
		return err
	}
	for _, c := range []struct {
		name    string
		do      func(context.Context, aws.Config, *security.ImpersonationResponse) error
		cfg     aws.Config
		of      *security.ImpersonationResponse
		allowed bool
	}{
		{"own note", get, cfg, ann, true},
		{"own file", object, cfg, ann, true},
		{"own note with the set that reads", get, reader, ann, true},
		{"bob's note", get, cfg, bob, false},
		{"bob's file", object, cfg, bob, false},
		{"writing bob's note", put, cfg, bob, false},
		{"writing with the set that reads", put, reader, ann, false},
	} {
		err := c.do(ctx, c.cfg, c.of)
		denied, ok := errors.AsType[smithy.APIError](err)
		if c.allowed && err != nil || !c.allowed && (!ok || !strings.HasPrefix(denied.ErrorCode(), "AccessDenied")) {
			n.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := dynamodb.NewFromConfig(cfg).Scan(ctx, &dynamodb.ScanInput{TableName: &table}); err == nil {
		n.Error("ann's session may scan")
	}
}

// testProvider uses a reference of the provider that there was before: its ann is
// not today's.
func (n *notebooks) testProvider() {
	n.send(http.StatusOK, by(n.issue("ann", "").Reference, "GET", "/notes", ""))
	before := n.issue("ann", "").Reference
	table, err := n.Table("APIReferencesTable")
	if err != nil {
		n.Fatal(err)
	}
	hash := sha256.Sum256([]byte(before))
	if _, err := dynamodb.NewFromConfig(engine.DynamoDB(n.T).Config()).UpdateItem(n.Context(), &dynamodb.UpdateItemInput{TableName: &table,
		Key: map[string]types.AttributeValue{
			security.ReferencePK: &types.AttributeValueMemberS{Value: security.ReferenceHashPrefix + base64.RawURLEncoding.EncodeToString(hash[:])},
			security.ReferenceSK: &types.AttributeValueMemberS{Value: security.ReferenceItem}},
		UpdateExpression:          aws.String("SET idp = :idp"),
		ConditionExpression:       aws.String("attribute_exists(idp)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":idp": &types.AttributeValueMemberS{Value: "https://before.example.com"}},
	}); err != nil {
		n.Fatal(err)
	}
	n.send(http.StatusUnauthorized, by(before, "GET", "/notes", ""))
}

// testScopes narrows a reference to what its owner wants.
func (n *notebooks) testScopes() {
	reader := n.issue("ann", `{"scope":"`+notebook.ReadScope+`"}`)
	n.send(http.StatusOK, by(reader.Reference, "GET", "/notes/shopping", ""))
	n.send(http.StatusForbidden, by(reader.Reference, "PUT", "/notes/shopping", `{"title":"x"}`))
	n.send(http.StatusForbidden, by(reader.Reference, "DELETE", "/notes/shopping", ""))
}

// testSmuggling brings more than a reference, or the wrong thing.
func (n *notebooks) testSmuggling(reference string) {
	n.send(http.StatusUnauthorized, e2e.Request{Method: "GET", Path: "/notes"})
	n.send(http.StatusUnauthorized, e2e.Request{Method: "GET", Path: "/notes", Claims: user("ann")})
	n.send(http.StatusForbidden, by(reference+"x", "GET", "/notes", ""))
	for name, value := range map[string]string{"Authorization": "Bearer x.y.z", "X-Internal-User": "bob", "Cookie": "session=" + reference} {
		r := by(reference, "GET", "/notes", "")
		r.Header[name] = value
		n.send(http.StatusForbidden, r)
	}
	n.send(http.StatusForbidden, by(reference, "GET", "/notes?after="+reference, ""))
	// References open neither what issues them nor what exchanges tokens.
	n.send(http.StatusUnauthorized, by(reference, "GET", "/references", ""))
	n.send(http.StatusForbidden, by(reference, "POST", "/exchange", ""))
}

// scan returns the items of a table.
func (n *notebooks) scan(prefix string) []map[string]types.AttributeValue {
	n.Helper()
	table, err := n.Table(prefix)
	if err != nil {
		n.Fatal(err)
	}
	out, err := dynamodb.NewFromConfig(engine.DynamoDB(n.T).Config()).Scan(n.Context(), &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
	if err != nil {
		n.Fatal(err)
	}
	return out.Items
}

// checkJournal counts the journal's entries, which say who acted for whom.
func (n *notebooks) checkJournal(want map[string]int) {
	n.Helper()
	got := map[string]int{}
	for _, item := range n.scan("Entries") {
		action, _ := item["action"].(*types.AttributeValueMemberS)
		by, _ := item["by"].(*types.AttributeValueMemberS)
		if by == nil || by.Value != notebook.NotesAudience {
			n.Errorf("an entry is by %v", by)
		}
		got[action.Value]++
	}
	for action, count := range want {
		if got[action] != count {
			n.Errorf("%d entries say %q, want %d", got[action], action, count)
		}
	}
}

// testLogs looks for secrets in what the functions wrote.
func (n *notebooks) testLogs() {
	for _, prefix := range []string{"APIReferencesAuthorizerFunction", "APIReferencesEndpointFunction", "NotesHandlerFunction", "JournalHandlerFunction", "UsersBrokerFunction", "ExchangeEndpointFunction"} {
		if err := n.Restart(prefix); err != nil { // so that the last lines are there
			n.Fatal(err)
		}
		lines, err := n.Logs(prefix)
		if err != nil {
			n.Fatal(err)
		}
		for _, line := range lines {
			if strings.Contains(line, "eyJ") || strings.Contains(line, security.ReferencePrefix) && !strings.Contains(line, "[redacted]") || strings.Contains(line, "milk") {
				n.Errorf("%s logged %s", prefix, line)
			}
		}
	}
}
