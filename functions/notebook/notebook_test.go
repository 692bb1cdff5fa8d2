package notebook_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/serverless-go/cdk/functions/notebook"
	"github.com/serverless-go/cdk/functions/notebook/journal"
	"github.com/serverless-go/cdk/functions/notebook/notes"
	"github.com/serverless-go/cdk/patterns/security/identity"
	"github.com/serverless-go/cdk/patterns/security/inner"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }

const issuer = "https://notes.example.com"

// newTable makes a table with the keys of notes and entries.
func newTable(t *testing.T, cfg aws.Config) (*dynamodb.Client, string) {
	t.Helper()
	db := dynamodb.NewFromConfig(cfg)
	table := "notebook-" + rand.Text()
	if _, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(notebook.PK), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(notebook.SK), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(notebook.PK), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(notebook.SK), KeyType: types.KeyTypeRange}},
	}); err != nil {
		t.Fatal(err)
	}
	return db, table
}

// newIssuer returns what makes tokens, and a door that takes those for the
// audience.
func newIssuer(t *testing.T, audience string, routes map[string][]string) (*token.Issuer, *inner.Door) {
	t.Helper()
	client := kms.NewFromConfig(engine.NewKMS(t).Config())
	key, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: kmstypes.KeySpecEccNistP256, KeyUsage: kmstypes.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	signer := token.NewSigner(client, *key.KeyMetadata.KeyId, nil)
	door, err := inner.New(&inner.Options{Verifier: &token.Verifier{Issuer: issuer, Audience: audience, Keys: token.SignerKeys{signer}}, Routes: routes})
	if err != nil {
		t.Fatal(err)
	}
	return token.NewIssuer(issuer, signer, nil), door
}

// broker gives everybody the same session, or fails.
type broker struct{ refusal string }

func (b *broker) Impersonate(context.Context, schema.ImpersonationRequest) (*schema.ImpersonationResponse, error) {
	if b.refusal == "down" {
		return nil, errors.New("down")
	}
	return &schema.ImpersonationResponse{Error: b.refusal, AccessKeyID: "a", SecretAccessKey: "b", SessionToken: "c",
		Expires: time.Now().Add(time.Hour), TokenExpires: time.Now().Add(time.Hour), Tenant: "t", Subject: "ann"}, nil
}

// records remembers changes, or refuses them.
type records struct {
	err  error
	list []string
}

func (r *records) Record(_ context.Context, action, note, _ string) error {
	if r.err == nil {
		r.list = append(r.list, action+" "+note)
	}
	return r.err
}

// notebooks is the service over DynamoDB Local.
type notebooks struct {
	*notes.Service
	faults *engine.Faults
	files  *files
	broker *broker
	book   *records
	door   *inner.Door
	token  string
}

func newNotebooks(t *testing.T) *notebooks {
	t.Helper()
	faults := &engine.Faults{}
	n := &notebooks{faults: faults, files: &files{next: faults, kept: map[string]kept{}, before: map[string]func(){}}, broker: &broker{}, book: &records{}}
	cfg := engine.DynamoDB(t).Config()
	_, table := newTable(t, cfg)
	cfg.HTTPClient = n.files
	cfg.RetryMaxAttempts = 1
	n.Service = &notes.Service{Users: identity.New(cfg, n.broker, nil), Table: table, Bucket: "files", Journal: n.book, Now: time.Now}
	routes := map[string][]string{}
	for route := range n.Mux() {
		routes[route] = []string{notebook.Scopes()[route]}
	}
	var tokens *token.Issuer
	tokens, n.door = newIssuer(t, notebook.NotesAudience, routes)
	provider, _ := json.Marshal("https://id.example.com")
	issued, err := tokens.Token(t.Context(), token.Request{Subject: "ann", Audience: notebook.NotesAudience,
		Scope: []string{notebook.ReadScope, notebook.WriteScope}, Private: map[string]json.RawMessage{schema.ProviderClaim: provider}})
	if err != nil {
		t.Fatal(err)
	}
	n.token = issued.Token
	return n
}

// send calls the route for the note.
func (n *notebooks) send(t *testing.T, route, note, contentType, body string) events.APIGatewayV2HTTPResponse {
	t.Helper()
	in := events.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: route, PathParameters: map[string]string{notebook.NoteParameter: note}, Body: body,
		Headers: map[string]string{"content-type": contentType}}
	in.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: map[string]any{schema.OpaqueToken: n.token}}
	payload, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := n.door.Middleware(n.Mux()).Invoke(t.Context(), payload)
	var answer events.APIGatewayV2HTTPResponse
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		return events.APIGatewayV2HTTPResponse{StatusCode: 500, Body: err.Error()}
	}
	return answer
}

// files plays S3, and pauses calls: before it has what happens ahead of the next
// call of an operation.
type files struct {
	next   aws.HTTPClient // DynamoDB
	kept   map[string]kept
	before map[string]func()
}

type kept struct {
	etag    string
	content []byte
}

func (f *files) Do(r *http.Request) (*http.Response, error) {
	operation := r.Method
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		operation = target[strings.LastIndexByte(target, '.')+1:]
	}
	if before := f.before[operation]; before != nil {
		delete(f.before, operation)
		before()
	}
	answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}
	now, ok := f.kept[r.URL.Path]
	switch operation {
	case http.MethodPut:
		content, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		f.kept[r.URL.Path] = kept{etag: `"` + rand.Text() + `"`, content: content}
		answer.Header.Set("ETag", f.kept[r.URL.Path].etag)
	case http.MethodGet:
		if !ok {
			answer.StatusCode = http.StatusForbidden // as for who may not list
		}
		answer.Body = io.NopCloser(bytes.NewReader(now.content))
	case http.MethodDelete:
		if match := r.Header.Get("If-Match"); match != "" && match != now.etag {
			answer.StatusCode = http.StatusPreconditionFailed
			break
		}
		delete(f.kept, r.URL.Path)
		answer.StatusCode = http.StatusNoContent
	default:
		return f.next.Do(r)
	}
	return answer, nil
}

// A file and its note go together, whatever comes between the calls that it
// takes.
func TestNotesFilesAndDeletion(t *testing.T) {
	const pdf, gone = "application/pdf", 404
	for _, c := range []struct {
		name   string
		route  string // what is paused
		before string // which of its calls
		do     []string
		want   int    // of what was paused
		file   string // that the note has in the end; empty: neither note nor file
	}{
		{"file put while its note is deleted", notebook.RouteDelete, "DeleteItem", []string{"put two"}, 200, ""},
		{"two files put while their note is deleted", notebook.RouteDelete, "DeleteItem", []string{"put two", "put three"}, 200, ""},
		{"note deleted while its file is put", notebook.RoutePutFile, "UpdateItem", []string{"delete"}, gone, ""},
		{"note deleted while its file is put, as another deletion is", notebook.RoutePutFile, "UpdateItem", []string{"delete", "delete"}, gone, ""},
		{"note made anew while its file is put", notebook.RoutePutFile, "UpdateItem", []string{"delete", "write", "put two", "delete"}, gone, ""},
		{"note deleted and made anew while it is deleted", notebook.RouteDelete, "DELETE", []string{"delete", "write", "put two"}, 200, ""},
		{"note without a file made anew while it is deleted", notebook.RouteDelete, "DeleteItem", []string{"delete", "write"}, 200, ""},
		{"note made anew before the file of the one before is taken away", notebook.RoutePutFile, "UpdateItem", []string{"delete, then before the next DELETE write and put two"}, gone, "two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNotebooks(t)
			do := func(what string) int {
				switch what {
				case "delete":
					return n.send(t, notebook.RouteDelete, "a", "", "").StatusCode
				case "write":
					return n.send(t, notebook.RouteWrite, "a", asJSON, `{"title":"A"}`).StatusCode
				}
				return n.send(t, notebook.RoutePutFile, "a", pdf, strings.TrimPrefix(what, "put ")).StatusCode
			}
			do("write")
			do("put one")
			n.files.before[c.before] = func() {
				for _, what := range c.do {
					if strings.HasPrefix(what, "delete,") {
						do("delete")
						n.files.before["DELETE"] = func() { do("write"); do("put two") }
						continue
					}
					if status := do(what); status != 200 {
						t.Errorf("%s: status %d", what, status)
					}
				}
			}
			what := "delete"
			if c.route == notebook.RoutePutFile {
				what = "put last"
			}
			if status := do(what); status != c.want {
				t.Errorf("status %d, want %d", status, c.want)
			}
			read, file := n.send(t, notebook.RouteRead, "a", "", ""), n.send(t, notebook.RouteFile, "a", "", "")
			content, _ := base64.StdEncoding.DecodeString(file.Body)
			switch {
			case c.file == "" && (read.StatusCode != gone || len(n.files.kept) > 0):
				t.Errorf("status %d, files %v: something is left", read.StatusCode, n.files.kept)
			case c.file != "" && (read.StatusCode != 200 || string(content) != c.file):
				t.Errorf("status %d, file %q", read.StatusCode, content)
			}
		})
	}
}

const asJSON = "application/json"

func TestNotes(t *testing.T) {
	n := newNotebooks(t)
	for _, c := range []struct {
		route, note, contentType, body string
		want                           int
		contains                       string
	}{
		{notebook.RouteRead, "a", "", "", 404, ""},
		{notebook.RouteWrite, "a", asJSON, `{"title":"A","text":"milk"}`, 200, `"text":"milk"`},
		{notebook.RouteWrite, "b", asJSON, `{"title":"B"}`, 200, ""},
		{notebook.RouteRead, "a", "", "", 200, `"title":"A"`},
		{notebook.RouteList, "", "", "", 200, `{"notes":[{"name":"a","title":"A","changed":`},
		{notebook.RouteFile, "a", "", "", 404, ""},
		{notebook.RouteWrite, "a", asJSON, `{"title":""}`, 422, "#/title"},
		{notebook.RouteWrite, "a", asJSON, `{"title":"` + strings.Repeat("x", notes.MaxTitle+1) + `"}`, 422, "#/title"},
		{notebook.RouteWrite, "a", asJSON, `{"title":"A","text":"` + strings.Repeat("x", notes.MaxText+1) + `"}`, 422, "#/text"},
		{notebook.RouteWrite, "a", asJSON, `{"title":"A","owner":"bob"}`, 400, "owner"},
		{notebook.RouteWrite, "../bob", asJSON, `{"title":"A"}`, 404, "name"},
		{notebook.RouteWrite, "A", asJSON, `{"title":"A"}`, 404, "name"},
		{notebook.RoutePutFile, "a", "application/pdf", "", 413, ""},
		{notebook.RoutePutFile, "a", "application/pdf", strings.Repeat("x", notes.MaxFile+1), 413, ""},
		{notebook.RoutePutFile, "a", "no type", "x", 415, ""},
		{notebook.RoutePutFile, "a", "text/csv", "caf\ufffd;1", 415, "application/octet-stream"},
		{notebook.RoutePutFile, "a", "text/plain; x=\"a\r\nb\"", "x", 415, ""},
		{notebook.RoutePutFile, "c", "application/pdf", "x", 404, ""},
	} {
		answer := n.send(t, c.route, c.note, c.contentType, c.body)
		if answer.StatusCode != c.want || !strings.Contains(answer.Body, c.contains) {
			t.Errorf("%s of %q: status %d, want %d with %q: %s", c.route, c.note, answer.StatusCode, c.want, c.contains, answer.Body)
		}
	}
	if got := strings.Join(n.book.list, ", "); got != "written a, written b" {
		t.Errorf("the journal has %q", got)
	}
}

// What fails is told, and nothing is changed without the journal's word.
func TestNotesFailClosed(t *testing.T) {
	for _, c := range []struct {
		name       string
		fail       func(*notebooks)
		want       int
		retryAfter bool
	}{
		{"journal", func(n *notebooks) { n.book.err = errors.New("down") }, http.StatusServiceUnavailable, true},
		{"broker", func(n *notebooks) { n.broker.refusal = "down" }, http.StatusServiceUnavailable, true},
		{"token", func(n *notebooks) { n.broker.refusal = schema.RefusedToken }, http.StatusUnauthorized, false},
		{"permission set", func(n *notebooks) { n.broker.refusal = schema.RefusedSet }, http.StatusInternalServerError, false},
		{"throttled", func(n *notebooks) { n.faults.Refuse("UpdateItem", "ProvisionedThroughputExceededException", 1) }, http.StatusServiceUnavailable, true},
		{"no right", func(n *notebooks) { n.faults.Refuse("UpdateItem", "AccessDeniedException", 1) }, http.StatusInternalServerError, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNotebooks(t)
			c.fail(n)
			answer := n.send(t, notebook.RouteWrite, "a", asJSON, `{"title":"A"}`)
			if answer.StatusCode != c.want || (answer.Headers["retry-after"] != "") != c.retryAfter {
				t.Errorf("status %d, want %d: %+v", answer.StatusCode, c.want, answer)
			}
			n.broker.refusal, n.book.err = "", nil
			if answer := n.send(t, notebook.RouteRead, "a", "", ""); answer.StatusCode != http.StatusNotFound {
				t.Errorf("the note is there: %+v", answer)
			}
		})
	}
}

func TestJournal(t *testing.T) {
	tokens, door := newIssuer(t, notebook.JournalAudience, map[string][]string{notebook.RouteRecord: {notebook.WriteScope}})
	db, table := newTable(t, engine.DynamoDB(t).Config())
	j := &journal.Journal{Door: door, DynamoDB: db, Table: table}
	idp := map[string]json.RawMessage{schema.ProviderClaim: json.RawMessage(`"https://id.example.com"`)}
	signAs := func(idp map[string]json.RawMessage, audience string, actor *token.Actor, scope ...string) string {
		issued, err := tokens.Token(t.Context(), token.Request{Subject: "ann", Private: idp, Audience: audience, Actor: actor, Scope: scope})
		if err != nil {
			t.Fatal(err)
		}
		return issued.Token
	}
	sign := func(audience string, actor *token.Actor, scope ...string) string {
		return signAs(idp, audience, actor, scope...)
	}
	actor := &token.Actor{Subject: notebook.NotesAudience}
	good := sign(notebook.JournalAudience, actor, notebook.WriteScope)
	for _, c := range []struct {
		name, token, action string
		refused, failed     bool
	}{
		{"good", good, notebook.Written, false, false},
		{"another action", good, "read", false, true},
		{"no token", "", notebook.Written, true, false},
		{"the notes' own token", sign(notebook.NotesAudience, actor, notebook.WriteScope), notebook.Written, true, false},
		{"nobody acts", sign(notebook.JournalAudience, nil, notebook.WriteScope), notebook.Written, true, false},
		{"no scope", sign(notebook.JournalAudience, actor), notebook.Written, true, false},
		{"nobody vouches", signAs(nil, notebook.JournalAudience, actor, notebook.WriteScope), notebook.Written, true, false},
		{"forged", good[:len(good)-4] + base64.RawURLEncoding.EncodeToString([]byte("xyz")), notebook.Written, true, false},
	} {
		got, err := j.Record(t.Context(), notebook.Change{Token: c.token, Action: c.action, Note: "a", Request: "r"})
		if (err != nil) != c.failed || err == nil && (got.Error != "") != c.refused || err == nil && (got.Entry == "") != c.refused {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	out, err := db.Scan(t.Context(), &dynamodb.ScanInput{TableName: &table})
	if err != nil || len(out.Items) != 1 {
		t.Fatalf("%d entries, %v", len(out.Items), err)
	}
	for name, want := range map[string]string{notebook.PK: journal.Owner("https://id.example.com", "ann"), "by": "notes", "note": "a", "action": notebook.Written, "request": "r"} {
		if v, _ := out.Items[0][name].(*types.AttributeValueMemberS); v == nil || v.Value != want {
			t.Errorf("%s is %v, want %s", name, out.Items[0][name], want)
		}
	}
}

func TestFromEnv(t *testing.T) {
	if _, err := notes.FromEnv(aws.Config{}); err == nil || !strings.Contains(err.Error(), notebook.EnvExchange) || !strings.Contains(err.Error(), schema.EnvBroker) {
		t.Errorf("notes: %v", err)
	}
	if _, err := journal.FromEnv(aws.Config{}); err == nil || !strings.Contains(err.Error(), notebook.EnvEntries) || !strings.Contains(err.Error(), schema.EnvInnerJWKS) {
		t.Errorf("journal: %v", err)
	}
}
