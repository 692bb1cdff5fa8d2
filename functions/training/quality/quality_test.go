package quality_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/functions/training/quality"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
)

func TestJudge(t *testing.T) {
	const bounds = `"bounds": [{"name": "rows", "min": 10}, {"name": "nulls", "max": 0.1}]`
	for name, tt := range map[string]struct {
		request  string
		want     map[string]float64
		problems []string
	}{
		"good": {`{` + bounds + `, "profile": {"Rows": [{"Data": [{"VarCharValue": "_col0"}, {"VarCharValue": "_col1"}]},
			{"Data": [{"VarCharValue": "10"}, {"VarCharValue": "1.0E-1"}]}]}}`, map[string]float64{"rows": 10, "nulls": 0.1}, nil},
		"bad": {`{` + bounds + `, "profile": {"Rows": [{}, {"Data": [{"VarCharValue": "9"}, {"VarCharValue": "0.2"}]}]}}`,
			nil, []string{"rows is 9; allowed is at least 10", "nulls is 0.2; allowed is at most 0.1"}},
		"no rows": {`{` + bounds + `, "profile": {"Rows": [{}, {"Data": [{"VarCharValue": "0"}, {}]}]}}`,
			nil, []string{"rows is 0; allowed is at least 10", "nulls is NULL; allowed is at most 0.1"}},
		"not a number": {`{` + bounds + `, "profile": {"Rows": [{}, {"Data": [{"VarCharValue": "many"}, {"VarCharValue": "NaN"}]}]}}`,
			nil, []string{`rows is "many", which is no number`, "nulls is NaN; allowed is at most 0.1"}},
		"other columns": {`{` + bounds + `, "profile": {"Rows": [{}, {"Data": [{"VarCharValue": "10"}]}]}}`,
			nil, []string{"the profile has 1 values for 2 bounds"}},
		"no profile": {`{` + bounds + `}`, nil, []string{"the profile has 0 rows, its names included; it must have 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			var r training.QualityRequest
			if err := json.Unmarshal([]byte(tt.request), &r); err != nil {
				t.Fatal(err)
			}
			got, err := quality.Judge(t.Context(), r)
			if tt.problems == nil {
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got.Values); diff != "" {
					t.Error(diff)
				}
				return
			}
			var bad *training.DataQualityError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, %v", got, err)
			}
			if diff := cmp.Diff(tt.problems, bad.Problems); diff != "" {
				t.Error(diff)
			}
		})
	}
}
