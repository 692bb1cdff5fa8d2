package defaults

import (
	"encoding/json"
	"regexp"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/internal/construct"
)

// CloudFormation's functions as they stand in a template, for values that the
// CDK passes on as they are: conditions of policies, the bodies of rules and
// state machines. As the CDK's own objects they would each be made by a call.

// AccountID returns the account that the stack is in.
func AccountID() map[string]any { return map[string]any{"Ref": "AWS::AccountId"} }

// Sub returns the text with what stands in ${} replaced: "${AWS::Region}".
func Sub(text string) map[string]any { return map[string]any{"Fn::Sub": text} }

// Values are what [Text] replaces, by name.
type Values map[string]*string

// Text returns the text with what stands in ${} replaced, for where the CDK
// takes text only: "arn:${AWS::Partition}:s3:::${Bucket}". What is not one of
// AWS's pseudo parameters is one of the values. Unlike awscdk.Fn_Sub it costs no
// call: the CDK joins the parts. It panics on a name that it does not know.
func Text(scope constructs.Construct, text string, values ...Values) *string {
	text = placeholder.ReplaceAllStringFunc(text, func(match string) string {
		name := match[len("${") : len(match)-len("}")]
		if read, ok := pseudo[name]; ok {
			return *construct.Constant(scope, name, read)
		}
		for _, v := range values {
			if value, ok := v[name]; ok {
				return *value
			}
		}
		panic("defaults.Text: ${" + name + "} is not among the values")
	})
	return &text
}

// JSON returns what stands in a template as JSON in a text. It may hold names and
// ARNs that are known only when the stack is deployed: they need no quotes.
func JSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps, lists and texts can be written
	}
	return string(text)
}

// placeholder does not match the CDK's own tokens, ${Token[...]}.
var placeholder = regexp.MustCompile(`\$\{[A-Za-z:]+\}`)

var pseudo = map[string]func() *string{
	"AWS::AccountId": awscdk.Aws_ACCOUNT_ID,
	"AWS::Partition": awscdk.Aws_PARTITION,
	"AWS::Region":    awscdk.Aws_REGION,
	"AWS::URLSuffix": awscdk.Aws_URL_SUFFIX,
}
