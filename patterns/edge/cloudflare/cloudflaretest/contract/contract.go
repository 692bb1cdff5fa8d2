// Package contract holds requests to Cloudflare against Cloudflare's own
// description of its API.
package contract

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/serverless-go/cdk/test/apidescription"
)

// A Contract checks what passes through it.
type Contract struct {
	t      testing.TB
	router routers.Router
	// Operations counts the requests by operation, such as
	// "worker-routes-create-route".
	Operations map[string]int
}

// file is beside the module, where the projects' shared files are.
const file = "shared/specs/cloudflare-openapi-2024-08-06.json"

// New returns a contract that fails the test for a request which the API's
// description does not have. It skips the test where the description is not
// there, unless the environment has REQUIRE_ENGINES=1.
func New(t testing.TB) *Contract {
	t.Helper()
	spec, err := openapi3.NewLoader().LoadFromData(apidescription.Read(t, "Cloudflare", file))
	if err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
	trim(spec)
	repair(spec)
	router, err := gorillamux.NewRouter(spec)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return &Contract{t: t, router: router, Operations: map[string]int{}}
}

// trim leaves the operations on Workers and their storage, of more than a
// thousand paths, and the root that a double has too.
func trim(spec *openapi3.T) {
	for path := range spec.Paths.Map() {
		if !strings.Contains(path, "/workers/") && !strings.Contains(path, "/storage/kv/") {
			spec.Paths.Delete(path)
		}
	}
	spec.Servers = openapi3.Servers{{URL: "/"}}
}

// repair mends what in the description keeps a validator from taking what
// Cloudflare takes: parameters without a type, which all are strings, a form
// that is one of two schemas, and a placeholder for the name of a part.
func repair(spec *openapi3.T) {
	for _, path := range spec.Paths.Map() {
		for _, operation := range path.Operations() {
			for _, parameter := range operation.Parameters {
				if schema := parameter.Value.Schema.Value; schema.Type == nil && len(schema.AllOf)+len(schema.AnyOf)+len(schema.OneOf) == 0 {
					schema.Type = &openapi3.Types{openapi3.TypeString}
				}
			}
		}
	}
	openapi3filter.RegisterBodyDecoder("application/javascript+module", openapi3filter.FileBodyDecoder)
	for _, name := range []string{"workers_script_upload", "workers_version-post"} {
		form := spec.Components.RequestBodies[name].Value.Content["multipart/form-data"]
		if len(form.Schema.Value.OneOf) > 0 {
			form.Schema = form.Schema.Value.OneOf[0] // the other one is for rolling back
		}
		const placeholder, module = "<any part name>", "worker.mjs"
		schema := form.Schema.Value
		schema.Properties[module] = schema.Properties[placeholder]
		delete(schema.Properties, placeholder)
		schema.Required = []string{"metadata", module}
	}
}

// Wrap returns a handler in front of another, which checks every request.
func (c *Contract) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.check(r)
		next.ServeHTTP(w, r)
	})
}

func (c *Contract) check(r *http.Request) {
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		c.t.Errorf("%s %s is no operation of Cloudflare: %v", r.Method, r.URL, err)
		return
	}
	c.Operations[route.Operation.OperationID]++
	err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: authenticate},
	})
	if err != nil {
		c.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
}

// authenticate wants the one scheme of several that the client uses: a token.
func authenticate(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	header := in.RequestValidationInput.Request.Header.Get("Authorization")
	if in.SecuritySchemeName != "api_token" || !strings.HasPrefix(header, "Bearer ") {
		return errors.New("there is no API token")
	}
	return nil
}
