package warm_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/serverless-go/cdk/patterns/coldstart/schema"
	"github.com/serverless-go/cdk/patterns/coldstart/warm"
)

type Order struct {
	ID string `json:"id"`
}

func place(_ context.Context, o Order) (string, error) {
	return "placed " + o.ID, nil
}

// A handler behind the middleware gets orders and never sees a ping. In Lambda,
// main would say lambda.Start(handler).
func ExampleMiddleware() {
	handler := warm.Middleware(lambda.NewHandler(place))

	for _, event := range [][]byte{
		schema.Ping{}.Payload(),
		[]byte(`{"id":"4711"}`),
		schema.Ping{}.Payload(),
	} {
		answer, err := handler.Invoke(context.Background(), event)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(answer))
	}
	// Output:
	// {"instance":"","cold":true,"invocation":1}
	// "placed 4711"
	// {"instance":"","cold":false,"invocation":3}
}
