// Package training holds what a TrainingPipeline and the functions in it must
// agree on: what they are asked, what they answer, and the names of their
// errors, by which a workflow can catch them. It imports the standard library
// only.
package training

import (
	"fmt"
	"strings"
)

// ManifestRequest asks whether a manifest's files are what it says.
type ManifestRequest struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"` // of the manifest
	Prefix string `json:"prefix"`
}

// Manifest lists the files of a data set. Whoever puts the files into the raw
// zone writes it last, so that a data set that has a manifest is complete.
type Manifest struct {
	Dataset string `json:"dataset"`
	Files   []File `json:"files"`
}

// File is one file of a data set.
type File struct {
	Key   string `json:"key"`
	Bytes int64  `json:"bytes"`
	// SHA256 is the base64 that S3 keeps of an object that was uploaded whole
	// with a SHA-256 checksum. Empty: it is not compared.
	SHA256 string `json:"sha256,omitempty"`
}

// ManifestAnswer is what is known of a data set whose files were found.
type ManifestAnswer struct {
	Dataset string `json:"dataset"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
	// Version is the manifest's own in S3. Who reads this version reads what
	// was checked.
	Version string `json:"version"`
	// Digest is the SHA-256 of the manifest, in hexadecimal.
	Digest string `json:"digest"`
}

// Bound is the range that a measured value must lie in, both ends included. A
// bound without an end is open at that end.
type Bound struct {
	Name string   `json:"name"`
	Min  *float64 `json:"min,omitempty"`
	Max  *float64 `json:"max,omitempty"`
}

// Broken returns how the value breaks the bound, "" if it keeps it. NaN breaks
// every bound.
func (b Bound) Broken(value float64) string {
	if (b.Min == nil || value >= *b.Min) && (b.Max == nil || value <= *b.Max) && value == value {
		return ""
	}
	return fmt.Sprintf("%s is %v; allowed is %s", b.Name, value, b.Range())
}

// Range describes the bound: "0 to 1", "at least 0.9", "at most 10".
func (b Bound) Range() string {
	switch {
	case b.Min != nil && b.Max != nil:
		return fmt.Sprintf("%v to %v", *b.Min, *b.Max)
	case b.Min != nil:
		return fmt.Sprintf("at least %v", *b.Min)
	case b.Max != nil:
		return fmt.Sprintf("at most %v", *b.Max)
	default:
		return "any number"
	}
}

// Hold holds values against their bounds. The function measures a bound's
// value, or says what is wrong with it. Hold returns the values if all keep
// their bounds, else every problem.
func Hold(bounds []Bound, measure func(i int) (value float64, problem string)) (*Values, []string) {
	answer := &Values{Values: make(map[string]float64, len(bounds))}
	var problems []string
	for i, b := range bounds {
		value, problem := measure(i)
		if problem == "" {
			problem = b.Broken(value)
		}
		if problem != "" {
			problems = append(problems, problem)
			continue
		}
		answer.Values[b.Name] = value
	}
	if problems != nil {
		return nil, problems
	}
	return answer, nil
}

// QualityRequest asks whether a profile of data keeps its bounds.
type QualityRequest struct {
	// Bounds are those of the columns of the profile, in their order.
	Bounds []Bound `json:"bounds"`
	// Profile is what Athena's GetQueryResults returned: the row of names and
	// one row of values.
	Profile ResultSet `json:"profile"`
}

// ResultSet is Athena's form of a query's result.
type ResultSet struct {
	Rows []struct {
		Data []struct {
			VarCharValue *string // nil for NULL
		}
	}
}

// EvaluationRequest asks whether a model's metrics keep their bounds. The
// bounds' names are paths into the JSON of the evaluation, joined by dots:
// "binary_classification_metrics.auc"; an object at the end of the path stands
// for its "value", as in SageMaker's own reports.
type EvaluationRequest struct {
	Bucket string  `json:"bucket"`
	Key    string  `json:"key"`
	Bounds []Bound `json:"bounds"`
}

// Values is the answer to a QualityRequest or an EvaluationRequest whose bounds
// are kept: what was measured, by name.
type Values struct {
	Values map[string]float64 `json:"values"`
}

// ManifestError says that a manifest, or what it lists, is wrong. Asking again
// does not help; a new manifest does.
type ManifestError struct{ Problems []string }

func (e *ManifestError) Error() string { return join("manifest", e.Problems) }

// DataQualityError says that data is not good enough to train on.
type DataQualityError struct{ Problems []string }

func (e *DataQualityError) Error() string { return join("data quality", e.Problems) }

// MetricError says that a model is not good enough to be used.
type MetricError struct{ Problems []string }

func (e *MetricError) Error() string { return join("model", e.Problems) }

// CapacityError says that there is too little training capacity left now.
type CapacityError struct{ Pool, Problem string }

func (e *CapacityError) Error() string { return "pool " + e.Pool + ": " + e.Problem }

// UnavailableError says that a service did not answer as it should. Asking
// again, later, may help.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

func join(what string, problems []string) string {
	const most = 20 // Lambda and Step Functions cut long causes anyway
	rest := len(problems) - most
	if rest > 0 {
		problems = append(problems[:most:most], fmt.Sprintf("and %d more", rest))
	}
	return what + ": " + strings.Join(problems, "; ")
}

// The attributes of the item of an approval. The table's key is AttrRun.
const (
	AttrRun       = "run"       // S, the name of the execution
	AttrToken     = "token"     // S, of the task that waits; nobody but Step Functions and the approval API reads it
	AttrRequested = "requested" // S, when it was asked for, RFC 3339
	AttrExpires   = "expires"   // N, until when it can be decided, Unix seconds
	AttrRequest   = "request"   // S, JSON: what is to be approved
	AttrDecision  = "decision"  // S, DecisionApprove or DecisionDeny; absent until decided
	AttrDecider   = "decider"   // S, who decided
	AttrDecided   = "decided"   // S, when, RFC 3339
	AttrComment   = "comment"   // S, why
	AttrTTL       = "ttl"       // N, when DynamoDB may forget it, Unix seconds
)

// The decisions.
const (
	DecisionApprove = "approve"
	DecisionDeny    = "deny"
)

// ApprovalDenied is the error with which a task ends whose approval was denied.
const ApprovalDenied = "ApprovalDenied"

// Environment variables of the functions.
const (
	EnvApprovals = "APPROVALS_TABLE" // approvals
	EnvCapacity  = "CAPACITY_TABLE"  // capacity
)

// The routes of the approval API, as an HTTP API of API Gateway keys them.
const (
	RouteApproval = "GET /approvals/{run}"
	RouteDecide   = "POST /approvals/{run}"
)

// RunParameter is the path parameter that holds a run's name.
const RunParameter = "run"

// ApproveScope is the OAuth scope that a token needs for RouteDecide. Callers
// that sign with AWS credentials need execute-api:Invoke on the route instead.
const ApproveScope = "training:approve"

// The operations of the capacity book.
const (
	OpBook    = "book"
	OpRelease = "release"
)

// CapacityRequest books instances of a pool, or releases what was booked.
type CapacityRequest struct {
	Op      string `json:"op"`
	Pool    string `json:"pool"`    // such as "ml.g5.xlarge"
	Booking string `json:"booking"` // idempotency key: booking it again, or releasing it again, changes nothing
	Units   int    `json:"units"`   // how many instances; OpBook only
	Limit   int    `json:"limit"`   // how many instances the pool has; OpBook only
}

// CapacityAnswer is the state of a booking after the operation.
type CapacityAnswer struct {
	Booking string `json:"booking"`
	Units   int    `json:"units"` // booked now; 0 after a release
}
