// Package loader does what a GraphLoad's workflow asks: it writes CSV files
// from what Athena unloaded, has a Neptune cluster load them, and verifies with
// queries that the graph holds them.
//
// Every request may be repeated. Errors have types of their own, by whose names
// a workflow catches them.
package loader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/serverless-go/cdk/patterns/orchestration/graph"
	"github.com/serverless-go/cdk/patterns/orchestration/neptune"
)

// Handler answers a GraphLoad's requests.
type Handler struct {
	Objects Objects
	Bucket  string
	// Graph answers queries.
	Graph interface {
		Query(ctx context.Context, query string, parameters map[string]any, into any) error
	}
	// Cluster loads files, read as the role. It is nil for Neptune Analytics,
	// whose imports the workflow starts itself.
	Cluster Cluster
	Role    string
	// FileSize is how many bytes a CSV file has before it is compressed. The
	// loader reads files side by side; one must fit the function's memory.
	//
	// Default: 32 MiB.
	FileSize int
}

// Objects is what the handler does in S3.
type Objects interface {
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Cluster is what the handler asks of a Neptune cluster's loader.
type Cluster interface {
	StartLoad(context.Context, neptune.Load) (id string, err error)
	LoadStatus(ctx context.Context, id string) (*neptune.LoadStatus, error)
	FindLoad(ctx context.Context, source string) (*neptune.LoadStatus, error)
	CancelLoad(ctx context.Context, id string) error
}

// FromEnv returns the handler over what the environment names.
func FromEnv(cfg aws.Config) (*Handler, error) {
	bucket, endpoint, role := os.Getenv(graph.EnvBucket), os.Getenv(graph.EnvEndpoint), os.Getenv(graph.EnvRole)
	if bucket == "" || endpoint == "" {
		return nil, fmt.Errorf("graphload: %s is %q, %s is %q; both must be set, GraphLoad sets them",
			graph.EnvBucket, bucket, graph.EnvEndpoint, endpoint)
	}
	h := &Handler{Objects: s3.NewFromConfig(cfg), Bucket: bucket, Role: role}
	if role == "" {
		h.Graph = &neptune.Graph{Endpoint: endpoint, Region: cfg.Region, Credentials: cfg.Credentials}
		return h, nil
	}
	cluster := &neptune.Cluster{Endpoint: endpoint, Region: cfg.Region, Credentials: cfg.Credentials}
	h.Graph, h.Cluster = cluster, cluster
	return h, nil
}

// Invoke answers a request in JSON. It makes Handler a handler for lambda.Start.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var request graph.Request
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return nil, &InvalidRequestError{"read the request: " + err.Error()}
	}
	response, err := h.Handle(ctx, request)
	if err != nil {
		return nil, err
	}
	return json.Marshal(response)
}

// Handle answers a request. Its errors are those of this package.
func (h *Handler) Handle(ctx context.Context, r graph.Request) (response graph.Response, err error) {
	switch {
	case r.Write != nil:
		response.Written, err = h.write(ctx, r.Write)
	case r.Raise != nil:
		err = raise(r.Raise)
	case r.Verify != nil:
		response.Verified, err = h.verify(ctx, r.Verify)
	case h.Cluster == nil:
		err = &InvalidRequestError{"only write, verify and raise can be asked for without a cluster"}
	case r.Start != nil:
		response.Load, err = h.start(ctx, r.Start)
	case r.Poll != nil:
		response.Progress, err = h.poll(ctx, r.Poll)
	case r.Cancel != nil:
		err = h.cancel(ctx, r.Cancel)
	default:
		err = &InvalidRequestError{"want one of write, start, poll, cancel, raise and verify"}
	}
	return response, named(err)
}

// named returns the error with the type that its name at Step Functions comes
// from, which is that of the outermost one.
func named(err error) error {
	var (
		own interface {
			error
			graphLoad()
		}
		refused *neptune.Error
		aws     smithy.APIError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case neptune.Temporary(err):
		return &UnavailableError{err}
	case errors.As(err, &refused):
		return &RefusedError{err}
	case errors.As(err, &aws) && aws.ErrorFault() == smithy.FaultClient && aws.ErrorCode() != "SlowDown":
		return &RefusedError{err}
	}
	return &UnavailableError{err}
}
