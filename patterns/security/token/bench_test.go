package token_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/security/token"
)

func BenchmarkVerify(b *testing.B) {
	p := newProvider(b)
	p.publish(jwks(jwk("ec", keys().ec.Public()), jwk("rsa", keys().rsa.Public())))
	v := verifier()
	v.Keys = token.NewRemoteKeys(p.URL, &token.RemoteKeysOptions{Client: p.client(), Now: func() time.Time { return now }})
	for name, raw := range map[string]string{
		"ES256": forge(header(), claims(), keys().ec),
		"RS256": forge(header().with("alg", "RS256").with("kid", "rsa"), claims(), keys().rsa),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIssuer has KMS on loopback: add the network to what is new.
func BenchmarkIssuer(b *testing.B) {
	_, client, id := newKMS(b)
	i := token.NewIssuer(issuer, token.NewSigner(client, id, nil), &token.IssuerOptions{MaxRate: 1 << 30})
	for name, subject := range map[string]func(int) string{
		"cached": func(int) string { return "user" },
		"new":    func(n int) string { return fmt.Sprint("user", n) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				if _, err := i.Token(context.Background(), token.Request{Subject: subject(n), Audience: audience, Scope: []string{"read", "write"}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
