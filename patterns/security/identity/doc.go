// Package identity lets a Lambda function act as the user who called it. It
// asks the broker of a security.Impersonation for credentials and gives the
// handler an AWS configuration that reaches what is the user's:
//
//	users, err := identity.FromEnv(cfg)
//	handler := users.HTTP("read-own", lambda.NewHandler(
//		func(ctx context.Context, r events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
//			user := identity.FromContext(ctx)
//			carts := dynamodb.NewFromConfig(user.Config())
//			...
//		}))
//
// Make clients from the user's configuration within the invocation and do not
// keep them: that is how one user's rights never serve another's call.
//
// # Fails closed
//
// A handler runs with a user or not at all. Without a token, with one that the
// broker refuses, or when the broker cannot be reached, the handler is not
// called; nothing falls back to the function's own role.
//
// # Cache
//
// A session serves the calls that bring the same token and ask for the same
// permission set, and no others: its key is a hash of both. It is used until a
// minute before its credentials end, and never after the token's end.
package identity
