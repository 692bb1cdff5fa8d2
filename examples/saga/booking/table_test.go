package booking

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }

// Against Amazon's DynamoDB Local: a booking can be repeated, cancelled before
// and after it was made, and not be made once it is cancelled.
func TestTable(t *testing.T) {
	table := &Table{Client: dynamodb.NewFromConfig(engine.DynamoDB(t).Config()), Name: "Bookings"}
	_, err := table.Client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            &table.Name,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("booking"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("booking"), KeyType: types.KeyTypeHash}},
		BillingMode:          types.BillingModePayPerRequest,
	})
	if err != nil {
		t.Fatal(err)
	}
	book := func(key string, want bool) {
		t.Helper()
		if booked, err := table.Book(t.Context(), key, "Ada"); err != nil || booked != want {
			t.Errorf("%s: booked %v, %v; want %v", key, booked, err, want)
		}
	}
	cancel := func(key string) {
		t.Helper()
		if err := table.Cancel(t.Context(), key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	book("one", true)
	book("one", true)
	cancel("one")
	cancel("one")
	book("one", false)
	cancel("two") // its booking is on its way, late
	book("two", false)
}
