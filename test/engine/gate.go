package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/test/iam"
)

// Gate returns the endpoint of a server that stands before DynamoDB Local, which
// takes any credentials: it lets those calls through that are signed by a
// session of the double and allowed by the session's policies. Tables are
// called as their ARNs name them.
func (s *STS) Gate(t testing.TB) Endpoint {
	t.Helper()
	tables := DynamoDB(t)
	g := &gate{sts: s, tables: tables, client: dynamodb.NewFromConfig(tables.Config()), keys: map[string]string{}}
	return listen(t, g)
}

type gate struct {
	sts    *STS
	tables Endpoint
	client *dynamodb.Client

	mu   sync.Mutex
	keys map[string]string // table or table/index -> partition key
}

// tableAccess is a permission that a call needs.
type tableAccess struct {
	action, resource string
	leading          []string
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var list []tableAccess
	check := SigV4{Service: "dynamodb", Region: Region, Credentials: g.sts.credentials, Now: g.sts.Now}
	var key string
	if err == nil {
		key, err = check.Verify(r, body)
	}
	if err == nil {
		list, err = g.accesses(r, body)
	}
	var signature *SignatureError
	switch {
	case errors.As(err, &signature):
		refuse(w, signature.Code, signature.Message)
		return
	case err != nil:
		refuse(w, "ValidationException", err.Error())
		return
	}
	for _, a := range list {
		context := iam.Context{"dynamodb:LeadingKeys": a.leading}
		if d := g.sts.Decide(key, a.action, a.resource, context); !d.Allowed {
			refuse(w, "AccessDeniedException", fmt.Sprintf("User is not authorized to perform: %s on resource: %s %s", a.action, a.resource, d.Reason))
			return
		}
	}
	onward, err := http.NewRequestWithContext(r.Context(), r.Method, g.tables.URL, bytes.NewReader(body))
	if err == nil {
		onward.Header = r.Header.Clone()
		var answer *http.Response
		if answer, err = http.DefaultClient.Do(onward); err == nil {
			defer answer.Body.Close()
			for name, values := range answer.Header {
				w.Header()[name] = values
			}
			w.WriteHeader(answer.StatusCode)
			io.Copy(w, answer.Body)
			return
		}
	}
	refuse(w, "InternalServerError", err.Error())
}

type attributes map[string]map[string]any

// text returns the value of an attribute as IAM compares it.
func (a attributes) text(name string) (string, bool) {
	for _, kind := range []string{"S", "N", "B"} {
		if text, ok := a[name][kind].(string); ok {
			return text, true
		}
	}
	return "", false
}

// tableCall holds the fields that decide about permission.
type tableCall struct {
	TableName, IndexName      string
	Key, Item                 attributes
	KeyConditionExpression    string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues attributes
	TransactItems             []map[string]tableCall
	RequestItems              map[string]json.RawMessage
	Statement                 string
}

// accesses maps a call to the permissions in DynamoDB's service authorization
// reference: a transaction needs those of each item, a batch its own with the
// keys of all items.
func (g *gate) accesses(r *http.Request, body []byte) ([]tableAccess, error) {
	operation := r.Header.Get("X-Amz-Target")
	operation = operation[strings.LastIndexByte(operation, '.')+1:]
	var in tableCall
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	switch operation {
	case "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan":
		a, err := g.access(r, operation, in)
		return []tableAccess{a}, err
	case "TransactGetItems", "TransactWriteItems":
		var list []tableAccess
		for _, item := range in.TransactItems {
			for kind, one := range item {
				action := kind + "Item"
				if kind == "ConditionCheck" {
					action = "ConditionCheckItem"
				}
				a, err := g.access(r, action, one)
				if err != nil {
					return nil, err
				}
				list = append(list, a)
			}
		}
		return list, nil
	case "BatchGetItem", "BatchWriteItem":
		var list []tableAccess
		for table, request := range in.RequestItems {
			a := tableAccess{action: "dynamodb:" + operation, resource: tableARN(table)}
			items, err := batch(operation, request)
			if err != nil {
				return nil, err
			}
			for _, one := range items {
				one.TableName = table
				single, err := g.access(r, operation, one)
				if err != nil {
					return nil, err
				}
				a.leading = append(a.leading, single.leading...)
			}
			list = append(list, a)
		}
		return list, nil
	case "ExecuteStatement":
		if m := partiql.FindStringSubmatch(in.Statement); m != nil {
			verb := strings.ToLower(m[1])
			return []tableAccess{{action: "dynamodb:PartiQL" + strings.ToUpper(verb[:1]) + verb[1:], resource: tableARN(m[2])}}, nil
		}
	}
	return nil, fmt.Errorf("the gate does not know what %s needs", operation)
}

// partiql finds a statement's verb and table.
var partiql = regexp.MustCompile(`(?is)^\s*(SELECT|INSERT|UPDATE|DELETE)\b(?:.*?\b(?:FROM|INTO))?\s+"?([\w.-]+)"?`)

func batch(operation string, request json.RawMessage) ([]tableCall, error) {
	if operation == "BatchGetItem" {
		var in struct{ Keys []attributes }
		err := json.Unmarshal(request, &in)
		var list []tableCall
		for _, key := range in.Keys {
			list = append(list, tableCall{Key: key})
		}
		return list, err
	}
	var in []map[string]tableCall
	err := json.Unmarshal(request, &in)
	var list []tableCall
	for _, one := range in {
		for _, item := range one {
			list = append(list, item)
		}
	}
	return list, err
}

func tableARN(name string) string {
	return "arn:aws:dynamodb:" + Region + ":" + Account + ":table/" + name[strings.LastIndexByte(name, '/')+1:]
}

func (g *gate) access(r *http.Request, action string, in tableCall) (tableAccess, error) {
	a := tableAccess{action: "dynamodb:" + action, resource: tableARN(in.TableName)}
	if in.IndexName != "" {
		a.resource += "/index/" + in.IndexName
	}
	attribute, err := g.partitionKey(r, in.TableName, in.IndexName)
	if err != nil {
		return a, err
	}
	for _, values := range []attributes{in.Key, in.Item} {
		if text, ok := values.text(attribute); ok {
			a.leading = append(a.leading, text)
		}
	}
	for _, m := range equality.FindAllStringSubmatch(in.KeyConditionExpression, -1) {
		name := m[1]
		if full, ok := in.ExpressionAttributeNames[name]; ok {
			name = full
		}
		if text, ok := in.ExpressionAttributeValues.text(m[2]); ok && name == attribute {
			a.leading = append(a.leading, text)
		}
	}
	return a, nil
}

var equality = regexp.MustCompile(`([#\w]+)\s*=\s*(:\w+)`)

// partitionKey returns the name of a table's or index's partition key.
func (g *gate) partitionKey(r *http.Request, table, index string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if key, ok := g.keys[table+"/"+index]; ok {
		return key, nil
	}
	out, err := g.client.DescribeTable(r.Context(), &dynamodb.DescribeTableInput{TableName: &table})
	if err != nil {
		return "", err
	}
	schema := out.Table.KeySchema
	if index != "" {
		schema = nil
		for _, i := range out.Table.GlobalSecondaryIndexes {
			if *i.IndexName == index {
				schema = i.KeySchema
			}
		}
	}
	for _, e := range schema {
		if e.KeyType == types.KeyTypeHash {
			g.keys[table+"/"+index] = *e.AttributeName
			return *e.AttributeName, nil
		}
	}
	return "", fmt.Errorf("table %s has no index %q", table, index)
}
