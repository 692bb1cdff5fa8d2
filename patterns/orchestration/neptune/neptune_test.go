package neptune_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/orchestration/neptune"
	"github.com/serverless-go/cdk/patterns/orchestration/neptune/neptunetest"
)

func provide(c aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
}

func cluster(s *neptunetest.Server) *neptune.Cluster {
	return &neptune.Cluster{Endpoint: s.URL, Region: s.Region, Credentials: provide(s.Credentials)}
}

var files = neptune.Load{Source: "s3://bucket/loads/1/", Format: "csv", Role: "arn:aws:iam::123456789012:role/loader"}

func TestLoad(t *testing.T) {
	server := neptunetest.New(t)
	server.Run(neptunetest.Steps("LOAD_IN_QUEUE", "LOAD_IN_PROGRESS")...)
	server.Run(neptunetest.Step{Status: "LOAD_FAILED", Feeds: []string{"LOAD_S3_READ_ERROR"}})
	c, ctx := cluster(server), t.Context()
	if found, err := c.FindLoad(ctx, files.Source); found != nil || err != nil {
		t.Fatalf("found %v, %v before the first load", found, err)
	}
	id, err := c.StartLoad(ctx, files)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"source": files.Source, "format": "csv", "iamRoleArn": files.Role, "region": server.Region, "mode": "NEW",
		"failOnError": "TRUE", "queueRequest": "TRUE", "updateSingleCardinalityProperties": "TRUE"}
	if diff := cmp.Diff(want, server.Loads()[0].Request); diff != "" {
		t.Error(diff)
	}
	for _, status := range []string{"LOAD_IN_QUEUE", "LOAD_IN_PROGRESS"} {
		if got, err := c.LoadStatus(ctx, id); err != nil || got.Overall.Status != status || got.Overall.Run != 1 {
			t.Errorf("%+v, %v, want %s", got, err, status)
		}
	}
	if err := c.CancelLoad(ctx, id); err != nil {
		t.Fatal(err)
	}
	again := files
	again.Resume = true
	if resumed, err := c.StartLoad(ctx, again); err != nil || resumed != id {
		t.Fatalf("resumed %s as %s, %v", id, resumed, err)
	}
	got, err := c.FindLoad(ctx, strings.TrimSuffix(files.Source, "/"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&neptune.LoadStatus{
		ID:          id,
		Overall:     neptune.Feed{URI: files.Source, Status: "LOAD_FAILED", Run: 2, Seconds: 3, Records: 7},
		FailedFeeds: []neptune.Feed{{URI: files.Source + "0.csv.gz", Status: "LOAD_S3_READ_ERROR", Run: 2, Seconds: 3, Records: 7}},
		Errors:      []neptune.LoadError{{Code: "EXAMPLE_ERROR", Message: "An example", File: files.Source + "0.csv.gz", Record: 2}},
	}, got); diff != "" {
		t.Error(diff)
	}
	if refused := server.Refused(); refused != nil {
		t.Error(refused)
	}
}

// TestDocumentedStatuses reads every status that there is.
func TestDocumentedStatuses(t *testing.T) {
	server := neptunetest.New(t)
	server.Run(neptunetest.Steps(neptunetest.Statuses...)...)
	c := cluster(server)
	id, err := c.StartLoad(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range neptunetest.Statuses {
		if got, err := c.LoadStatus(t.Context(), id); err != nil || got.Overall.Status != status {
			t.Errorf("%v, %v, want %s", got, err, status)
		}
	}
}

type asker interface {
	Query(ctx context.Context, query string, parameters map[string]any, into any) error
}

func TestQuery(t *testing.T) {
	const question = "MATCH (c:Customer {name: $who}) RETURN c.name AS name, 9007199254740993 AS big"
	for name, tt := range map[string]struct {
		service string
		asker   func(*neptunetest.Server) asker
	}{
		"cluster": {"neptune-db", func(s *neptunetest.Server) asker { return cluster(s) }},
		"analytics": {"neptune-graph", func(s *neptunetest.Server) asker {
			return &neptune.Graph{Endpoint: s.URL + "/", Region: s.Region, Credentials: provide(s.Credentials)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := neptunetest.New(t)
			server.Service = tt.service
			server.Answer = func(query string, parameters map[string]any) ([]map[string]any, error) {
				if query != question {
					return nil, fmt.Errorf("unknown: %s", query)
				}
				return []map[string]any{{"name": parameters["who"], "big": 9007199254740993}}, nil
			}
			graph := tt.asker(server)
			var rows []struct {
				Name string
				Big  any
			}
			if err := graph.Query(t.Context(), question, map[string]any{"who": "Ada & Ü +"}, &rows); err != nil {
				t.Fatal(err)
			}
			if len(rows) != 1 || rows[0].Name != "Ada & Ü +" || rows[0].Big != json.Number("9007199254740993") {
				t.Errorf("got %v", rows)
			}
			if err := graph.Query(t.Context(), question, nil, nil); err != nil {
				t.Error(err)
			}
			var refused *neptune.Error
			if err := graph.Query(t.Context(), "RETURN", nil, &rows); !errors.As(err, &refused) || refused.Code != "MalformedQueryException" || neptune.Temporary(err) {
				t.Errorf("got %v", err)
			}
			if err := graph.Query(t.Context(), question, nil, &struct{}{}); err == nil || neptune.Temporary(err) {
				t.Errorf("decoded rows into a struct: %v", err)
			}
			if err := graph.Query(t.Context(), question, map[string]any{"f": func() {}}, &rows); err == nil {
				t.Error("encoded a function")
			}
		})
	}
}

func TestSignatureIsChecked(t *testing.T) {
	server := neptunetest.New(t)
	good := server.Credentials
	for name, change := range map[string]func(*neptune.Cluster){
		"key":     func(c *neptune.Cluster) { bad := good; bad.AccessKeyID = "other"; c.Credentials = provide(bad) },
		"secret":  func(c *neptune.Cluster) { bad := good; bad.SecretAccessKey = "other"; c.Credentials = provide(bad) },
		"session": func(c *neptune.Cluster) { bad := good; bad.SessionToken = "other"; c.Credentials = provide(bad) },
		"region":  func(c *neptune.Cluster) { c.Region = "us-east-1" },
		"body":    func(c *neptune.Cluster) { c.HTTP = &http.Client{Transport: tampered{}} },
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(server)
			change(c)
			_, err := c.StartLoad(t.Context(), files)
			var refused *neptune.Error
			if !errors.As(err, &refused) || refused.HTTPStatus != http.StatusForbidden {
				t.Errorf("got %v", err)
			}
		})
	}
	if len(server.Loads()) != 0 {
		t.Error("a load was started")
	}
}

// tampered changes what was signed.
type tampered struct{}

func (tampered) RoundTrip(r *http.Request) (*http.Response, error) {
	r.URL.RawQuery = "loadId=other"
	return http.DefaultTransport.RoundTrip(r)
}

func TestErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare   func(*neptunetest.Server)
		temporary bool
		want      string
	}{
		"throttled":  {func(s *neptunetest.Server) { s.Fail("GET", "/loader", 400, "ThrottlingException") }, true, "400 ThrottlingException: as the test asks (request request-1)"},
		"too many":   {func(s *neptunetest.Server) { s.Fail("GET", "/loader", 429, "TooManyRequestsException") }, true, "429"},
		"internal":   {func(s *neptunetest.Server) { s.Fail("GET", "/loader", 500, "InternalFailureException") }, true, "500 InternalFailureException"},
		"query time": {func(s *neptunetest.Server) { s.Fail("GET", "/loader", 500, "TimeLimitExceededException") }, false, "500 TimeLimit"},
		"denied":     {func(s *neptunetest.Server) { s.Fail("GET", "/loader", 403, "AccessDeniedException") }, false, "403 AccessDenied"},
		"lost":       {func(s *neptunetest.Server) { s.Lose("GET", "/loader") }, true, "no answer"},
		"unknown":    {func(*neptunetest.Server) {}, false, "404 BulkLoadIdNotFoundException"},
	} {
		t.Run(name, func(t *testing.T) {
			server := neptunetest.New(t)
			tt.prepare(server)
			c := cluster(server)
			c.HTTP = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // or Go repeats a GET
			_, err := c.LoadStatus(t.Context(), "none")
			if err == nil || neptune.Temporary(err) != tt.temporary || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, temporary %t", err, neptune.Temporary(err))
			}
		})
	}
	none := &neptune.Cluster{Endpoint: "https://cluster.invalid:8182", Region: "eu-central-1", Credentials: aws.CredentialsProviderFunc(
		func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("none here") })}
	if err := none.Query(t.Context(), "RETURN 1", nil, nil); err == nil || neptune.Temporary(err) || !strings.Contains(err.Error(), "none here") {
		t.Errorf("got %v", err)
	}
}
