package opaque

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// FromEnv makes an Authorizer of what the construct wrote into the function's
// environment.
func FromEnv(cfg aws.Config) (*Authorizer, error) {
	return fromEnv(cfg, os.Getenv)
}

func fromEnv(cfg aws.Config, getenv func(string) string) (*Authorizer, error) {
	e := env{get: getenv}
	a := &Authorizer{
		Audience: e.text(schema.EnvOpaqueAudience), Function: getenv("AWS_LAMBDA_FUNCTION_NAME"),
		Internal: strings.FieldsFunc(getenv(schema.EnvOpaqueInternal), func(r rune) bool { return r == ',' }),
	}
	e.json(schema.EnvOpaqueAudiences, &a.Audiences)
	revocation, life := e.duration(schema.EnvOpaqueRevocation), e.duration(schema.EnvOpaqueTokenLife)
	issuer, key := e.text(schema.EnvOpaqueIssuer), e.text(schema.EnvOpaqueKey)

	if endpoint := getenv(schema.EnvOpaqueIntrospection); endpoint != "" {
		a.Source = &Introspector{
			URL: endpoint, Issuer: e.text(schema.EnvOpaqueIntrospectionIssuer), Audience: e.text(schema.EnvOpaqueIntrospectionAudience),
			Tenant: getenv(schema.EnvReferencesTenant),
			Client: &SecretCredentials{Client: secretsmanager.NewFromConfig(cfg), ARN: e.text(schema.EnvOpaqueIntrospectionSecret)},
		}
	} else {
		a.Source = &Store{DynamoDB: dynamodb.NewFromConfig(cfg), Table: e.text(schema.EnvReferencesTable)}
	}
	kept := time.Duration(0)
	if getenv(schema.EnvOpaqueGatewayCache) == "true" {
		kept = revocation // and the function keeps nothing: the two would add up
	} else {
		a.Source = Cached(a.Source, revocation, nil)
	}
	rate := e.number(schema.EnvOpaqueSignatures)
	if err := errors.Join(e.errs...); err != nil {
		return nil, err
	}
	a.Issuer = token.NewIssuer(issuer, token.NewSigner(token.NewKMSClient(cfg), key, nil),
		&token.IssuerOptions{Lifetime: life, MinLife: minLife(life, kept), MaxRate: rate})
	return a, nil
}

// StoreFromEnv makes a Store of what the construct wrote into the environment of
// the function that issues references.
func StoreFromEnv(cfg aws.Config) (*Store, error) {
	return storeFromEnv(cfg, os.Getenv)
}

func storeFromEnv(cfg aws.Config, getenv func(string) string) (*Store, error) {
	e := env{get: getenv}
	s := &Store{
		DynamoDB: dynamodb.NewFromConfig(cfg), Table: e.text(schema.EnvReferencesTable),
		Max: e.number(schema.EnvReferencesMax), PerHour: e.number(schema.EnvReferencesPerHour), MaxLife: e.duration(schema.EnvReferencesMaxLife),
	}
	return s, errors.Join(e.errs...)
}

// env reads an environment and remembers what is wrong with it.
type env struct {
	get  func(string) string
	errs []error
}

func (e *env) wrong(name, what string) {
	e.errs = append(e.errs, fmt.Errorf("opaque: %s must be %s", name, what))
}

func (e *env) text(name string) string {
	v := e.get(name)
	if v == "" {
		e.wrong(name, "set")
	}
	return v
}

func (e *env) duration(name string) time.Duration {
	d, err := time.ParseDuration(e.get(name))
	if err != nil || d < 0 {
		e.wrong(name, "a duration")
	}
	return d
}

func (e *env) number(name string) int {
	n, err := strconv.Atoi(e.get(name))
	if err != nil || n < 1 {
		e.wrong(name, "a positive number")
	}
	return n
}

func (e *env) json(name string, v any) {
	if s := e.get(name); s != "" && json.Unmarshal([]byte(s), v) != nil {
		e.wrong(name, "JSON")
	}
}
