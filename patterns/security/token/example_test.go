package token_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/patterns/security/token"
)

func ExampleVerifier() {
	verifier := &token.Verifier{
		Issuer: "https://id.example.com", Audience: "orders",
		Keys: token.NewRemoteKeys("https://id.example.com/.well-known/jwks.json", nil),
	}
	http.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		claims, err := verifier.Verify(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		switch {
		case errors.Is(err, token.ErrUnavailable):
			w.WriteHeader(http.StatusServiceUnavailable)
		case err != nil:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			list(w, claims.Tenant, claims.Subject)
		}
	})
}

func list(http.ResponseWriter, string, string) {}

func ExampleIssuer() {
	var cfg aws.Config // from config.LoadDefaultConfig
	signer := token.NewSigner(token.NewKMSClient(cfg), "alias/tokens", nil)
	issuer := token.NewIssuer("https://tokens.example.com", signer, &token.IssuerOptions{Lifetime: 5 * time.Minute})

	issued, err := issuer.Token(context.Background(), token.Request{
		Subject: "ann", Tenant: "acme", Audience: "orders", Scope: []string{"read"},
	})
	if errors.Is(err, token.ErrUnavailable) {
		return // 503
	}
	_ = issued
}
