package exchange_test

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/serverless-go/cdk/patterns/security/exchange"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// The gateway may ask for tokens with which to call orders, and orders for
// payments; both are known by their IAM roles.
func ExampleNew() {
	var cfg aws.Config // from config.LoadDefaultConfig
	signer := token.NewSigner(kms.NewFromConfig(cfg), "alias/tokens", nil)
	service, err := exchange.New(exchange.Options{
		Issuer: token.NewIssuer("https://tokens.example.com", signer, nil),
		Subjects: []exchange.Source{
			{Verifier: token.Verifier{Issuer: "https://id.example.com", Keys: token.NewRemoteKeys("https://id.example.com/jwks.json", nil)}},
			{Verifier: token.Verifier{Issuer: "https://tokens.example.com", Keys: token.SignerKeys{signer}}},
		},
		Clients: map[string]string{
			"arn:aws:sts::123456789012:assumed-role/gateway": "gateway",
			"arn:aws:sts::123456789012:assumed-role/orders":  "orders",
		},
		Rules: []exchange.Rule{
			{Actor: "gateway", Audience: "orders", Scopes: []string{"read", "write"}},
			{Actor: "orders", Audience: "payments", Scopes: []string{"write"}},
		},
	})
	if err != nil {
		panic(err)
	}
	http.Handle("POST /token", service) // behind what calls exchange.WithClient
}

// Orders calls payments for whoever called orders.
func ExampleClient() {
	var cfg aws.Config // from config.LoadDefaultConfig
	client := exchange.NewClient("https://tokens.example.com/token", &exchange.ClientOptions{Sign: exchange.SignIAM(cfg)})
	payments := &http.Client{Transport: client.Transport("payments", http.DefaultTransport)}

	pay := func(ctx context.Context, verified string) error {
		ctx = exchange.WithSubject(ctx, verified)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://payments.example.com/payments", nil)
		if err != nil {
			return err
		}
		response, err := payments.Do(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	_ = pay
}
