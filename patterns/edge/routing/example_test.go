package routing_test

import (
	"fmt"

	"github.com/serverless-go/cdk/patterns/edge/routing"
)

func ExampleTable_Entries() {
	entries, err := routing.Table{
		Jurisdictions: map[string]routing.Jurisdiction{"eu": {Origins: []string{"eu.example.com"}}},
		Countries:     map[string]string{"DE": "eu", "FR": "eu"},
		Token:         routing.Token{Form: routing.FormOpaque},
		Maintenance:   routing.Maintenance{On: true, Allow: []string{"192.0.2.7"}},
	}.Entries()
	fmt.Println(err)
	fmt.Println(entries["countries"])
	fmt.Println(entries["settings"])
	// Output:
	// <nil>
	// {"eu":"DEFR"}
	// {"version":1,"maintenance":{"retryAfter":300,"allow":["4.c0000207"]},"token":{"form":"opaque","header":"authorization","scheme":"bearer","max":4096}}
}
