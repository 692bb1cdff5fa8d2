package identity_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/patterns/security/identity"
)

// A handler that knows whose call it serves.
func ExampleUsers_HTTP() {
	// In Lambda: identity.FromEnv(cfg)
	users := identity.New(aws.Config{Region: "eu-west-1"}, &fake{}, nil)

	handler := users.HTTP("read-own", lambda.NewHandler(func(ctx context.Context, r events.APIGatewayV2HTTPRequest) (string, error) {
		user := identity.FromContext(ctx)
		// dynamodb.NewFromConfig(user.Config()) reaches the user's items only.
		return user.Key(""), nil
	}))
	answer, err := handler.Invoke(context.Background(), []byte(`{"version":"2.0","headers":{"authorization":"Bearer acme.ann.1"}}`))
	fmt.Println(string(answer), err)
	// Output: "acme#ann" <nil>
}
