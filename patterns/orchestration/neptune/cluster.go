package neptune

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Cluster is a Neptune cluster with IAM authentication, called from its VPC. It
// is safe for use by several goroutines.
type Cluster struct {
	// Endpoint is "https://", the cluster's name and its port.
	Endpoint string
	// Region is the cluster's.
	Region      string
	Credentials aws.CredentialsProvider
	// HTTP sends the requests.
	//
	// Default: http.DefaultClient.
	HTTP *http.Client
}

func (c *Cluster) client() *client {
	return &client{endpoint: c.Endpoint, region: c.Region, service: "neptune-db", credentials: c.Credentials, http: c.HTTP}
}

// Query answers an openCypher query. Into is a pointer to a slice of structs or
// maps with a field for each name after RETURN, or nil. Numbers in an any
// become json.Number.
//
// It needs neptune-db:ReadDataViaQuery, and for queries that change the graph
// WriteDataViaQuery or DeleteDataViaQuery
// (https://docs.aws.amazon.com/neptune/latest/userguide/access-graph-opencypher-queries.html).
func (c *Cluster) Query(ctx context.Context, query string, parameters map[string]any, into any) error {
	form := url.Values{"query": {query}}
	if len(parameters) > 0 {
		encoded, err := json.Marshal(parameters)
		if err != nil {
			return fmt.Errorf("neptune: encode the parameters: %w", err)
		}
		form.Set("parameters", string(encoded))
	}
	var answer struct{ Results json.RawMessage }
	if err := c.client().do(ctx, http.MethodPost, "/openCypher", "application/x-www-form-urlencoded",
		[]byte(form.Encode()), &answer); err != nil {
		return err
	}
	return rows(answer.Results, into)
}

// Load asks for files to be loaded
// (https://docs.aws.amazon.com/neptune/latest/userguide/load-api-reference-load.html).
type Load struct {
	// Source is the S3 URI that the files' URIs start with.
	Source string
	// Format is one of the loader's, such as "csv" or "opencypher".
	Format string
	// Role is the ARN of the role, associated with the cluster, that may read
	// the files.
	Role string
	// Resume goes on with the last load of the same source, which failed:
	// what it loaded is not loaded again.
	//
	// Default: a new load.
	Resume bool
}

// StartLoad starts a load, or queues it if another one runs, and returns its
// id. The load stops at the first error; what it loaded until then stays. In
// the format "csv", properties that are there already take the files' values.
//
// A call that is repeated starts a second load: see [Cluster.FindLoad]. It
// needs neptune-db:StartLoaderJob.
func (c *Cluster) StartLoad(ctx context.Context, l Load) (id string, err error) {
	request := map[string]any{
		"source": l.Source, "format": l.Format, "iamRoleArn": l.Role, "region": c.Region,
		"mode": "NEW", "failOnError": "TRUE", "queueRequest": "TRUE",
	}
	if l.Resume {
		request["mode"] = "RESUME"
	}
	if l.Format == "csv" {
		request["updateSingleCardinalityProperties"] = "TRUE"
	}
	body, err := json.Marshal(request)
	if err != nil {
		return "", fmt.Errorf("neptune: %w", err)
	}
	var answer struct {
		Payload struct {
			LoadID string `json:"loadId"`
		}
	}
	if err := c.client().do(ctx, http.MethodPost, "/loader", "application/json", body, &answer); err != nil {
		return "", err
	}
	if answer.Payload.LoadID == "" {
		return "", fmt.Errorf("neptune: the loader answered without a load's id")
	}
	return answer.Payload.LoadID, nil
}

// LoadStatus is where a load stands
// (https://docs.aws.amazon.com/neptune/latest/userguide/load-api-reference-status-response.html).
type LoadStatus struct {
	ID      string // of the load
	Overall Feed
	// FailedFeeds are the files that could not be loaded.
	FailedFeeds []Feed
	// Errors are the first of those that were met in the files.
	Errors []LoadError
}

// Feed is where the loading of a file, or of all, stands.
type Feed struct {
	URI                    string `json:"fullUri"`
	Status                 string `json:"status"` // such as "LOAD_COMPLETED"
	Run                    int    `json:"runNumber"`
	Retry                  int    `json:"retryNumber"`
	Seconds                int    `json:"totalTimeSpent"`
	Records                int    `json:"totalRecords"`
	Duplicates             int    `json:"totalDuplicates"`
	ParsingErrors          int    `json:"parsingErrors"`
	DatatypeMismatchErrors int    `json:"datatypeMismatchErrors"`
	InsertErrors           int    `json:"insertErrors"`
}

// LoadError is an error in a file.
type LoadError struct {
	Code    string `json:"errorCode"`
	Message string `json:"errorMessage"`
	File    string `json:"fileName"`
	Record  int    `json:"recordNum"`
}

// LoadStatus returns where the load stands. It needs
// neptune-db:GetLoaderJobStatus.
func (c *Cluster) LoadStatus(ctx context.Context, id string) (*LoadStatus, error) {
	var answer struct {
		Payload struct {
			OverallStatus Feed
			FailedFeeds   []Feed
			Errors        struct{ ErrorLogs []LoadError }
		}
	}
	path := "/loader/" + url.PathEscape(id) + "?details=TRUE&errors=TRUE&errorsPerPage=3"
	if err := c.client().do(ctx, http.MethodGet, path, "", nil, &answer); err != nil {
		return nil, err
	}
	p := answer.Payload
	return &LoadStatus{ID: id, Overall: p.OverallStatus, FailedFeeds: p.FailedFeeds, Errors: p.Errors.ErrorLogs}, nil
}

// FindLoad returns the latest load of the source, or nil if there is none among
// the cluster's last hundred. It needs neptune-db:ListLoaderJobs and
// GetLoaderJobStatus.
func (c *Cluster) FindLoad(ctx context.Context, source string) (*LoadStatus, error) {
	var answer struct {
		Payload struct{ LoadIDs []string }
	}
	if err := c.client().do(ctx, http.MethodGet, "/loader?includeQueuedLoads=TRUE&limit=100", "", nil, &answer); err != nil {
		return nil, err
	}
	// The order of the list is not documented.
	var latest *LoadStatus
	for _, id := range answer.Payload.LoadIDs {
		status, err := c.LoadStatus(ctx, id)
		if err != nil {
			return nil, err
		}
		if strings.TrimSuffix(status.Overall.URI, "/") == strings.TrimSuffix(source, "/") && (latest == nil || status.Overall.Run > latest.Overall.Run) {
			latest = status
		}
	}
	return latest, nil
}

// CancelLoad stops a load; what it loaded stays. It needs
// neptune-db:CancelLoaderJob.
func (c *Cluster) CancelLoad(ctx context.Context, id string) error {
	return c.client().do(ctx, http.MethodDelete, "/loader/"+url.PathEscape(id), "", nil, nil)
}
