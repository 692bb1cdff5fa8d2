package schema

import "encoding/json"

// ReplicaPolicies is the properties of the custom resource that keeps the
// resource-based policies of a global table's replicas.
type ReplicaPolicies struct {
	Table    string                     `json:"Table"`    // the name, the same in all regions
	ARNs     map[string]string          `json:"Arns"`     // of the replicas, by region
	Policies map[string]json.RawMessage `json:"Policies"` // by region
}
