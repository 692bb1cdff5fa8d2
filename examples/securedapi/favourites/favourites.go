// Package favourites answers for what users like, with the users' own rights.
package favourites

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/serverless-go/cdk/patterns/security/identity"
	"github.com/serverless-go/cdk/patterns/security/inner"
)

// Start serves Lambda with the handler that the environment describes.
func Start() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	users, err := identity.FromEnv(cfg)
	if err != nil {
		log.Fatal(err)
	}
	h, err := New(users, os.Getenv("TABLE"))
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(h)
}

// New returns the handler: first the door, then the user, then what they want.
func New(users *identity.Users, table string) (lambda.Handler, error) {
	door, err := inner.FromEnv(map[string][]string{
		"GET /favourites":        {"favourites:read"},
		"PUT /favourites/{name}": {"favourites:write"},
	})
	if err != nil {
		return nil, err
	}
	token := func(ctx context.Context, _ []byte) (string, error) { return inner.Token(ctx), nil }
	return door.Middleware(users.Handler("own", token, lambda.NewHandler(likes(table).answer))), nil
}

// likes is the name of the table.
type likes string

func (l likes) answer(ctx context.Context, in events.APIGatewayV2HTTPRequest) (*events.APIGatewayV2HTTPResponse, error) {
	user := identity.FromContext(ctx)
	db := dynamodb.NewFromConfig(user.Config()) // reaches the user's items, and IAM says so
	own := &types.AttributeValueMemberS{Value: user.Key("")}
	if in.RouteKey == "PUT /favourites/{name}" {
		name := &types.AttributeValueMemberS{Value: in.PathParameters["name"]}
		_, err := db.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: aws.String(string(l)), Item: map[string]types.AttributeValue{"pk": own, "sk": name},
		})
		return &events.APIGatewayV2HTTPResponse{StatusCode: http.StatusNoContent}, err
	}
	out, err := db.Query(ctx, &dynamodb.QueryInput{
		TableName: aws.String(string(l)), KeyConditionExpression: aws.String("pk = :own"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":own": own},
	})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, item := range out.Items {
		if name, ok := item["sk"].(*types.AttributeValueMemberS); ok {
			names = append(names, name.Value)
		}
	}
	body, err := json.Marshal(names)
	return &events.APIGatewayV2HTTPResponse{StatusCode: http.StatusOK, Body: string(body)}, err
}
