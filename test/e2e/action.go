package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// form returns the body of a call with the query protocol, nil for others.
func (c *call) form() url.Values {
	if !strings.HasPrefix(c.request.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return nil
	}
	return form
}

// accesses returns what a call needs permission for.
func (d *Deployment) accesses(c *call) ([]access, error) {
	switch c.service {
	case "dynamodb":
		return d.tableAccesses(c)
	case "sqs":
		var in struct {
			QueueURL  string `json:"QueueUrl"`
			QueueName string
		}
		if err := json.Unmarshal(c.body, &in); err != nil {
			return nil, err
		}
		// Permission for a batch is that for one.
		return []access{{action: "sqs:" + strings.TrimSuffix(c.operation, "Batch"), resource: d.arn("sqs", in.QueueURL[strings.LastIndex(in.QueueURL, "/")+1:]+in.QueueName)}}, nil
	case "sns":
		if c.form() == nil {
			return nil, fmt.Errorf("SNS was called without the query protocol")
		}
		return []access{{action: "sns:" + strings.TrimSuffix(c.operation, "Batch"), resource: c.form().Get("TopicArn")}}, nil
	case "s3":
		return objectAccesses(c)
	case "kms":
		return d.keyAccesses(c)
	case "events":
		return d.busAccesses(c)
	case "states":
		var in struct{ StateMachineArn, ExecutionArn string }
		if err := json.Unmarshal(c.body, &in); err != nil {
			return nil, err
		}
		resource := in.StateMachineArn + in.ExecutionArn
		if resource == "" {
			resource = "*" // answers by task token
		}
		return []access{{action: "states:" + c.operation, resource: resource}}, nil
	case "firehose":
		var in struct{ DeliveryStreamName string }
		if err := json.Unmarshal(c.body, &in); err != nil {
			return nil, err
		}
		return []access{{action: "firehose:" + c.operation, resource: d.arn("firehose", "deliverystream/"+in.DeliveryStreamName)}}, nil
	case "lambda":
		arn, ok := invokedFunction(c)
		if !ok {
			return nil, &ServiceError{c.operation, http.StatusNotImplemented, "NotImplemented", "of Lambda's operations only Invoke is here"}
		}
		return []access{{action: "lambda:InvokeFunction", resource: d.iam.functionARN(arn)}}, nil
	case "sts":
		return nil, nil // GetCallerIdentity needs none; AssumeRole is checked where it is done
	}
	return nil, &ServiceError{c.operation, http.StatusNotImplemented, "NotImplemented", "the service " + c.service + " is not driven"}
}

// checkKeyOf checks the use of the key of what is accessed.
func (d *Deployment) checkKeyOf(c *call, a access) error {
	write := false
	switch c.service {
	case "dynamodb":
		return d.iam.checkKey(c.caller, a.resource, "kms:Decrypt")
	case "sqs":
		if a.action != "sqs:SendMessage" && a.action != "sqs:ReceiveMessage" {
			return nil
		}
		write = a.action == "sqs:SendMessage"
	case "sns":
		write = a.action == "sns:Publish"
	case "s3":
		if a.action != "s3:PutObject" && a.action != "s3:GetObject" {
			return nil
		}
		if a.action == "s3:PutObject" {
			return d.iam.checkKey(c.caller, a.resource, "kms:GenerateDataKey")
		}
	default:
		return nil
	}
	if write {
		return d.iam.checkKey(c.caller, a.resource, "kms:GenerateDataKey", "kms:Decrypt")
	}
	return d.iam.checkKey(c.caller, a.resource, "kms:Decrypt")
}

// attributeValue is a DynamoDB attribute as the API writes it.
type attributeValue map[string]any

// text returns the value of a key attribute as IAM compares it.
func (v attributeValue) text() string {
	for _, kind := range []string{"S", "N", "B"} {
		if text, ok := v[kind].(string); ok {
			return text
		}
	}
	return ""
}

type item map[string]attributeValue

// tableRequest holds the fields of all operations on items that decide about
// permission.
type tableRequest struct {
	TableName, IndexName      string
	Key, Item                 item
	Statement                 string
	Parameters                []attributeValue
	TransactStatements        []statement
	Statements                []statement
	TransactItems             []map[string]tableRequest
	RequestItems              map[string]json.RawMessage
	KeyConditionExpression    string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues item
}

type statement struct {
	Statement  string
	Parameters []attributeValue
}

// tableAccesses maps an operation of DynamoDB to the permissions in its
// service authorization reference. A transaction needs those of each item.
func (d *Deployment) tableAccesses(c *call) ([]access, error) {
	var in tableRequest
	if err := json.Unmarshal(c.body, &in); err != nil {
		return nil, err
	}
	switch c.operation {
	case "ExecuteStatement":
		return d.statementAccesses(c.operation, []statement{{in.Statement, in.Parameters}})
	case "ExecuteTransaction":
		return d.statementAccesses(c.operation, in.TransactStatements)
	case "BatchExecuteStatement":
		return d.statementAccesses(c.operation, in.Statements)
	case "TransactWriteItems", "TransactGetItems":
		var list []access
		for _, one := range in.TransactItems {
			for operation, r := range one {
				action := map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "Get": "GetItem", "ConditionCheck": "ConditionCheckItem"}[operation]
				list = append(list, d.tableAccess(action, r, c.operation))
			}
		}
		return list, nil
	case "BatchGetItem", "BatchWriteItem":
		var list []access
		for name := range in.RequestItems {
			list = append(list, d.tableAccess(c.operation, tableRequest{TableName: name}, ""))
		}
		return list, nil
	}
	return []access{d.tableAccess(c.operation, in, "")}, nil
}

func (d *Deployment) tableAccess(action string, r tableRequest, enclosing string) access {
	name := r.TableName[strings.LastIndex(r.TableName, "/")+1:]
	a := access{action: "dynamodb:" + action, resource: d.arn("dynamodb", "table/"+name), context: map[string][]string{}}
	if r.IndexName != "" {
		a.resource += "/index/" + r.IndexName
	}
	if enclosing != "" {
		a.context["dynamodb:EnclosingOperation"] = []string{enclosing}
	}
	if t := d.tables[d.arn("dynamodb", "table/"+name)]; t != nil {
		if key := r.leadingKey(t.partitionKeys[r.IndexName]); key != "" {
			a.context["dynamodb:LeadingKeys"] = []string{key}
		}
	}
	return a
}

// leadingKey returns the value of the partition key that the request names.
func (r tableRequest) leadingKey(attribute string) string {
	for _, values := range []item{r.Key, r.Item} {
		if v, ok := values[attribute]; ok {
			return v.text()
		}
	}
	for _, m := range equality.FindAllStringSubmatch(r.KeyConditionExpression, -1) {
		name := m[1]
		if full, ok := r.ExpressionAttributeNames[name]; ok {
			name = full
		}
		if name == attribute {
			return r.ExpressionAttributeValues[m[2]].text()
		}
	}
	return ""
}

var equality = regexp.MustCompile(`([#\w]+)\s*=\s*(:\w+)`)

// partiql finds the verb, table and index of a PartiQL statement.
var partiql = regexp.MustCompile(`(?is)^\s*(?:(UPDATE)|(SELECT|INSERT|DELETE|EXISTS)\b.*?\b(?:FROM|INTO))\s+"?([\w.:/-]+?)"?(?:\."?([\w.-]+)"?)?(?:\s|$)`)

// members finds the attributes that a PartiQL INSERT gives a value.
var members = regexp.MustCompile(`'([^']+)'\s*:\s*(\?|'[^']*')`)

func (d *Deployment) statementAccesses(enclosing string, statements []statement) ([]access, error) {
	var list []access
	for _, s := range statements {
		m := partiql.FindStringSubmatch(s.Statement)
		if m == nil {
			return nil, fmt.Errorf("cannot tell what the statement %q does", s.Statement)
		}
		verb := strings.ToLower(m[1] + m[2])
		if verb == "exists" {
			verb = "select"
		}
		action := "PartiQL" + strings.ToUpper(verb[:1]) + verb[1:]
		a := d.tableAccess(action, tableRequest{TableName: m[3], IndexName: m[4]}, enclosing)
		if t := d.tables[d.arn("dynamodb", "table/"+m[3])]; t != nil && verb == "insert" {
			if key := insertedKey(s, t.partitionKeys[""]); key != "" {
				a.context["dynamodb:LeadingKeys"] = []string{key}
			}
		}
		list = append(list, a)
	}
	return list, nil
}

// insertedKey returns the value that an INSERT gives an attribute.
func insertedKey(s statement, attribute string) string {
	parameter := 0
	for _, m := range members.FindAllStringSubmatch(s.Statement, -1) {
		value := strings.Trim(m[2], "'")
		if m[2] == "?" {
			if parameter < len(s.Parameters) {
				value = s.Parameters[parameter].text()
			}
			parameter++
		}
		if m[1] == attribute {
			return value
		}
	}
	return ""
}

// objectAccesses maps a request to S3, addressed by path, to its permission.
func objectAccesses(c *call) ([]access, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(c.request.URL.Path, "/"), "/")
	query := c.request.URL.Query()
	arn := "arn:aws:s3:::" + bucket
	if key == "" {
		switch {
		case c.request.Method == http.MethodGet && query.Has("versions"):
			return []access{{action: "s3:ListBucketVersions", resource: arn}}, nil
		case c.request.Method == http.MethodGet || c.request.Method == http.MethodHead:
			return []access{{action: "s3:ListBucket", resource: arn, context: map[string][]string{"s3:prefix": query["prefix"]}}}, nil
		case c.request.Method == http.MethodPost && query.Has("delete"):
			return []access{{action: "s3:DeleteObject", resource: arn + "/*"}}, nil
		}
		return nil, &ServiceError{c.operation, http.StatusNotImplemented, "NotImplemented", "the operation on a bucket is not driven"}
	}
	action := map[string]string{
		http.MethodGet: "s3:GetObject", http.MethodHead: "s3:GetObject", http.MethodPut: "s3:PutObject", http.MethodPost: "s3:PutObject", http.MethodDelete: "s3:DeleteObject",
	}[c.request.Method]
	list := []access{{action: action, resource: arn + "/" + key}}
	if value := c.request.Header.Get("If-None-Match"); value != "" {
		list[0].context = map[string][]string{"s3:if-none-match": {value}}
	}
	if source, err := url.PathUnescape(c.request.Header.Get("X-Amz-Copy-Source")); err == nil && source != "" {
		list = append(list, access{action: "s3:GetObject", resource: "arn:aws:s3:::" + strings.TrimPrefix(source, "/")})
	}
	return list, nil
}

// keyAccesses maps an operation of KMS. A Decrypt without a key id is for the
// key that the ciphertext names.
func (d *Deployment) keyAccesses(c *call) ([]access, error) {
	var in struct {
		KeyID             string `json:"KeyId"`
		CiphertextBlob    []byte
		EncryptionContext map[string]string

		SigningAlgorithm, MessageType string
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return nil, err
	}
	key := in.KeyID
	if key == "" {
		// The double of KMS starts a ciphertext with its key.
		key, _, _ = strings.Cut(string(in.CiphertextBlob), "\x00")
	}
	if !strings.HasPrefix(key, "arn:") {
		key = d.arn("kms", "key/"+key)
	}
	context := map[string][]string{"kms:CallerAccount": {d.account}}
	if c.operation == "Sign" {
		context["kms:SigningAlgorithm"], context["kms:MessageType"] = []string{in.SigningAlgorithm}, []string{in.MessageType}
	}
	for name, value := range in.EncryptionContext {
		context["kms:EncryptionContext:"+name] = []string{value}
		context["kms:EncryptionContextKeys"] = append(context["kms:EncryptionContextKeys"], name)
	}
	slices.Sort(context["kms:EncryptionContextKeys"])
	return []access{{action: "kms:" + c.operation, resource: key, context: context}}, nil
}

func (d *Deployment) busAccesses(c *call) ([]access, error) {
	var in struct {
		Entries []struct{ EventBusName, Source, DetailType string }
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return nil, err
	}
	if c.operation != "PutEvents" {
		return []access{{action: "events:" + c.operation, resource: "*"}}, nil
	}
	var list []access
	for _, e := range in.Entries {
		name := e.EventBusName[strings.LastIndex(e.EventBusName, "/")+1:]
		if name == "" {
			name = "default"
		}
		list = append(list, access{action: "events:PutEvents", resource: d.arn("events", "event-bus/"+name),
			context: map[string][]string{"events:source": {e.Source}, "events:detail-type": {e.DetailType}}})
	}
	return list, nil
}

// invocationPath is that of Lambda's Invoke.
var invocationPath = regexp.MustCompile(`^/2015-03-31/functions/([^/]+)/invocations$`)

// invokedFunction returns the name or ARN of the function that a call to Lambda
// invokes, with its qualifier.
func invokedFunction(c *call) (string, bool) {
	m := invocationPath.FindStringSubmatch(c.request.URL.EscapedPath())
	if m == nil {
		return "", false
	}
	name, err := url.PathUnescape(m[1])
	if q := c.request.URL.Query().Get("Qualifier"); q != "" {
		name += ":" + q
	}
	return name, err == nil
}
