package booking

import (
	"context"
	"log"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Start runs a desk in Lambda, with the table that TABLE names.
func Start(limit int) {
	c, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	desk := &Desk{Store: &Table{Client: dynamodb.NewFromConfig(c), Name: os.Getenv("TABLE")}, Limit: limit}
	lambda.Start(desk.Handle)
}
