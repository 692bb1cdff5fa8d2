package schema

// KeyValues is the properties of the custom resource that keeps the entries of
// a CloudFront KeyValueStore. CloudFormation hands booleans over as text.
type KeyValues struct {
	Store     string `json:"Store"`  // ARN
	Bucket    string `json:"Bucket"` // where the entries are, a JSON object of texts
	Key       string `json:"Key"`    // its object key, which names its content
	Exclusive bool   `json:"Exclusive,string"`
}

// Quotas of a CloudFront KeyValueStore
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html).
const (
	KeyValuesStoreBytes = 5 << 20
	KeyValuesBatchKeys  = 50
	KeyValuesBatchBytes = 3 << 20
)
