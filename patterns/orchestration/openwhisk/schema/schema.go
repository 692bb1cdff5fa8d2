// Package schema holds what the OpenWhisk construct and the function that
// deploys to OpenWhisk must agree on: the properties of the custom resource and
// the files of a bundle. It imports the standard library only.
package schema

// Properties of the custom resource. None holds a secret.
const (
	APIHost     = "ApiHost"          // "https://" and the host of OpenWhisk
	Credentials = "CredentialsArn"   // ARN of the secret with the key
	Field       = "CredentialsField" // the secret's JSON field that holds it; absent: the whole secret
	Package     = "Package"          // what is deployed there
	Bucket      = "Bucket"           // where the bundle is
	Key         = "Key"              // the bundle's object key, which names its content
)

// Attributes of the custom resource.
const (
	Namespace = "Namespace" // the namespace that the key belongs to
	Action    = "Action"    // the workflow's full name: "/namespace/package/name"
)

// Files of a bundle, beside the archives of the actions.
const (
	Deployment = "deployment.json" // what is deployed, an api.Deployment
	Manifest   = "manifest.yaml"   // the same for wskdeploy
)
