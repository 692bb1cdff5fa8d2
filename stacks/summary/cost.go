package summary

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/serverless-go/cdk/patterns/prices"
)

const hoursPerMonth = 730 // as AWS's calculator has it

// cost is what resources of one kind cost a month.
type cost struct {
	usd     float64
	what    string // "7 functions of 512 MB"
	formula string // what usd was calculated from
}

// estimate calculates what a stack costs.
type estimate struct {
	Load
	stack stack
	table prices.Table

	costs    map[string][]cost     // by type
	unpriced map[string][]unpriced // by type
	used     map[use]priceOrigin   // what was calculated with
}

// use is an item in the region where it is used, which is empty if that is
// decided at deployment.
type use struct {
	item   prices.Item
	region string
}

func (u use) compare(v use) int {
	return cmp.Or(cmp.Compare(u.item, v.item), cmp.Compare(u.region, v.region))
}

// unpriced are resources of a type whose cost is not calculated.
type unpriced struct {
	n   int
	why string
}

// priceOrigin is a price, and the region that it was taken from.
type priceOrigin struct {
	prices.Price
	region string
}

func newEstimate(s stack, o Options) *estimate {
	e := &estimate{Load: o.Load, stack: s, table: o.Prices,
		costs: map[string][]cost{}, unpriced: map[string][]unpriced{}, used: map[use]priceOrigin{}}
	types := s.byType()
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		k, known := kinds[typ]
		switch {
		case !known:
			e.unpriced[typ] = []unpriced{{len(types[typ]), "unknown to this summary"}}
		case k.estimate != nil:
			e.of(typ, types[typ], k.estimate)
		case k.unpriced != "":
			e.unpriced[typ] = []unpriced{{len(types[typ]), k.unpriced}}
		}
	}
	return e
}

// of calculates the costs of a type. Where a price is missing, none of the
// type's costs are shown.
func (e *estimate) of(typ string, resources []resource, calculate func(*calculation, []resource)) {
	c := &calculation{estimate: e, used: map[use]priceOrigin{}}
	calculate(c, resources)
	if c.missing != "" {
		e.unpriced[typ] = []unpriced{{len(resources), c.missing}}
		return
	}
	maps.Copy(e.used, c.used)
	if len(c.costs) > 0 {
		e.costs[typ] = c.costs
	}
	if len(c.skipped) > 0 {
		e.unpriced[typ] = c.skipped
	}
}

// total returns the sum of all costs.
func (e *estimate) total() float64 {
	var total float64
	for _, costs := range e.costs {
		total += sum(costs)
	}
	return total
}

func sum(costs []cost) float64 {
	var total float64
	for _, c := range costs {
		total += c.usd
	}
	return total
}

// calculation is the estimate of one type.
type calculation struct {
	*estimate
	costs   []cost
	used    map[use]priceOrigin
	missing string // a price that the table does not have
	skipped []unpriced
}

// price returns the item's price in the region, or in the table's home region
// where the table does not have it.
func (c *calculation) price(u use) float64 {
	for _, region := range []string{u.region, prices.Home} {
		if price, ok := c.table[region][u.item]; ok {
			c.used[u] = priceOrigin{price, region}
			return price.USD
		}
	}
	c.missing = cmp.Or(c.missing, "the table has no price of "+string(u.item))
	return 0
}

// skip returns the resources without those for which why has a reason not to
// calculate them.
func (c *calculation) skip(resources []resource, why func(resource) string) []resource {
	var left []resource
	for _, r := range resources {
		reason := why(r)
		if reason == "" {
			left = append(left, r)
			continue
		}
		i := slices.IndexFunc(c.skipped, func(u unpriced) bool { return u.why == reason })
		if i < 0 {
			c.skipped = append(c.skipped, unpriced{why: reason})
			i = len(c.skipped) - 1
		}
		c.skipped[i].n++
	}
	return left
}

// each adds the costs of n resources that cost the same: each amount at its
// price. No resources cost nothing.
func (c *calculation) each(n int, what string, amounts ...amount) {
	if n == 0 {
		return
	}
	var usd float64
	var terms []string
	for _, a := range amounts {
		price := c.price(use{a.item, cmp.Or(a.region, c.stack.region)})
		usd += a.value * price
		terms = append(terms, fmt.Sprintf("%s x %s USD", a.text, number(price)))
	}
	formula := strings.Join(terms, " + ")
	if len(terms) > 1 {
		formula = "(" + formula + ")"
	}
	c.costs = append(c.costs, cost{float64(n) * usd, what, fmt.Sprintf("%d x %s", n, formula)})
}

// amount is how much of an item is used, and how that is written.
type amount struct {
	value  float64
	text   string
	item   prices.Item
	region string // the stack's if empty
}

func units(n float64, unit string, item prices.Item) amount {
	return amount{value: n, text: strings.TrimSpace(number(n) + " " + unit), item: item}
}

// every returns the calculation of a kind whose resources all cost the same.
func every(what string, amounts func(Load) []amount) func(*calculation, []resource) {
	return func(c *calculation, resources []resource) {
		c.each(len(resources), counted(len(resources), what), amounts(c.Load)...)
	}
}

// groups calls do with the resources that have the same key, in the order of
// the keys.
func groups[K cmp.Ordered](resources []resource, key func(resource) K, do func(K, []resource)) {
	by := map[K][]resource{}
	for _, r := range resources {
		by[key(r)] = append(by[key(r)], r)
	}
	for _, k := range slices.Sorted(maps.Keys(by)) {
		do(k, by[k])
	}
}

func functions(c *calculation, resources []resource) {
	groups(resources, architecture, func(architecture string, of []resource) {
		items := prices.Lambda(architecture)
		groups(of, memory, func(mb float64, same []resource) {
			seconds := c.Invocations * c.Milliseconds / 1000
			c.each(len(same), fmt.Sprintf("%s of %s MB, %s", counted(len(same), "function"), number(mb), architecture),
				units(c.Invocations, "invocations", items.Request),
				amount{value: seconds * mb / 1024, text: fmt.Sprintf("%s s x %s GB", number(seconds), number(mb/1024)), item: items.Duration})
		})
	})
}

func memory(r resource) float64 { return r.number(128, "MemorySize") }

func architecture(r resource) string {
	architectures, _ := r.at("Architectures").([]any)
	if slices.Contains(architectures, any("arm64")) {
		return "arm64"
	}
	return "x86_64" // CloudFormation's default
}

// aliases cost what is provisioned for them. What a schedule provisions is the
// scalable target's.
func aliases(c *calculation, resources []resource) {
	environments := func(r resource) float64 {
		return r.number(0, "ProvisionedConcurrencyConfig", "ProvisionedConcurrentExecutions")
	}
	function := func(r resource) (resource, bool) {
		id, _ := referred(r.at("FunctionName"))
		f, ok := c.stack.resources[id]
		return f, ok
	}
	for _, r := range c.skip(resources, func(r resource) string {
		if _, ok := function(r); environments(r) > 0 && !ok {
			return "the function whose environments are provisioned is not in the stack"
		}
		return ""
	}) {
		if n := environments(r); n > 0 {
			f, _ := function(r)
			gb := memory(f) / 1024
			c.each(1, fmt.Sprintf("%s provisioned environments of %s", number(n), r.path()),
				amount{value: n * gb * hoursPerMonth * 3600, item: prices.Lambda(architecture(f)).Provisioned,
					text: fmt.Sprintf("%s x %s GB x %d h x 3,600 s", number(n), number(gb), hoursPerMonth)})
		}
	}
}

// tables cost what is written and read. A write to a global table is charged
// in each of its regions; what is read is read in the stack's.
func tables(c *calculation, resources []resource) {
	priced := c.skip(resources, func(r resource) string {
		_, known := c.replicas(r)
		witnesses, _ := r.at("GlobalTableWitnesses").([]any)
		switch {
		case r.at("BillingMode") != "PAY_PER_REQUEST":
			return "its capacity is provisioned"
		case !known:
			return "the regions of its replicas are decided when it is deployed"
		case len(witnesses) > 0:
			return "the price of a witness is not in the table"
		}
		return ""
	})
	regions := func(r resource) string {
		regions, _ := c.replicas(r)
		return strings.Join(regions, ", ")
	}
	groups(priced, regions, func(_ string, same []resource) {
		what, amounts := counted(len(same), "table"), []amount{units(c.Writes, "writes", prices.DynamoDBWrite)}
		if regions, _ := c.replicas(same[0]); len(regions) > 0 {
			what += fmt.Sprintf(" in %d regions", len(regions))
			amounts = nil
			for _, region := range regions {
				write := units(c.Writes, "writes in "+cmp.Or(region, "the stack's region"), prices.DynamoDBReplicatedWrite)
				write.region = region
				amounts = append(amounts, write)
			}
		}
		c.each(len(same), what+", without storage and indexes", append(amounts, units(c.Reads, "reads", prices.DynamoDBRead))...)
	})
}

// replicas returns the regions of a table that is in several, sorted, and
// whether the template says them. The stack's own region may be empty.
func (c *calculation) replicas(table resource) (regions []string, known bool) {
	replicas, _ := table.at("Replicas").([]any)
	if len(replicas) < 2 {
		return nil, true
	}
	for _, replica := range replicas {
		r, _ := replica.(map[string]any)
		region, ok := r["Region"].(string)
		if id, _ := referred(r["Region"]); id == "AWS::Region" {
			region, ok = c.stack.region, true
		}
		if !ok {
			return nil, false
		}
		regions = append(regions, region)
	}
	slices.Sort(regions)
	return regions, true
}

// queues cost three requests a message: to send, to receive and to delete it.
// In a queue of dead letters nothing arrives while all is well.
func queues(c *calculation, resources []resource) {
	dead := c.stack.deadLetters()
	alive := slices.DeleteFunc(slices.Clone(resources), func(r resource) bool { return dead[r.id] })
	fifo := func(r resource) string {
		if r.at("FifoQueue") == true {
			return "FIFO"
		}
		return "standard"
	}
	groups(alive, fifo, func(kind string, same []resource) {
		item := prices.SQSStandard
		if kind == "FIFO" {
			item = prices.SQSFIFO
		}
		c.each(len(same), counted(len(same), "queue")+", "+kind, amount{value: 3 * c.Messages, text: "3 x " + number(c.Messages) + " messages", item: item})
	})
	if n := len(resources) - len(alive); n > 0 {
		c.costs = append(c.costs, cost{0, counted(n, "queue") + " of dead letters", "0, for nothing arrives while all is well"})
	}
}

func machines(c *calculation, resources []resource) {
	standard := c.skip(resources, unlike("STANDARD", "charged by duration and memory, as express workflows are", "StateMachineType"))
	c.each(len(standard), counted(len(standard), "state machine"), amount{value: c.Executions * c.Transitions, item: prices.StatesTransition,
		text: fmt.Sprintf("%s executions x %s transitions", number(c.Executions), number(c.Transitions))})
}

// unlike returns the reason for resources that have something else than the
// value, or its absence, at the property.
func unlike(value, reason, property string) func(resource) string {
	return func(r resource) string {
		if is := r.at(property); is != nil && is != value {
			return reason
		}
		return ""
	}
}

// alarms are charged by the metrics that they look at, and by two more for the
// band of a model.
func alarms(c *calculation, resources []resource) {
	metrics := func(r resource) int {
		queries, _ := r.at("Metrics").([]any)
		n := 0
		for _, q := range queries {
			query, _ := q.(map[string]any)
			expression, _ := query["Expression"].(string)
			switch {
			case query["MetricStat"] != nil:
				n++
			case strings.Contains(expression, "ANOMALY_DETECTION_BAND"):
				n += 2
			}
		}
		return max(n, 1)
	}
	groups(resources, metrics, func(n int, same []resource) {
		c.each(len(same), counted(len(same), "alarm")+" on "+counted(n, "metric"), units(float64(n), "", prices.CloudWatchAlarm))
	})
}

func apis(c *calculation, resources []resource) {
	http := c.skip(resources, unlike("HTTP", "only HTTP APIs are in the table", "ProtocolType"))
	c.each(len(http), counted(len(http), "API"), units(c.Requests, "requests", prices.APIGatewayHTTPRequest))
}

// graphs are Neptune's clusters at the least capacity of their serverless
// instances, which are charged whether or not anybody asks.
func graphs(c *calculation, resources []resource) {
	instances := func(cluster resource) []resource {
		return slices.DeleteFunc(c.stack.byType()["AWS::Neptune::DBInstance"], func(instance resource) bool {
			id, _ := referred(instance.at("DBClusterIdentifier"))
			return id != cluster.id
		})
	}
	least := func(cluster resource) float64 {
		return cluster.number(0, "ServerlessScalingConfiguration", "MinCapacity")
	}
	for _, cluster := range c.skip(resources, func(cluster resource) string {
		fixed := func(instance resource) bool { return instance.at("DBInstanceClass") != "db.serverless" }
		if least(cluster) == 0 || slices.ContainsFunc(instances(cluster), fixed) {
			return "only serverless instances are in the table"
		}
		return ""
	}) {
		n := len(instances(cluster))
		c.each(n, fmt.Sprintf("%s of %s, idle, without storage", counted(n, "graph instance"), cluster.path()),
			amount{value: least(cluster) * hoursPerMonth, item: prices.NeptuneCapacity,
				text: fmt.Sprintf("%s NCU x %d h", number(least(cluster)), hoursPerMonth)})
	}
}

// endpoints of type gateway are free.
func endpoints(c *calculation, resources []resource) {
	c.skip(resources, unlike("Gateway", "charged by the hour and by the GB", "VpcEndpointType"))
}

// number writes n with commas, and as many decimals as it has.
func number(n float64) string {
	text := fmt.Sprintf("%.10f", n)
	text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	whole, decimals, fraction := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction {
		return sign + whole + "." + decimals
	}
	return sign + whole
}
