// Package cloudflare calls the part of Cloudflare's API that deploys Workers,
// and deploys with it what a stack describes.
//
// A [Client] makes single calls: scripts, their versions and deployments,
// key-value namespaces, routes and custom domains. A [Deployer] makes an account
// hold a [Worker], or no longer hold it, and puts everything back when it cannot.
//
// Cloudflare's own Go library sends the metadata of a module as separate form
// fields, where the API wants one part in JSON
// (https://developers.cloudflare.com/workers/configuration/multipart-upload-metadata/),
// so this package has a client of its own on net/http.
package cloudflare
