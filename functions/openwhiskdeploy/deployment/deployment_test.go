package deployment_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/serverless-go/cdk/functions/openwhiskdeploy/deployment"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/api"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/openwhisktest"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/openwhisktest/contract"
	"net/http/httptest"
)

// account plays AWS: secrets by ARN, objects by key, both denied at first.
type account struct {
	secrets map[string]string
	objects map[string][]byte
	denied  int
}

func (a *account) deny() error {
	if a.denied == 0 {
		return nil
	}
	a.denied--
	return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not yet"}
}

func (a *account) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	if err := a.deny(); err != nil {
		return nil, err
	}
	secret, ok := a.secrets[*in.SecretId]
	if !ok {
		return nil, &smithy.GenericAPIError{Code: "ResourceNotFoundException", Message: "no such secret"}
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: &secret}, nil
}

func (a *account) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if err := a.deny(); err != nil {
		return nil, err
	}
	object, ok := a.objects[*in.Key]
	if !ok || aws.ToString(in.Bucket) != "assets" {
		return nil, &smithy.GenericAPIError{Code: "NoSuchKey", Message: "no such object"}
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(object))}, nil
}

// bundle packs a deployment whose actions' code is the given text.
func bundle(t *testing.T, pkg, code string, actions ...string) []byte {
	t.Helper()
	d := api.Deployment{Package: pkg, Workflow: "workflow", Triggers: []api.Event{{Name: "orders"}}}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	file := func(name string, data []byte) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range append(actions, "workflow") {
		d.Actions = append(d.Actions, api.Spec{Name: name, Kind: "go:1.20", Archive: name + ".zip"})
		file(name+".zip", []byte(code))
	}
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	file("deployment.json", data)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const stack = "arn:aws:cloudformation:eu-west-1:123456789012:stack/shop/7f"

func event(kind cfn.RequestType, id, host, pkg, key string) cfn.Event {
	return cfn.Event{RequestType: kind, StackID: stack, LogicalResourceID: "OpenWhisk", PhysicalResourceID: id,
		ResourceProperties: map[string]any{"ApiHost": host, "CredentialsArn": "plain", "Package": pkg, "Bucket": "assets", "Key": key}}
}

func handler(t *testing.T) (*deployment.Handler, *account) {
	a := &account{
		secrets: map[string]string{"plain": openwhisktest.Auth, "json": `{"auth": "` + openwhisktest.Auth + `", "n": 1}`, "wrong": "not-a-key"},
		objects: map[string][]byte{"v1": bundle(t, "shop", "1", "charge"), "v2": bundle(t, "shop", "2", "price"), "other": bundle(t, "store", "2"), "broken": []byte("no zip")},
	}
	return &deployment.Handler{Secrets: a, Objects: a, Pause: time.Millisecond}, a
}

// TestLife plays a stack's life: every request comes twice, as CloudFormation
// may send it.
func TestLife(t *testing.T) {
	double := openwhisktest.New(t)
	h, a := handler(t)
	var id string
	do := func(kind cfn.RequestType, pkg, key string) {
		t.Helper()
		before := id
		for range 2 {
			a.denied = 3
			got, data, err := h.Handle(t.Context(), event(kind, before, double.URL, pkg, key))
			if err != nil {
				t.Fatal(err)
			}
			if kind != cfn.RequestDelete {
				id = got
				if want := "/guest/" + pkg + "/workflow"; data["Action"] != want || data["Namespace"] != "guest" {
					t.Errorf("data %v, want the action %s", data, want)
				}
			} else if got != before {
				t.Errorf("deleting %s answers %s", before, got)
			}
		}
	}
	has := func(collection string, want ...string) {
		t.Helper()
		if got := double.Entities(collection); !slices.Equal(got, want) {
			t.Errorf("%s %v, want %v", collection, got, want)
		}
	}
	do(cfn.RequestCreate, "shop", "v1")
	created := id
	has("actions", "shop/charge", "shop/workflow")
	do(cfn.RequestUpdate, "shop", "v2")
	has("actions", "shop/price", "shop/workflow")
	do(cfn.RequestUpdate, "shop", "v1") // rolled back
	has("actions", "shop/charge", "shop/workflow")
	if id != created {
		t.Errorf("an update replaces %s by %s", created, id)
	}
	do(cfn.RequestUpdate, "store", "other")
	if id == created {
		t.Errorf("another package is no other resource: %s", id)
	}
	has("packages", "shop", "store")
	replacement := id
	id = created
	do(cfn.RequestDelete, "shop", "v1")
	has("packages", "store")
	has("triggers", "store.orders")
	id = replacement
	do(cfn.RequestDelete, "store", "other")
	for _, collection := range []string{"packages", "actions", "triggers", "rules"} {
		has(collection)
	}
}

// A failed deployment leaves what was there, and names a resource that can be
// deleted.
func TestFailedUpdate(t *testing.T) {
	double := openwhisktest.New(t)
	h, _ := handler(t)
	id, _, err := h.Handle(t.Context(), event(cfn.RequestCreate, "", double.URL, "shop", "v1"))
	if err != nil {
		t.Fatal(err)
	}
	armed := true
	double.Fault = func(r *http.Request) int {
		if armed && r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/rules/") {
			armed = false
			return http.StatusInternalServerError
		}
		return 0
	}
	got, _, err := h.Handle(t.Context(), event(cfn.RequestUpdate, id, double.URL, "shop", "v2"))
	if err == nil || got != id {
		t.Errorf("a failed update answers %s, %v", got, err)
	}
	if left := double.Entities("actions"); !slices.Equal(left, []string{"shop/charge", "shop/workflow"}) {
		t.Errorf("left: %v", left)
	}
}

// What was never deployed is deleted without a call.
func TestDeleteAfterFailedCreate(t *testing.T) {
	h, _ := handler(t)
	e := event(cfn.RequestCreate, "", "http://127.0.0.1:1", "shop", "v1")
	e.ResourceProperties["CredentialsArn"] = "missing"
	id, _, err := h.Handle(t.Context(), e)
	if err == nil {
		t.Fatal("deployed without credentials")
	}
	for _, id := range []string{id, "2036/01/01/[$LATEST]abc"} {
		e.RequestType, e.PhysicalResourceID = cfn.RequestDelete, id
		if _, _, err := h.Handle(t.Context(), e); err != nil {
			t.Errorf("delete %q: %v", id, err)
		}
	}
}

func TestErrors(t *testing.T) {
	double := openwhisktest.New(t)
	for _, test := range []struct {
		name   string
		change func(*cfn.Event, *account)
		want   string
	}{
		{"secret's form", func(e *cfn.Event, _ *account) { e.ResourceProperties["CredentialsArn"] = "wrong" }, "not of the form uuid:key"},
		{"no JSON", func(e *cfn.Event, _ *account) { e.ResourceProperties["CredentialsField"] = "auth" }, "the secret plain is no JSON object"},
		{"field", func(e *cfn.Event, _ *account) {
			e.ResourceProperties["CredentialsArn"], e.ResourceProperties["CredentialsField"] = "json", "n"
		}, "no text in its field n"},
		{"denied", func(_ *cfn.Event, a *account) { a.denied = 6 }, "read the credentials: api error AccessDenied"},
		{"object", func(e *cfn.Event, _ *account) { e.ResourceProperties["Key"] = "gone" }, "read the bundle s3://assets/gone"},
		{"no zip", func(e *cfn.Event, _ *account) { e.ResourceProperties["Key"] = "broken" }, "read the bundle s3://assets/broken"},
		{"package", func(e *cfn.Event, _ *account) { e.ResourceProperties["Key"] = "other" }, `the bundle is of package "store"`},
		{"namespace", func(e *cfn.Event, _ *account) {
			e.RequestType, e.PhysicalResourceID = cfn.RequestDelete, "openwhisk://elsewhere/guest/shop"
		}, "put the old ones back"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, a := handler(t)
			e := event(cfn.RequestCreate, "", double.URL, "shop", "v1")
			test.change(&e, a)
			_, _, err := h.Handle(t.Context(), e)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			for _, secret := range append(strings.Split(openwhisktest.Auth, ":"), "not-a-key") {
				if strings.Contains(errors.Join(err).Error(), secret) {
					t.Errorf("the error shows the key: %v", err)
				}
			}
		})
	}
	if left := double.Entities("packages"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestContract holds what the function sends against Apache's description.
func TestContract(t *testing.T) {
	check := contract.New(t, openwhisktest.New(t))
	server := httptest.NewServer(check)
	defer server.Close()
	h, _ := handler(t)
	e := event(cfn.RequestCreate, "", server.URL, "shop", "v1")
	e.ResourceProperties["CredentialsArn"], e.ResourceProperties["CredentialsField"] = "json", "auth"
	id, _, err := h.Handle(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	e.RequestType, e.PhysicalResourceID = cfn.RequestDelete, id
	if _, _, err := h.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if len(check.Operations) < 10 {
		t.Errorf("operations %v", check.Operations)
	}
}
