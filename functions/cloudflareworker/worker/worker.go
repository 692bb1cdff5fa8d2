// Package worker makes a Cloudflare account hold the Worker that a stack
// describes.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/serverless-go/cdk/functions/internal/resource"
	"github.com/serverless-go/cdk/patterns/edge/cloudflare"
	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// FromEnv returns the handler of the custom resource.
func FromEnv(cfg aws.Config) (awslambda.Handler, error) {
	h := &Handler{Secrets: secretsmanager.NewFromConfig(cfg), Objects: s3.NewFromConfig(cfg)}
	return awslambda.NewHandler(cfn.LambdaWrap(h.Handle)), nil
}

// Handler deploys.
type Handler struct {
	Secrets resource.Secrets
	Objects resource.Objects
	// Client is how Cloudflare is called; account and token are the resource's.
	Client cloudflare.Client
	// Pause is between two attempts at what a new permission allows, which
	// takes IAM some seconds to know; default 5 s.
	Pause time.Duration
}

// Handle makes the account hold the Worker that the resource's properties
// describe, or nothing when it is deleted. When CloudFormation rolls back, it
// says so with the properties of before, whose code is still there.
//
// The physical ID names account and script: when one of them changes,
// CloudFormation deletes the old Worker once the new one stands.
func (h *Handler) Handle(ctx context.Context, event cfn.Event) (physicalID string, data map[string]any, err error) {
	d := &deployment{Handler: h, event: event}
	physicalID, data, err = d.run(ctx)
	if err == nil {
		slog.InfoContext(ctx, "deployed", "request", event.RequestType, "resource", physicalID)
		return physicalID, data, nil
	}
	left := errors.Is(err, cloudflare.ErrNotRestored)
	err = d.scrub(err)
	if left {
		slog.ErrorContext(ctx, schema.CloudflareNotRestored, "resource", physicalID, "error", err)
	}
	return physicalID, data, resource.Brief(ctx, err)
}

// prefix begins the physical IDs of what was deployed.
const prefix = "cloudflare://"

// A deployment answers one request.
type deployment struct {
	*Handler
	event  cfn.Event
	hidden []string // what no error may show
}

func (d *deployment) run(ctx context.Context) (physicalID string, data map[string]any, err error) {
	physicalID = d.event.PhysicalResourceID
	if d.event.RequestType == cfn.RequestDelete && !strings.HasPrefix(physicalID, prefix) {
		return physicalID, nil, nil // it was never deployed
	}
	ctx, cancel := resource.WithMargin(ctx)
	defer cancel()
	var now schema.CloudflareWorker
	if err := resource.Properties(d.event.ResourceProperties, &now); err != nil {
		return physicalID, nil, err
	}
	deployer, err := d.deployer(ctx, &now)
	if err != nil {
		return physicalID, nil, err
	}
	if d.event.RequestType == cfn.RequestDelete {
		return physicalID, nil, deployer.Remove(ctx, described(&now))
	}
	w, err := d.worker(ctx, &now)
	if err != nil {
		return physicalID, nil, err
	}
	var before *cloudflare.Worker
	if d.event.RequestType == cfn.RequestUpdate {
		var old schema.CloudflareWorker
		if err := resource.Properties(d.event.OldResourceProperties, &old); err != nil {
			return physicalID, nil, err
		}
		if old.AccountID == now.AccountID { // else it is another resource
			before = described(&old)
		}
	}
	version, err := deployer.Apply(ctx, w, before)
	// From here on something may be there to delete.
	return prefix + now.AccountID + "/" + now.Name, map[string]any{schema.CloudflareVersion: version}, err
}

// deployer returns a deployer with the token that is in the secret now.
func (d *deployment) deployer(ctx context.Context, p *schema.CloudflareWorker) (*cloudflare.Deployer, error) {
	text, err := d.secret(ctx, p.Token)
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	client := d.Client
	client.Account = p.AccountID
	if client.Token, err = cloudflare.ParseToken(text.Text); err != nil {
		return nil, fmt.Errorf("read the token: the secret %s: %w", p.Token.ARN, err)
	}
	return &cloudflare.Deployer{Client: &client, Owner: d.event.StackID + "/" + d.event.LogicalResourceID}, nil
}

// secret reads a secret. What changes its version is another secret, another
// field or another value.
func (d *deployment) secret(ctx context.Context, s schema.CloudflareSecret) (cloudflare.Secret, error) {
	text, version, err := resource.ReadSecret(ctx, d.Secrets, s.ARN, s.Field, d.Pause)
	if err != nil {
		return cloudflare.Secret{}, err
	}
	d.hidden = append(d.hidden, text, strings.TrimSpace(text))
	return cloudflare.Secret{Text: text, Version: s.ARN + "#" + s.Field + "#" + version}, nil
}

// scrub takes all secrets out of an error: what Cloudflare says of a request may
// quote it.
func (d *deployment) scrub(err error) error {
	text := err.Error()
	for _, secret := range d.hidden {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "(redacted)")
		}
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// described returns the Worker as far as the properties tell.
func described(p *schema.CloudflareWorker) *cloudflare.Worker {
	w := &cloudflare.Worker{
		Name: p.Name, Variables: p.Variables, Namespaces: p.Namespaces, Probe: p.Probe, Revision: p.Revision,
	}
	for _, r := range p.Routes {
		w.Routes = append(w.Routes, cloudflare.Route{ZoneID: r.ZoneID, Pattern: r.Pattern})
	}
	for _, domain := range p.Domains {
		w.Domains = append(w.Domains, cloudflare.Domain{ZoneID: domain.ZoneID, Hostname: domain.Hostname})
	}
	for _, s := range p.Steps {
		w.Steps = append(w.Steps, cloudflare.Step{Percentage: s.Percentage, Wait: time.Duration(s.Seconds * float64(time.Second))})
	}
	return w
}

// worker returns the whole Worker, with its code and its secrets.
func (d *deployment) worker(ctx context.Context, p *schema.CloudflareWorker) (*cloudflare.Worker, error) {
	data, err := resource.ReadObject(ctx, d.Objects, p.Bucket, p.Key, d.Pause)
	var code schema.CloudflareCode
	if err == nil {
		err = json.Unmarshal(data, &code)
	}
	if err != nil {
		return nil, fmt.Errorf("read the code s3://%s/%s: %w", p.Bucket, p.Key, err)
	}
	w := described(p)
	w.Module, w.CompatibilityDate, w.CompatibilityFlags, w.Entries =
		code.Module, code.CompatibilityDate, code.CompatibilityFlags, code.Entries
	w.Secrets = map[string]cloudflare.Secret{}
	for _, name := range slices.Sorted(maps.Keys(p.Secrets)) {
		if w.Secrets[name], err = d.secret(ctx, p.Secrets[name]); err != nil {
			return nil, fmt.Errorf("read the secret for %s: %w", name, err)
		}
	}
	return w, nil
}
