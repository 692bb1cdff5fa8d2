package document_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"

	"github.com/serverless-go/cdk/functions/jwks/document"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/test/engine"
)

func invoke(t *testing.T, d *document.Document, payload string) (out events.APIGatewayV2HTTPResponse) {
	t.Helper()
	reply, err := d.Invoke(t.Context(), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(reply, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDocument(t *testing.T) {
	double := engine.NewKMS(t)
	double.Signatures = &engine.SigV4{Service: "kms", Region: engine.Region}
	cfg := double.Config()
	cfg.RetryMaxAttempts = 1
	var ids []string
	for range 2 {
		made, err := kms.NewFromConfig(cfg).CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, *made.KeyMetadata.KeyId)
	}
	t.Setenv(schema.EnvSigningKeys, strings.Join(ids, " "))
	t.Setenv(schema.EnvJWKSMaxAge, "600")
	d, err := document.FromEnv(cfg)
	if err != nil {
		t.Fatal(err)
	}

	double.Fail("GetPublicKey", "ThrottlingException", 1)
	if out := invoke(t, d, `{}`); out.StatusCode != http.StatusServiceUnavailable || out.Headers["cache-control"] != "no-store" || out.Body != "" {
		t.Errorf("KMS throttles: %+v", out)
	}
	out := invoke(t, d, `{}`)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(out.Body), &set); err != nil || len(set.Keys) != 2 || set.Keys[0].KeyID == set.Keys[1].KeyID {
		t.Errorf("%s: error %v", out.Body, err)
	}
	for _, key := range set.Keys {
		if !key.IsPublic() || !key.Valid() {
			t.Errorf("key %+v", key)
		}
	}
	if out.StatusCode != http.StatusOK || out.Headers["cache-control"] != "public, max-age=600" || out.Headers["content-type"] != "application/jwk-set+json" {
		t.Errorf("%+v", out)
	}
	again := invoke(t, d, `{"headers": {"if-none-match": "`+strings.ReplaceAll(out.Headers["etag"], `"`, `\"`)+`"}}`)
	if again.StatusCode != http.StatusNotModified || again.Body != "" || again.Headers["etag"] != out.Headers["etag"] {
		t.Errorf("%+v", again)
	}
	if n := double.Calls("GetPublicKey"); n != 3 {
		t.Errorf("%d calls of KMS, want one per key and the one that failed", n)
	}
}

func TestFromEnvRefuses(t *testing.T) {
	t.Setenv(schema.EnvSigningKeys, " ")
	if _, err := document.FromEnv(engine.Endpoint{}.Config()); err == nil {
		t.Error("no keys are taken")
	}
	t.Setenv(schema.EnvSigningKeys, "key")
	for _, age := range []string{"-1", "1h", "86401"} {
		t.Setenv(schema.EnvJWKSMaxAge, age)
		if _, err := document.FromEnv(engine.Endpoint{}.Config()); err == nil {
			t.Errorf("max-age %s is taken", age)
		}
	}
}
