// Package api calls the REST API of Apache OpenWhisk, as far as a workflow is
// deployed with it: a package, its actions and sequences, triggers and rules.
//
// Source: https://github.com/apache/openwhisk/blob/master/docs/rest_api.md and
// the API's own description, core/controller/src/main/resources/apiv1swagger.json
// there.
package api
