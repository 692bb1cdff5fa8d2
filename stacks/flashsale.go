package stacks

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/functions/flashsale"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/patterns/coldstart"
	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/function"
)

// FlashSaleProps says where the flash sale runs and who may use it.
type FlashSaleProps struct {
	// Env is the account and the region.
	//
	// Default: decided when the stack is deployed.
	Env *awscdk.Environment
	// AlarmEmail is told about alarms and about abandonment.
	//
	// Default: nobody.
	AlarmEmail string
	// Domain is the custom domain of the carts API.
	//
	// Default: none.
	Domain Domain
	// TimeZone is where most customers are; the commands are kept ready on
	// workdays from 8 to 20 o'clock there, at weekends from 10 to 18.
	//
	// Default: "UTC".
	TimeZone string
	// Sale is the flash sale itself.
	//
	// Default: none is planned.
	Sale Sale
	// Identity signs the customers' tokens.
	//
	// Default: none; requests are signed with AWS credentials (IAM).
	Identity Identity
	// ShowTokens has customers show the provider's tokens, or sign, at every
	// call.
	//
	// Default: they do so to have a reference issued, and show that.
	ShowTokens bool
}

func flashSaleProps(c *Config) *FlashSaleProps {
	return &FlashSaleProps{
		Env:        c.env(),
		AlarmEmail: c.AlarmEmail,
		Domain:     c.Domains["flashsale"],
		TimeZone:   c.TimeZone,
		Sale:       c.Sale,
		Identity:   c.Identity,
		ShowTokens: c.ShowTokens,
	}
}

// FlashSale is a shop during a flash sale. Every action on a cart is an event;
// carts and totals are projections of them; and when customers abandon their
// carts in a wave, that anomaly is an event too, on which an alert, a log and a
// remedy act, none of which knows of the others.
//
//	customer ──▶ API ──▶ carts ──▶ event store ──▶ bus ──▶ totals ──┐
//	                │                    └──▶ cart view ────────────┤
//	                └──▶ query ◀────────────── read models ◀────────┘
//	bus ──▶ abandonment rate ──▶ anomaly alarm ──▶ bus ──▶ alert · log · offer
//	bus ──▶ archive
type FlashSale struct {
	stack      awscdk.Stack
	store      *eventsourcing.EventStore
	key        awskms.Key
	alarms     awssns.Topic
	carts      *function.Function
	query      *function.Function
	cartView   *eventsourcing.Projection
	saleTotals *eventsourcing.Projection
}

// NewFlashSale makes the stack of the flash sale.
func NewFlashSale(scope constructs.Construct, id string, p *FlashSaleProps) *FlashSale {
	if p == nil {
		p = &FlashSaleProps{}
	}
	s := &FlashSale{stack: construct.NewStack(scope, id, &awscdk.StackProps{
		Env:         p.Env,
		Description: jsii.String("Flash sale: event-sourced carts, projections, and a cascade that reacts to abandonment."),
	})}
	s.key, s.alarms = newAlarmTopic(s.stack, "Encrypts the flash sale's events, read models and alarms.", p.AlarmEmail,
		rulesPublish()) // the cascade's alert
	s.store = eventsourcing.NewEventStore(s.stack, "Carts", &eventsourcing.EventStoreProps{
		EncryptionKey: s.key,
		Alarms:        eventsourcing.EventStoreAlarms{Topic: s.alarms},
	})
	s.addProjections()
	s.addFunctions(p)
	s.addCascade()
	s.store.AddArchive("History", &eventsourcing.ArchiveProps{})
	s.addOutputs(s.addAPI(p))
	return s
}

// Stack returns the CDK stack.
func (s *FlashSale) Stack() awscdk.Stack { return s.stack }

// function makes one of the system's functions.
func (s *FlashSale) function(id, name, description string, p function.Props) *function.Function {
	return function.NewFunction(s.stack, id, handler(name, description, s.alarms, p))
}

// warmCarts makes the function of the commands, which customers wait for, and
// keeps it ready while they shop.
func (s *FlashSale) warmCarts(fn function.Props, p *FlashSaleProps) *function.Function {
	zone := p.TimeZone
	if zone == "" {
		zone = "UTC"
	}
	ready := schedule.Schedule{
		schedule.Weekdays(zone, 8, 20, 2),
		schedule.Weekends(zone, 10, 18, 1),
	}
	if p.Sale != (Sale{}) {
		ready = append(ready, schedule.Window(p.Sale.Opens, p.Sale.Closes, p.Sale.Environments))
	}
	return coldstart.NewWarmFunction(s.stack, "CartsHandler", &coldstart.WarmFunctionProps{
		Function:               handler("carts", "Answers the commands of the carts API.", s.alarms, fn),
		ProvisionedConcurrency: &coldstart.ProvisionedConcurrencyProps{Schedule: ready},
		Alarms:                 coldstart.WarmFunctionAlarms{Topic: s.alarms},
	}).Function()
}

func (s *FlashSale) addProjections() {
	// A queue of their own invokes the projections: no event is lost with an
	// invocation, and so they need no dead letters besides the queue's.
	fn := function.Props{Memory: 512, Timeout: 30 * time.Second, WithoutDeadLetterQueue: true, Environment: s.store.SealedEnvironment()}
	s.cartView = s.store.AddProjection("CartView", &eventsourcing.ProjectionProps{
		Function: s.function("CartViewHandler", "cartview", "Projects carts, in the order of their events.", fn),
		Events:   flashsale.CartViewEvents(),
		Ordered:  true,
	})
	s.saleTotals = s.store.AddProjection("SaleTotals", &eventsourcing.ProjectionProps{
		Function:       s.function("SaleTotalsHandler", "saletotals", "Projects the sale's totals by hour.", fn),
		Events:         flashsale.SaleTotalsEvents(),
		MaxConcurrency: 50,
	})
}

func (s *FlashSale) addFunctions(p *FlashSaleProps) {
	// The API waits for the answers of both, so that they have no dead letters.
	s.carts = s.warmCarts(function.Props{Memory: 512, WithoutDeadLetterQueue: true, Grants: func(f *function.Function) {
		s.store.GrantAppend(f)
		s.store.GrantRead(f)
	}}, p)
	s.query = s.function("QueryHandler", "cartquery", "Answers the queries of the carts API.", function.Props{
		Memory: 512, WithoutDeadLetterQueue: true, Environment: map[string]string{
			flashsale.EnvCartView: *construct.TableName(s.cartView.ReadModel()),
			flashsale.EnvTotals:   *construct.TableName(s.saleTotals.ReadModel()),
		},
		Grants: func(f *function.Function) {
			s.cartView.GrantRead(f.Identity()) // the environment names two read models
			s.saleTotals.GrantRead(f.Identity())
		},
	})
	s.function("ForgetHandler", "forget", "Forgets a customer: destroys the key of the customer's personal data.", function.Props{
		Timeout: 30 * time.Second, Grants: func(f *function.Function) { s.store.GrantForget(f) },
	})
}

// addCascade watches the rate of abandoned carts. Nobody orchestrates what
// follows: the anomaly is an event on the bus, and each reaction has its own
// rule, permissions, retries and dead letters.
func (s *FlashSale) addCascade() {
	detector := s.store.AddAnomalyDetector("Abandonment", &eventsourcing.AnomalyDetectorProps{
		Numerator:   []string{flashsale.CartAbandoned},
		Denominator: []string{flashsale.CartOpened},
	})
	cascade := detector.AddCascade("AbandonmentCascade", nil)
	cascade.AddReaction("Alert", &eventsourcing.ReactionProps{Topic: s.alarms})
	cascade.AddReaction("Log", &eventsourcing.ReactionProps{
		LogGroup: awslogs.NewLogGroup(s.stack, jsii.String("AbandonmentLog"), &awslogs.LogGroupProps{
			Retention: awslogs.RetentionDays_ONE_YEAR,
		}),
	})
	cascade.AddRemediation("Offer", &eventsourcing.RemediationProps{
		Function: s.function("OfferHandler", "offer", "Issues a retention offer when carts are abandoned in a wave.", function.Props{
			Timeout: 30 * time.Second, Grants: func(f *function.Function) {
				s.store.GrantAppend(f)
				s.store.GrantReadSealed(f)
			},
		}),
		CoolDown: 15 * time.Minute,
		Budget:   3,
		Window:   24 * time.Hour,
	})
}

func (s *FlashSale) addAPI(p *FlashSaleProps) *httpAPI {
	props := httpAPIProps{
		domain:   p.Domain,
		identity: p.Identity,
		answers: []integration{
			{"Commands", s.carts, flashsale.CommandRoutes()},
			{"Queries", s.query, flashsale.QueryRoutes()},
		},
		scopes: flashsale.Scopes(),
	}
	if p.ShowTokens {
		return newHTTPAPI(s.stack, "API", props)
	}
	props.references = &references{
		audience: flashsale.Audience, key: s.key, alarms: s.alarms,
		// Each instance of the authorizer has a token signed for each customer
		// once in half of this time, and looks a reference up once in ten seconds.
		lifetime: 5 * time.Minute, revocation: 10 * time.Second,
	}
	if p.Identity.Issuer != "" {
		props.references.scopes = props.scopes
	}
	api := newHTTPAPI(s.stack, "API", props)
	behind(api.opaque, flashsale.Audience, s.carts, s.query)
	return api
}

func (s *FlashSale) addOutputs(api *httpAPI) {
	for _, output := range []struct {
		id    string
		value *string
	}{
		{"URL", api.url},
		{"EventTable", construct.TableName(s.store.Table())},
		{"Bus", construct.EventBusName(s.store.Bus())},
		{"CartViewRebuild", construct.Ref(s.cartView.Rebuild().CfnStateMachine())},
		{"SaleTotalsRebuild", construct.Ref(s.saleTotals.Rebuild().CfnStateMachine())},
	} {
		awscdk.NewCfnOutput(s.stack, &output.id, &awscdk.CfnOutputProps{Value: output.value})
	}
}
