package neptune

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Graph is a graph of Neptune Analytics. It is safe for use by several
// goroutines.
type Graph struct {
	// Endpoint is "https://" and the graph's name.
	Endpoint string
	// Region is the graph's.
	Region      string
	Credentials aws.CredentialsProvider
	// HTTP sends the requests.
	//
	// Default: http.DefaultClient.
	HTTP *http.Client
}

// Query answers an openCypher query, as [Cluster.Query] does. It needs
// neptune-graph:ReadDataViaQuery
// (https://docs.aws.amazon.com/neptune-analytics/latest/apiref/API_ExecuteQuery.html).
func (g *Graph) Query(ctx context.Context, query string, parameters map[string]any, into any) error {
	request := map[string]any{"query": query, "language": "OPEN_CYPHER"}
	if len(parameters) > 0 {
		request["parameters"] = parameters
	}
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("neptune: encode the query: %w", err)
	}
	c := &client{endpoint: g.Endpoint, region: g.Region, service: "neptune-graph", credentials: g.Credentials, http: g.HTTP}
	var answer struct{ Results json.RawMessage }
	if err := c.do(ctx, http.MethodPost, "/queries", "application/json", body, &answer); err != nil {
		return err
	}
	return rows(answer.Results, into)
}
