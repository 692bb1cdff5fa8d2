package orchestration

import (
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration/saga"
	"github.com/serverless-go/cdk/patterns/props"
)

// Format is how items are written in an object.
type Format string

// The formats that Step Functions reads
// (https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html).
const (
	FormatJSON    Format = "JSON"    // an array, or an object whose entries are the items
	FormatJSONL   Format = "JSONL"   // a JSON value a line
	FormatCSV     Format = "CSV"     // a row an item, an object by its headers
	FormatParquet Format = "PARQUET" // a row an item
	// FormatInventory is the manifest.json of an S3 Inventory in CSV: an object
	// of the inventory's bucket an item. Of an inventory in Parquet, name the
	// files themselves: FormatParquet with the Prefix of its data.
	FormatInventory Format = "MANIFEST"
)

// Items says where the items lie. Key names one object, in Format. Prefix names
// all objects that start with it: without Format, the objects themselves, as
// Key and Size, are the items; with Format, what is in them.
type Items struct {
	// Bucket holds the objects. Required.
	Bucket awss3.IBucket
	// Key is the object's key, or a JSONata expression, such as
	// "{% $states.input.key %}". Set Key or Prefix, not both.
	Key string
	// Prefix is what the objects' keys start with, or a JSONata expression. Set
	// Key or Prefix, not both.
	Prefix string
	// Within is what all keys that are read start with. The permissions to
	// read end there. Required where Key or Prefix is an expression, and for
	// the files that a manifest lists.
	//
	// Default: Key or Prefix itself.
	Within string
	// Format is that of the object, or of the objects. Required with Key.
	Format Format
	// Headers name the columns of CSV.
	//
	// Default: the first row does.
	Headers []string
	// Delimiter separates the columns of CSV: COMMA, PIPE, SEMICOLON, SPACE
	// or TAB.
	//
	// Default: COMMA.
	Delimiter string
	// Pointer is where the items are in JSON, a JSON pointer (RFC 6901) such
	// as "/orders".
	//
	// Default: the whole object.
	Pointer string
	// Most is how many items are read; the rest is left.
	//
	// Default: all, of which Step Functions reads 100 million.
	Most int
}

// DistributedMap is a state that calls a function, or runs states, for each of
// up to millions of items in S3, each or each batch in an execution of its own.
// It is a value: put [DistributedMap.State] anywhere into a Workflow's
// definition, in a branch of a Parallel too, and [DistributedMap.Allow] into its
// Allow. The workflow adds what the children's executions need.
//
// A map that fails is redriven with its execution: only children that failed or
// did not run yet run then. If it is in a branch of a Parallel, so is what other
// branches had not finished. Do not catch its failure, or it cannot be.
type DistributedMap struct {
	// Label names the state and its children's executions: up to 40 letters,
	// digits, "-" and "_", unique in the workflow. Required.
	Label string
	// Items are what the map is over. Required.
	Items Items
	// Function gets each item, or, with BatchSize or BatchBytes, an object
	// whose Items they are. Set Function or Processor, not both.
	Function *function.Function
	// Retry is how often the function is called again.
	//
	// Default: as that of a saga's action.
	Retry Retry
	// Processor are the states that each child runs, with their StartAt: a part of
	// a definition, in JSONata. Set Function or Processor, not both.
	Processor map[string]any
	// ProcessorAllow is what the states of Processor need.
	//
	// Default: nothing.
	ProcessorAllow []awsiam.PolicyStatement
	// Selector is what becomes of an item before a child gets it, in JSONata.
	//
	// Default: the item.
	Selector map[string]any
	// BatchSize is the most items that one child gets, up to 100,000.
	//
	// Default: a child an item.
	BatchSize int
	// BatchBytes is the most bytes of items that one child gets, up to 256
	// KiB.
	//
	// Default: 256 KiB with BatchSize.
	BatchBytes int
	// Express runs the children as Express workflows: cheaper for short ones,
	// up to five minutes, at least once each.
	//
	// Default: as Standard workflows.
	Express bool
	// MaxConcurrency is how many children run at a time, up to 10,000. Children
	// call the function side by side: keep it below the function's
	// concurrency.
	//
	// Default: 100.
	MaxConcurrency int
	// ToleratedFailures is how many items may fail before the map does, and
	// the rest is not begun.
	//
	// Default: none, unless ToleratedPercentage is set.
	ToleratedFailures int
	// ToleratedPercentage is the same in whole percent of all items.
	//
	// Default: none, unless ToleratedFailures is set.
	ToleratedPercentage int
	// Results takes the children's results, in files of those that succeeded,
	// failed and were pending, and a manifest of the files. The state returns
	// where it is. Required in a Workflow; a FanOut makes one.
	Results awss3.IBucket
	// ResultPrefix is what the results' keys start with.
	//
	// Default: the label.
	ResultPrefix string
}

var mapLabel = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

func (m *DistributedMap) check(c *props.Check) {
	c.Require(mapLabel.MatchString(m.Label), "Label", m.Label, "up to 40 letters, digits, \"-\" and \"_\"", "")
	c.Nested("Items", m.Items.check)
	c.Require((m.Function != nil) != (m.Processor != nil), "Function and Processor", props.Words("both or none"), "exactly one", "")
	c.Require(m.ProcessorAllow == nil || m.Processor != nil, "ProcessorAllow", props.Words("set without Processor"), "none", "")
	c.Nested("Retry", m.Retry.check)
	props.Between(c, "BatchSize", m.BatchSize, 1, 100_000)
	props.Between(c, "BatchBytes", m.BatchBytes, 1, 256*1024)
	props.Between(c, "MaxConcurrency", m.MaxConcurrency, 1, 10_000)
	c.Require(m.ToleratedFailures >= 0, "ToleratedFailures", m.ToleratedFailures, "0 or more", "")
	props.Between(c, "ToleratedPercentage", m.ToleratedPercentage, 0, 100)
	c.Require(!strings.HasPrefix(m.ResultPrefix, "/") && !isExpression(m.ResultPrefix), "ResultPrefix", m.ResultPrefix,
		"a prefix that does not start with \"/\" and is no expression", "")
	if m.Express && m.Function != nil {
		c.Require(m.Function.Timeout() < 5*time.Minute, "Express", props.Words("set with a function of "+m.Function.Timeout().String()),
			"functions that end in less than 5m0s", "leave Express out")
	}
}

var delimiters = regexp.MustCompile(`^(|COMMA|PIPE|SEMICOLON|SPACE|TAB)$`)

func (i *Items) check(c *props.Check) {
	c.Require(i.Bucket != nil, "Bucket", props.Unset, "the bucket of the items", "")
	c.Require((i.Key != "") != (i.Prefix != "") || i.Key == "" && i.Format == "", "Key and Prefix", props.Words("both or none"),
		"one of them; none for all objects of the bucket", "")
	switch i.Format {
	case "", FormatJSON, FormatJSONL, FormatCSV, FormatParquet, FormatInventory:
	default:
		c.Wrong("Format", string(i.Format), "one of the constants of type Format", "")
	}
	c.Require(i.Key == "" || i.Format != "", "Format", string(i.Format), "the object's format", "")
	manifest := i.Format == FormatInventory
	c.Require(!manifest || i.Key != "", "Format", string(i.Format), "JSON, JSONL, CSV or PARQUET with Prefix", "name the manifest in Key")
	c.Require(i.Within != "" || !manifest && !isExpression(i.Key) && !isExpression(i.Prefix), "Within", i.Within,
		"what the keys start with that may be read", "an expression, or a manifest, must not name any other object")
	c.Require(i.Format == FormatCSV || len(i.Headers) == 0 && i.Delimiter == "", "Headers and Delimiter", props.Words("set without FormatCSV"), "none", "")
	c.Require(delimiters.MatchString(i.Delimiter), "Delimiter", i.Delimiter, "COMMA, PIPE, SEMICOLON, SPACE or TAB", "")
	c.Require(i.Pointer == "" || i.Format == FormatJSON && strings.HasPrefix(i.Pointer, "/"), "Pointer", i.Pointer,
		"a JSON pointer such as \"/orders\", with FormatJSON", "")
	props.Between(c, "Most", i.Most, 1, 100_000_000)
}

func isExpression(s string) bool { return strings.HasPrefix(s, "{%") }

// State returns the state, without Next or End. It panics with a
// *[props.Error], which names the scope, when the map is wrong.
func (m *DistributedMap) State(scope constructs.Construct) map[string]any {
	var c props.Check
	m.check(&c)
	c.Require(m.Results != nil, "Results", props.Unset, "the bucket of the results", "")
	c.Panic(scope, m.Label)
	processor := map[string]any{}
	for k, v := range m.Processor {
		processor[k] = v
	}
	if m.Function != nil {
		task := map[string]any{
			"Type":     "Task",
			"Resource": "arn:aws:states:::lambda:invoke",
			"Arguments": map[string]any{
				"FunctionName": construct.FunctionArn(m.Function.Target()),
				"Payload":      "{% $states.input %}",
			},
			"Output": "{% $states.result.Payload %}",
			"Retry":  m.Retry.render(saga.Act),
			"End":    true,
		}
		if m.Function.Timeout() > 0 {
			task["TimeoutSeconds"] = int((m.Function.Timeout() + 10*time.Second).Seconds())
		}
		processor["StartAt"], processor["States"] = m.Label+" item", map[string]any{m.Label + " item": task}
	}
	kind := "STANDARD"
	if m.Express {
		kind = "EXPRESS"
	}
	processor["ProcessorConfig"] = map[string]any{"Mode": "DISTRIBUTED", "ExecutionType": kind}
	state := map[string]any{
		"Type":           "Map",
		"Label":          m.Label,
		"ItemReader":     m.Items.reader(),
		"ItemProcessor":  processor,
		"MaxConcurrency": construct.Or(m.MaxConcurrency, 100),
		"ResultWriter": map[string]any{
			"Resource":  "arn:aws:states:::s3:putObject",
			"Arguments": map[string]any{"Bucket": construct.BucketName(m.Results), "Prefix": m.resultPrefix()},
		},
	}
	if m.Selector != nil {
		state["ItemSelector"] = m.Selector
	}
	if batch := (map[string]any{}); m.BatchSize > 0 || m.BatchBytes > 0 {
		if m.BatchSize > 0 {
			batch["MaxItemsPerBatch"] = m.BatchSize
		}
		if m.BatchBytes > 0 {
			batch["MaxInputBytesPerBatch"] = m.BatchBytes
		}
		state["ItemBatcher"] = batch
	}
	if m.ToleratedFailures > 0 {
		state["ToleratedFailureCount"] = m.ToleratedFailures
	}
	if m.ToleratedPercentage > 0 {
		state["ToleratedFailurePercentage"] = m.ToleratedPercentage
	}
	return state
}

func (m *DistributedMap) resultPrefix() string {
	return strings.TrimSuffix(construct.Or(m.ResultPrefix, m.Label), "/")
}

func (i *Items) reader() map[string]any {
	config, arguments := map[string]any{}, map[string]any{"Bucket": construct.BucketName(i.Bucket)}
	if i.Format != "" {
		config["InputType"] = string(i.Format)
	}
	if i.Format == FormatCSV {
		config["CSVHeaderLocation"] = "FIRST_ROW"
		if len(i.Headers) > 0 {
			config["CSVHeaderLocation"], config["CSVHeaders"] = "GIVEN", i.Headers
		}
		if i.Delimiter != "" {
			config["CSVDelimiter"] = i.Delimiter
		}
	}
	if i.Pointer != "" {
		config["ItemsPointer"] = i.Pointer
	}
	if i.Most > 0 {
		config["MaxItems"] = i.Most
	}
	operation := "getObject"
	if i.Key != "" {
		arguments["Key"] = i.Key
	} else {
		operation = "listObjectsV2"
		if i.Prefix != "" {
			arguments["Prefix"] = i.Prefix
		}
		if i.Format != "" {
			config["Transformation"] = "LOAD_AND_FLATTEN"
		}
	}
	reader := map[string]any{"Resource": "arn:aws:states:::s3:" + operation, "Arguments": arguments}
	if len(config) > 0 {
		reader["ReaderConfig"] = config
	}
	return reader
}

// Allow returns what the state needs: to read the items and no others, to write
// the results, and what the function or the processor needs.
func (m *DistributedMap) Allow() []awsiam.PolicyStatement {
	var allow []awsiam.PolicyStatement
	for _, s := range m.allow() {
		allow = append(allow, awsiam.PolicyStatement_FromJson(s))
	}
	return append(allow, m.ProcessorAllow...)
}

// allow returns the same, ProcessorAllow aside.
func (m *DistributedMap) allow() []defaults.Statement {
	allow := m.Items.allow()
	// The result writer needs more than PutObject: it exports large results in
	// parts and reads them back for the manifest
	// (https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html).
	allow = append(allow, defaults.Actions{"s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"}.
		To(construct.Objects(m.Results, m.resultPrefix()+"/*")))
	allow = append(allow, throughS3(m.Results, "kms:Decrypt", "kms:GenerateDataKey")...)
	if m.Function != nil {
		allow = append(allow, defaults.Actions{"lambda:InvokeFunction"}.To(construct.FunctionArn(m.Function.Target())))
	}
	return allow
}

func (i *Items) allow() []defaults.Statement {
	within := i.Within
	listed := i.Key == ""
	if within == "" {
		within = i.Key + i.Prefix
	}
	var allow []defaults.Statement
	if listed {
		allow = append(allow, defaults.Actions{"s3:ListBucket"}.To(construct.BucketArn(i.Bucket)).If(defaults.ListBelow(within)))
		if i.Format == "" {
			return allow // the names suffice; a function that reads the objects is granted that itself
		}
	}
	objects := within
	if listed || i.Within != "" {
		objects += "*"
	}
	allow = append(allow, defaults.Actions{"s3:GetObject"}.To(construct.Objects(i.Bucket, objects)))
	return append(allow, throughS3(i.Bucket, "kms:Decrypt")...)
}

// throughS3 allows the use of the bucket's key, if it has one, by S3 only.
func throughS3(bucket awss3.IBucket, actions ...string) []defaults.Statement {
	key := construct.EncryptionKey(bucket)
	if key == nil {
		return nil
	}
	return []defaults.Statement{defaults.Actions(actions).To(construct.KeyArn(key)).If(defaults.Through("s3"))}
}
