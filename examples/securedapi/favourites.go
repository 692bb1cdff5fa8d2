package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// audience is the function's name in tokens: it takes those for itself only.
const audience = "favourites"

// Whose tokens users show to have a reference issued.
const (
	provider         = "https://id.example.com"
	providerAudience = "favourites-app"
)

// NewFavourites keeps what each user likes. The function has no right to the
// table: it acts as the user who calls.
func NewFavourites(scope constructs.Construct, id string) awscdk.Stack {
	stack := awscdk.NewStack(scope, &id, nil)
	attribute := func(name string) *awsdynamodb.Attribute {
		return &awsdynamodb.Attribute{Name: &name, Type: awsdynamodb.AttributeType_STRING}
	}
	table := awsdynamodb.NewTableV2(stack, jsii.String("Likes"), &awsdynamodb.TablePropsV2{
		PartitionKey: attribute("pk"), SortKey: attribute("sk"),
	})
	fn := function.NewFunction(stack, "Handler", &function.Props{
		Entry:       "example.com/securedapi/functions/favourites",
		Environment: map[string]string{"TABLE": *table.TableName()},
		// Callers wait for the answer, and a queue would keep tokens.
		WithoutDeadLetterQueue: true,
	})
	api := newAPI(stack, "API")

	// Clients hold references; the function gets a token for itself.
	door := security.NewOpaqueInvocation(stack, "Door", &security.OpaqueInvocationProps{
		Issuer: api.url, Audience: audience, Scopes: map[string][]string{audience: {"favourites:read", "favourites:write"}},
	})
	door.AddInner(fn, audience)
	api.addDoor(door, fn, "GET /favourites", "PUT /favourites/{name}")

	// With that token the function gets its user's rights, for 15 minutes.
	users := security.NewImpersonation(stack, "AsUser", &security.ImpersonationProps{
		Issuer: api.url, Audience: audience, Tenant: "all", Subjects: schema.SubjectsHash,
	})
	users.AddPermissionSet("own").GrantOwnItems(table, &security.ItemsProps{Write: true})
	users.GrantImpersonate(fn)
	awscdk.NewCfnOutput(stack, jsii.String("URL"), &awscdk.CfnOutputProps{Value: &api.url})
	return stack
}
