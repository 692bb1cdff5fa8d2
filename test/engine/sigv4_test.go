package engine_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/serverless-go/cdk/test/engine"
)

// tamper changes requests after they were signed.
type tamper func(*http.Request)

func (f tamper) Do(r *http.Request) (*http.Response, error) {
	f(r)
	return http.DefaultClient.Do(r)
}

func TestSigV4(t *testing.T) {
	double := engine.NewKMS(t)
	session := aws.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "secret", SessionToken: "token", CanExpire: true, Expires: time.Now().Add(time.Hour)}
	expired := aws.Credentials{AccessKeyID: "ASIAOLD", SecretAccessKey: "secret", SessionToken: "token", CanExpire: true, Expires: time.Now().Add(-time.Second)}
	double.Signatures = &engine.SigV4{Service: "kms", Region: engine.Region, Credentials: func(id string) (aws.Credentials, bool) {
		for _, c := range []aws.Credentials{session, expired} {
			if c.AccessKeyID == id {
				return c, true
			}
		}
		return aws.Credentials{}, false
	}}
	other := session
	other.SecretAccessKey = "guess"
	noToken := session
	noToken.SessionToken = ""
	for _, tt := range []struct {
		name        string
		credentials aws.Credentials
		region      string
		tamper      tamper
		want        string // error code; "" for success
	}{
		{name: "right", credentials: session},
		{name: "secret", credentials: other, want: "InvalidSignatureException"},
		{name: "session token", credentials: noToken, want: "UnrecognizedClientException"},
		{name: "expired", credentials: expired, want: "ExpiredTokenException"},
		{name: "unknown", credentials: aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret"}, want: "UnrecognizedClientException"},
		{name: "region", credentials: session, region: "eu-west-1", want: "InvalidSignatureException"},
		{name: "unsigned", credentials: session, tamper: func(r *http.Request) { r.Header.Del("Authorization") }, want: "MissingAuthenticationTokenException"},
		{name: "target", credentials: session, tamper: func(r *http.Request) { r.Header.Set("X-Amz-Target", "TrentService.Decrypt") }, want: "InvalidSignatureException"},
		{name: "path", credentials: session, tamper: func(r *http.Request) { r.URL.Path = "/other" }, want: "InvalidSignatureException"},
		{name: "query", credentials: session, tamper: func(r *http.Request) { r.URL.RawQuery = "a=b" }, want: "InvalidSignatureException"},
		{name: "header", credentials: session, tamper: func(r *http.Request) { r.Header.Set("X-Amz-Extra", "1") }, want: "InvalidSignatureException"},
		{name: "date", credentials: session, tamper: func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(-time.Minute).Format("20060102T150405Z"))
		}, want: "InvalidSignatureException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := double.Config()
			cfg.RetryMaxAttempts = 1
			cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return tt.credentials, nil })
			if tt.region != "" {
				cfg.Region = tt.region
			}
			if tt.tamper != nil {
				cfg.HTTPClient = tt.tamper
			}
			_, err := kms.NewFromConfig(cfg).CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
			var api smithy.APIError
			if tt.want == "" && err != nil || tt.want != "" && (!errors.As(err, &api) || api.ErrorCode() != tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if n := double.Calls("CreateKey"); n != 1 {
		t.Errorf("%d calls counted, want the one that was signed", n)
	}

	later := engine.NewKMS(t)
	later.Signatures = &engine.SigV4{Service: "kms", Now: func() time.Time { return time.Now().Add(6 * time.Minute) }}
	cfg := later.Config()
	cfg.RetryMaxAttempts = 1
	_, err := kms.NewFromConfig(cfg).CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	if api := smithy.APIError(nil); !errors.As(err, &api) || api.ErrorCode() != "InvalidSignatureException" {
		t.Errorf("six minutes later: %v", err)
	}
}

func TestKMSSign(t *testing.T) {
	double := engine.NewKMS(t)
	double.Signatures = &engine.SigV4{Service: "kms", Region: engine.Region}
	cfg := double.Config()
	cfg.RetryMaxAttempts = 1
	client := kms.NewFromConfig(cfg)
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	public, err := client.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: made.KeyMetadata.KeyId})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKIXPublicKey(public.PublicKey)
	key, ok := parsed.(*ecdsa.PublicKey)
	if err != nil || !ok || *public.KeyId != *made.KeyMetadata.Arn {
		t.Fatalf("public key %T of %s, error %v", parsed, *public.KeyId, err)
	}
	message := []byte("message")
	digest := sha256.Sum256(message)
	for kind, m := range map[types.MessageType][]byte{types.MessageTypeRaw: message, types.MessageTypeDigest: digest[:]} {
		out, err := client.Sign(t.Context(), &kms.SignInput{KeyId: public.KeyId, Message: m, MessageType: kind, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
		if err != nil || !ecdsa.VerifyASN1(key, digest[:], out.Signature) {
			t.Errorf("%s: error %v, or the signature does not match", kind, err)
		}
	}
	for name, in := range map[string]*kms.SignInput{
		"ValidationException":      {KeyId: public.KeyId, Message: message, MessageType: types.MessageTypeDigest, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256},
		"NotFoundException":        {KeyId: aws.String("other"), Message: message, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256},
		"InvalidKeyUsageException": {KeyId: public.KeyId, Message: message, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha384},
	} {
		_, err := client.Sign(t.Context(), in)
		if api := smithy.APIError(nil); !errors.As(err, &api) || api.ErrorCode() != name {
			t.Errorf("error %v, want %s", err, name)
		}
	}
	double.Fail("Sign", "ThrottlingException", 1)
	in := &kms.SignInput{KeyId: public.KeyId, Message: message, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256}
	if _, err := client.Sign(t.Context(), in); err == nil {
		t.Error("a throttled call succeeded")
	}
	if _, err := client.Sign(t.Context(), in); err != nil {
		t.Errorf("after the throttling: %v", err)
	}
}
