package schema

// CloudflareWorker is the properties of the custom resource that deploys a
// Worker. None holds a secret. CloudFormation hands numbers over as text.
type CloudflareWorker struct {
	AccountID  string                      `json:"AccountId"`
	Name       string                      `json:"Name"` // the script's
	Token      CloudflareSecret            `json:"Token"`
	Bucket     string                      `json:"Bucket"` // where the CloudflareCode is
	Key        string                      `json:"Key"`    // its object key, which names its content
	Variables  map[string]string           `json:"Variables,omitempty"`
	Namespaces map[string]string           `json:"Namespaces,omitempty"` // IDs
	Secrets    map[string]CloudflareSecret `json:"Secrets,omitempty"`
	Routes     []CloudflareRoute           `json:"Routes,omitempty"`
	Domains    []CloudflareDomain          `json:"Domains,omitempty"`
	Steps      []CloudflareStep            `json:"Steps,omitempty"`
	Probe      string                      `json:"Probe,omitempty"`
	Revision   string                      `json:"Revision,omitempty"`
}

// CloudflareSecret says where a secret is.
type CloudflareSecret struct {
	ARN   string `json:"Arn"`             // of the secret
	Field string `json:"Field,omitempty"` // of a secret in JSON; empty: the whole secret
}

// CloudflareRoute gives the requests of a zone that match a pattern to the
// Worker.
type CloudflareRoute struct {
	ZoneID  string `json:"ZoneId"`
	Pattern string `json:"Pattern"`
}

// CloudflareDomain gives a host name of a zone to the Worker.
type CloudflareDomain struct {
	ZoneID   string `json:"ZoneId"`
	Hostname string `json:"Hostname"`
}

// CloudflareStep is a part of a gradual deployment.
type CloudflareStep struct {
	Percentage float64 `json:"Percentage,string"`
	Seconds    float64 `json:"Seconds,string"`
}

// CloudflareCode is the content of the asset, which is too large for a property.
type CloudflareCode struct {
	Module             string                       `json:"module"`
	CompatibilityDate  string                       `json:"compatibilityDate"`
	CompatibilityFlags []string                     `json:"compatibilityFlags,omitempty"`
	Entries            map[string]map[string]string `json:"entries,omitempty"` // of KV namespaces, by binding
}

// CloudflareVersion is the attribute that names the version that answers.
const CloudflareVersion = "Version"

// CloudflareNotRestored is the message of the log record which says that a
// deployment failed and something was left behind.
const CloudflareNotRestored = "cloudflare deployment not restored"
