package security_test

import (
	"testing"

	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/test/alarmtest"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestAlarms(t *testing.T) {
	stack := cdktest.NewStack(t, alarmtest.Paths())
	user := security.NewImpersonation(stack, "AsUser", impersonationProps())
	user.AddPermissionSet("read-own").GrantOwnItems(impersonationTable(stack, "Carts"), nil)
	fn := impersonationFunction(stack, "Orders") // with alarms, which are the user's
	exchange := security.NewTokenExchange(stack, "Exchange", exchangeProps())
	exchange.AddClient(fn, "orders")
	exchange.Allow("orders", "payments")
	introspected := opaqueProps()
	introspected.Introspection, introspected.TenantClaim = opaqueIntrospection(stack), "org"
	silent := opaqueProps()
	silent.Alarms = security.OpaqueInvocationAlarms{
		Refusals: alarm.Tuning{Off: true}, Undecided: alarm.Tuning{Off: true}, Functions: function.Alarms{Off: true}}
	alarmtest.Check(t, stack,
		user, exchange,
		security.NewOpaqueInvocation(stack, "Door", opaqueProps()),
		security.NewOpaqueInvocation(stack, "Introspected", introspected),
		security.NewOpaqueInvocation(stack, "Silent", silent),
	)
}
