package stacks

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/functions/notebook"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// GatewayProps says where the gateway runs and who may use it.
type GatewayProps struct {
	// Env is the account and the region.
	//
	// Default: decided when the stack is deployed.
	Env *awscdk.Environment
	// AlarmEmail is told about alarms.
	//
	// Default: nobody.
	AlarmEmail string
	// Domain is the custom domain of the API.
	//
	// Default: none.
	Domain Domain
	// Identity signs the tokens that users have references issued with.
	//
	// Default: none; those requests are signed with AWS credentials (IAM).
	Identity Identity
}

func gatewayProps(c *Config) *GatewayProps {
	return &GatewayProps{Env: c.env(), AlarmEmail: c.AlarmEmail, Domain: c.Domains["gateway"], Identity: c.Identity}
}

// Gateway keeps users' notes and files. Clients hold nothing but opaque
// references; no function has a right to anybody's notes, but acts as the user
// who calls; and no token is of use to anybody but the function that it was
// made for.
//
//	client ─reference─▶ API ─▶ authorizer ─▶ references, KMS
//	                     │ token for the notes
//	                     ▼
//	                   notes ─token─▶ broker ─▶ the user's own rights ─▶ own items, own objects
//	                     │ token for the notes
//	                     ▼
//	                 exchange ─▶ KMS
//	                     │ token for the journal
//	                     ▼
//	                  journal ─▶ entries
type Gateway struct {
	stack   awscdk.Stack
	key     awskms.Key
	alarms  awssns.Topic
	table   awsdynamodb.TableV2
	entries awsdynamodb.TableV2
	files   awss3.Bucket
	notes   *function.Function
	journal *function.Function
	api     *httpAPI
	tokens  *security.TokenExchange
	users   *security.Impersonation
}

// NewGateway makes the stack of the gateway.
func NewGateway(scope constructs.Construct, id string, p *GatewayProps) *Gateway {
	if p == nil {
		p = &GatewayProps{}
	}
	g := &Gateway{stack: construct.NewStack(scope, id, &awscdk.StackProps{
		Env:         p.Env,
		Description: jsii.String("Gateway: opaque references outside, tokens for one function inside, and functions that act as their user."),
	})}
	g.key, g.alarms = newAlarmTopic(g.stack, "Encrypts the gateway's notes, files, references and alarms.", p.AlarmEmail)
	g.addStores()
	g.addFunctions()
	g.addAPI(p)
	g.addUsers(p)
	for _, output := range []struct {
		id    string
		value *string
	}{{"URL", g.api.url}, {"NotesTable", construct.TableName(g.table)}, {"JournalTable", construct.TableName(g.entries)}} {
		awscdk.NewCfnOutput(g.stack, &output.id, &awscdk.CfnOutputProps{Value: output.value})
	}
	return g
}

// Stack returns the CDK stack.
func (g *Gateway) Stack() awscdk.Stack { return g.stack }

func (g *Gateway) addStores() {
	attribute := func(name string) *awsdynamodb.Attribute {
		return &awsdynamodb.Attribute{Name: &name, Type: awsdynamodb.AttributeType_STRING}
	}
	table := func(id string, ttl *string) awsdynamodb.TableV2 {
		return defaults.Table(g.stack, id, g.key, nil, &awsdynamodb.TablePropsV2{
			PartitionKey: attribute(notebook.PK), SortKey: attribute(notebook.SK), TimeToLiveAttribute: ttl,
		})
	}
	g.table = table("Notes", nil)
	g.entries = table("Entries", jsii.String(notebook.TTL))
	g.files = defaults.Bucket(g.stack, "Files", &awss3.BucketProps{
		EncryptionKey: g.key,
		LifecycleRules: &[]*awss3.LifecycleRule{{
			NoncurrentVersionExpiration:         construct.SharedDuration(g.stack, 30*24*time.Hour),
			AbortIncompleteMultipartUploadAfter: construct.SharedDuration(g.stack, 7*24*time.Hour),
			ExpiredObjectDeleteMarker:           jsii.Bool(true),
		}},
	})
}

func (g *Gateway) addFunctions() {
	add := func(id, name, description string, environment map[string]string, grants func(*function.Function)) *function.Function {
		return function.NewFunction(g.stack, id, handler(name, description, g.alarms, function.Props{
			Environment: environment, Grants: grants, Memory: 512, Timeout: 15 * time.Second,
			WithoutDeadLetterQueue: true, // callers wait for the answer, and a queue would keep tokens
		}))
	}
	g.journal = add("JournalHandler", "notejournal", "Records who changes which note.",
		map[string]string{notebook.EnvEntries: *construct.TableName(g.entries)}, func(journal *function.Function) {
			journal.AddToPolicy([]string{"dynamodb:PutItem"}, *construct.TableArn(g.entries))
			useTableKey(journal, g.key)
		})
	g.notes = add("NotesHandler", "notes", "Answers for users' notes and files, with the users' own rights.", map[string]string{
		notebook.EnvNotes: *construct.TableName(g.table), notebook.EnvFiles: *construct.BucketName(g.files), notebook.EnvJournal: *construct.FunctionName(g.journal.Target()),
	}, nil)
	g.journal.GrantInvoke(g.notes)
}

func (g *Gateway) addAPI(p *GatewayProps) {
	g.api = newHTTPAPI(g.stack, "API", httpAPIProps{
		domain: p.Domain, identity: p.Identity, scopes: notebook.Scopes(), byReference: true,
		answers: []integration{{"Notes", g.notes, notebook.Routes()}},
		references: &references{
			audience: notebook.NotesAudience, scopes: notebook.Scopes(), key: g.key, alarms: g.alarms,
			// A token brings one session of the user's, which ends with it.
			lifetime: 5 * time.Minute,
		},
		more: g.addExchange,
	})
	behind(g.api.opaque, notebook.NotesAudience, g.notes)
}

// addExchange makes what gives the notes a token for the journal, and for
// nobody else. It is an issuer of its own: what it signs opens no door of the
// API, and what opens those is of no use to the journal.
func (g *Gateway) addExchange(api *httpAPI) {
	const path = "/exchange"
	issuer := *api.url + path
	g.tokens = security.NewTokenExchange(g.stack, "Exchange", &security.TokenExchangeProps{
		Issuer: issuer, Subjects: []security.TokenSource{{Issuer: *api.url}}, Lifetime: time.Minute,
		Alarms: function.Alarms{Topic: g.alarms},
	})
	g.tokens.AddClient(g.notes, notebook.NotesAudience)
	g.tokens.Allow(notebook.NotesAudience, notebook.JournalAudience, notebook.WriteScope)
	api.addRoutes(integration{"Exchange", g.tokens.Endpoint(), []string{"POST " + path}}, nil,
		func(r *awsapigatewayv2.CfnRouteProps) { r.AuthorizationType = jsii.String("AWS_IAM") })
	api.addKeys(integration{"ExchangeKeys", g.tokens.JWKS(), []string{"GET " + path + schema.JWKSPath}})
	g.notes.AddEnvironment(notebook.EnvExchange, issuer)
	g.notes.AddToPolicy([]string{"execute-api:Invoke"},
		*defaults.Text(g.stack, "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/$default/POST"+path,
			defaults.Values{"Api": api.id}))
	g.journal.AddEnvironment(schema.EnvInnerIssuer, issuer)
	g.journal.AddEnvironment(schema.EnvInnerAudience, notebook.JournalAudience)
	g.journal.AddEnvironment(schema.EnvInnerJWKS, issuer+schema.JWKSPath)
}

// addUsers lets the notes act as their user. The users' role has the only
// permissions on notes and files that there are.
func (g *Gateway) addUsers(p *GatewayProps) {
	g.users = security.NewImpersonation(g.stack, "Users", &security.ImpersonationProps{
		Issuer: *g.api.url, Audience: notebook.NotesAudience,
		Tenant: tenant(p.Identity), Providers: providers(p.Identity),
		// Subjects of providers and ARNs can have any character; and CloudTrail,
		// which shows session tags, then names nobody.
		Subjects: schema.SubjectsHash,
		Alarms:   function.Alarms{Topic: g.alarms},
	})
	read := g.users.AddPermissionSet(notebook.ReadSet)
	read.GrantOwnItems(g.table, &security.ItemsProps{EncryptionKey: g.key})
	read.GrantOwnObjects(g.files, nil)
	write := g.users.AddPermissionSet(notebook.WriteSet)
	write.GrantOwnItems(g.table, &security.ItemsProps{Write: true, EncryptionKey: g.key})
	write.GrantOwnObjects(g.files, &security.ObjectsProps{Write: true})
	g.users.GrantImpersonate(g.notes)
}

// providers are those who vouch for the users: references that another one's
// users still hold open nobody's notes. ARNs of principals and identities of pools
// are never spelt alike.
func providers(identity Identity) []string {
	if identity.Issuer == "" {
		return []string{schema.ProviderIAM, schema.ProviderCognito}
	}
	return []string{identity.Issuer}
}

// tenant names all users of an identity provider. Another provider's users
// never reach their notes, though their subjects be spelt alike.
func tenant(identity Identity) string {
	if identity.Issuer == "" {
		return "iam"
	}
	sum := sha256.Sum256([]byte(identity.Issuer))
	return "idp-" + hex.EncodeToString(sum[:8])
}
