// Package deployment makes a namespace of Apache OpenWhisk hold what a stack
// says it should.
package deployment

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/serverless-go/cdk/functions/internal/resource"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/api"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/schema"
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
	// HTTP calls OpenWhisk; nil means http.DefaultClient.
	HTTP *http.Client
	// Pause is between two attempts at what a new permission allows, which
	// takes IAM some seconds to know; default 5 s.
	Pause time.Duration
}

// Handle makes OpenWhisk hold what the resource's properties say, or nothing
// when it is deleted. When CloudFormation rolls back, it says so with the
// properties of before, whose bundle is still there.
//
// The physical ID names host, namespace and package: when one of them changes,
// CloudFormation deletes the old deployment once the new one stands.
func (h *Handler) Handle(ctx context.Context, event cfn.Event) (physicalID string, data map[string]any, err error) {
	physicalID, data, err = h.handle(ctx, event)
	return physicalID, data, resource.Brief(ctx, err)
}

func (h *Handler) handle(ctx context.Context, event cfn.Event) (physicalID string, data map[string]any, err error) {
	physicalID = event.PhysicalResourceID
	if event.RequestType == cfn.RequestDelete && !strings.HasPrefix(physicalID, prefix) {
		return physicalID, nil, nil // it was never deployed
	}
	ctx, cancel := resource.WithMargin(ctx)
	defer cancel()
	p := properties(event.ResourceProperties)
	client, err := h.client(ctx, p)
	if err != nil {
		return physicalID, nil, err
	}
	namespace, err := client.Namespace(ctx)
	if err != nil {
		return physicalID, nil, err
	}
	id := prefix + strings.Join([]string{strings.TrimPrefix(client.Host, "https://"), namespace, p.text(schema.Package)}, "/")
	d := &api.Deployer{Client: client, Owner: event.StackID + "/" + event.LogicalResourceID}
	if event.RequestType == cfn.RequestDelete {
		if id != physicalID {
			return physicalID, nil, fmt.Errorf("the credentials belong to %s now, not to %s, which is to be deleted: put the old ones back in the secret", id, physicalID)
		}
		return physicalID, nil, d.Remove(ctx, p.text(schema.Package))
	}
	files, err := h.bundle(ctx, p)
	if err != nil {
		return physicalID, nil, err
	}
	var to api.Deployment
	if err := decode(files, schema.Deployment, &to); err != nil {
		return physicalID, nil, err
	}
	if to.Package != p.text(schema.Package) {
		return physicalID, nil, fmt.Errorf("property %s is %q, and the bundle is of package %q", schema.Package, p.text(schema.Package), to.Package)
	}
	// From here on something may be there to delete.
	return id, map[string]any{
		schema.Namespace: namespace,
		schema.Action:    "/" + namespace + "/" + to.Package + "/" + to.Workflow,
	}, d.Apply(ctx, &to, files)
}

// prefix begins the physical IDs of what was deployed.
const prefix = "openwhisk://"

// Properties of the custom resource.
type properties map[string]any

func (p properties) text(name string) string {
	s, _ := p[name].(string)
	return s
}

// client returns a client with the key that is in the secret now.
func (h *Handler) client(ctx context.Context, p properties) (*api.Client, error) {
	arn := p.text(schema.Credentials)
	text, _, err := resource.ReadSecret(ctx, h.Secrets, arn, p.text(schema.Field), h.Pause)
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	key, err := api.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("read the credentials: the secret %s: %w", arn, err)
	}
	return &api.Client{Host: strings.TrimSuffix(p.text(schema.APIHost), "/"), Key: key, HTTP: h.HTTP}, nil
}

// bundle returns the files that are deployed.
func (h *Handler) bundle(ctx context.Context, p properties) (fs.FS, error) {
	bucket, key := p.text(schema.Bucket), p.text(schema.Key)
	data, err := resource.ReadObject(ctx, h.Objects, bucket, key, h.Pause)
	if err != nil {
		return nil, fmt.Errorf("read the bundle s3://%s/%s: %w", bucket, key, err)
	}
	files, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("read the bundle s3://%s/%s: %w", bucket, key, err)
	}
	return files, nil
}

func decode(files fs.FS, name string, out any) error {
	data, err := fs.ReadFile(files, name)
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		return fmt.Errorf("read %s of the bundle: %w", name, err)
	}
	return nil
}
