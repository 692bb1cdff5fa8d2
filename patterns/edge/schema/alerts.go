package schema

// Attributes of an item in the table of a LocalAlerts. A window of one
// locality and kind is one partition, with three sorts of items: the alert, the
// report of the count, and one mark for each reading.
const (
	// AlertPK is the partition key: the alert's id.
	AlertPK = "pk"
	// AlertSK is the sort key: AlertItem, CountItem, or ReadingPrefix and the
	// reading's id.
	AlertSK = "sk"
	// AlertTTL is when the item may be deleted, in seconds since 1970. An item
	// that has something left to do has none.
	AlertTTL = "ttl"
	// AlertOutbox is the partition key of OutboxIndex. Only an item with
	// something left to do has it, and its value is always OutboxOpen.
	AlertOutbox = "outbox"
	// AlertDue is when the item has something to do, in milliseconds since 1970.
	AlertDue = "due"
)

// Sort keys of the items.
const (
	AlertItem     = "alert"
	CountItem     = "count"
	ReadingPrefix = "reading#"
)

// OutboxIndex is the sparse index of what is left to do, by AlertDue.
const OutboxIndex = "outbox"

// OutboxOpen is the value of AlertOutbox.
const OutboxOpen = "open"

// RulesFolder and RulesFile say where a layer puts the rules of the alerts.
const (
	RulesFolder = "alerts"
	RulesFile   = "rules.json"
)

// Environment variables of the functions of a LocalAlerts.
const (
	// EnvAlertsTable names the table.
	EnvAlertsTable = "ALERTS_TABLE"
	// EnvAlertsBus is the bus that is told of alerts nobody acknowledged.
	EnvAlertsBus = "ALERTS_BUS"
	// EnvAlertsCounts is the bus of the counts for the global view, empty for
	// none.
	EnvAlertsCounts = "ALERTS_COUNTS_BUS"
	// EnvAlertsTopics are the ARNs of the levels' topics, in order, separated
	// by commas.
	EnvAlertsTopics = "ALERTS_TOPICS"
	// EnvAlertsWebhook begins the name of a webhook's variable, which goes on
	// with its level, "_" and its name: "ALERTS_WEBHOOK_0_PAGER". The value is
	// the ARN of the secret, a space and the URL.
	EnvAlertsWebhook = "ALERTS_WEBHOOK_"
)

// Events that a LocalAlerts puts on buses.
const (
	// AlertSource is their source.
	AlertSource = "serverless-go.local-alerts"
	// AlertCountType is the detail type of a count for the global view.
	AlertCountType = "LocalAlertCount"
	// AlertUnacknowledgedType is the detail type of the event that the last
	// level passed and nobody acknowledged the alert.
	AlertUnacknowledgedType = "LocalAlertUnacknowledged"
	// ReadingType is the detail type of the readings, unless others are named.
	ReadingType = "LocalReading"
)

// AlertUnacknowledgedMessage is the message of the log record that the
// construct's metric counts, and AlertFunctionField its field with the name of
// the function.
const (
	AlertUnacknowledgedMessage = "alert unacknowledged"
	AlertFunctionField         = "function"
)

// AlertCount is all that leaves the jurisdiction: how many readings a locality
// had in a window. It is a total, so that the latest for its window replaces
// earlier ones, and one that comes twice changes nothing.
type AlertCount struct {
	Jurisdiction  string `json:"jurisdiction"`
	Locality      string `json:"locality"`
	Kind          string `json:"kind"`
	WindowStart   string `json:"windowStart"` // RFC 3339, UTC
	WindowSeconds int    `json:"windowSeconds"`
	Count         int    `json:"count"`
}

// Acknowledgement is the request to the function that acknowledges alerts.
type Acknowledgement struct {
	// Alert is the id of the alert, from its message.
	Alert string `json:"alert"`
	// By says who acknowledges; the first one stays on record.
	By string `json:"by"`
}

// NoSuchAlert is the error of the function that acknowledges, for an alert that
// is not there.
const NoSuchAlert = "alerts: no such alert"

// Acknowledged is the answer to an Acknowledgement.
type Acknowledged struct {
	Alert string `json:"alert"`
	// By and At tell who acknowledged first, and when, RFC 3339.
	By string `json:"by"`
	At string `json:"at"`
}
