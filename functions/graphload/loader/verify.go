package loader

import (
	"context"
	"fmt"
	"strings"

	"github.com/serverless-go/cdk/patterns/orchestration/graph"
)

// verify counts what bears the load's stamp, and asks the user's queries.
func (h *Handler) verify(ctx context.Context, v *graph.Verify) (*graph.Verified, error) {
	parameters := map[string]any{"load": v.Run}
	verified := &graph.Verified{}
	for _, t := range v.Tables {
		name := "`" + strings.ReplaceAll(t.Name, "`", "``") + "`"
		query := "MATCH (x:" + name + ") WHERE x." + graph.Stamp + " = $load RETURN count(x) AS n"
		if t.Relationship {
			query = "MATCH ()-[x:" + name + "]->() WHERE x." + graph.Stamp + " = $load RETURN count(x) AS n"
		}
		found, err := h.number(ctx, query, parameters)
		if err != nil {
			return nil, err
		}
		if int(found) != t.Rows {
			return nil, &VerificationError{fmt.Sprintf("the query of %s gave %d rows, but the graph holds %g of this load: "+
				"are its ids unique, and do both ends of each relationship exist?", t.Name, t.Rows, found)}
		}
		verified.Found += t.Rows
	}
	for _, c := range v.Checks {
		found, err := h.number(ctx, c.Query, parameters)
		if err != nil {
			return nil, err
		}
		if found < float64(c.AtLeast) {
			return nil, &VerificationError{fmt.Sprintf("%q returns %g, want at least %d", c.Query, found, c.AtLeast)}
		}
	}
	return verified, nil
}

// number asks a query that returns one number.
func (h *Handler) number(ctx context.Context, query string, parameters map[string]any) (float64, error) {
	var rows []map[string]any
	if err := h.Graph.Query(ctx, query, parameters, &rows); err != nil {
		return 0, err
	}
	if len(rows) == 1 && len(rows[0]) == 1 {
		for _, value := range rows[0] {
			if n, ok := value.(interface{ Float64() (float64, error) }); ok {
				return n.Float64()
			}
		}
	}
	return 0, &VerificationError{fmt.Sprintf("%q returns %v, want one row with one number", query, rows)}
}
