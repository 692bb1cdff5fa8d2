package diagram

import (
	"maps"
	"slices"
	"strings"
)

// verbs says what an action allows in one word; an action without a verb is
// not drawn. The longest prefix counts.
var verbs = map[string]string{
	"athena:StartQueryExecution":      "queries",
	"cloudfront-keyvaluestore:Delete": "writes",
	"cloudfront-keyvaluestore:Get":    "reads",
	"cloudfront-keyvaluestore:Put":    "writes",
	"cloudfront-keyvaluestore:Update": "writes",
	"dynamodb:BatchGet":               "reads",
	"dynamodb:BatchWrite":             "writes",
	"dynamodb:ConditionCheck":         "reads",
	"dynamodb:DeleteItem":             "writes",
	"dynamodb:GetItem":                "reads",
	"dynamodb:PartiQLDelete":          "writes",
	"dynamodb:PartiQLInsert":          "inserts",
	"dynamodb:PartiQLSelect":          "reads",
	"dynamodb:PartiQLUpdate":          "writes",
	"dynamodb:PutItem":                "writes",
	"dynamodb:Query":                  "reads",
	"dynamodb:Scan":                   "reads",
	"dynamodb:UpdateItem":             "writes",
	"events:PutEvents":                "puts events",
	"firehose:PutRecord":              "writes",
	"glue:Get":                        "reads",
	"glue:StartJobRun":                "starts",
	"glue:UpdateTable":                "writes",
	"kms:Decrypt":                     "uses",
	"kms:Encrypt":                     "uses",
	"kms:GenerateDataKey":             "uses",
	"kms:Sign":                        "signs with",
	"kms:GetPublicKey":                "reads",
	"lambda:DeleteFunction":           "prunes versions",
	"lambda:InvokeFunction":           "invokes",
	"neptune-db:ReadDataViaQuery":     "reads",
	"neptune-db:StartLoaderJob":       "loads",
	"neptune-db:WriteDataViaQuery":    "writes",
	"neptune-graph:ReadDataViaQuery":  "reads",
	"neptune-graph:StartImportTask":   "loads",
	"neptune-graph:WriteDataViaQuery": "writes",
	"s3:DeleteObject":                 "writes",
	"s3:GetObject":                    "reads",
	"s3:PutObject":                    "writes",
	"secretsmanager:GetSecretValue":   "reads",
	"sns:Publish":                     "publishes",
	"sqs:ReceiveMessage":              "reads",
	"sqs:SendMessage":                 "sends",
	"states:SendTask":                 "answers",
	"states:StartExecution":           "starts",
	"states:StartSyncExecution":       "starts",
	"sts:AssumeRole":                  "assumes",
	"sagemaker:CreateModelPackage":    "registers",
	"sagemaker:UpdateModelPackage":    "approves",
}

// addAccess draws what the policies of each node's role allow, unless an arrow
// of events says so already.
func (b *builder) addAccess() {
	for _, id := range slices.Sorted(maps.Keys(b.nodes)) {
		for _, r := range b.refs(rolesIn(b.resources[id].Properties)) {
			if b.resources[r].Type == "AWS::IAM::Role" && b.nodes[r] == nil {
				b.roles[r] = append(b.roles[r], id)
			}
		}
		if b.nodes[id].Kind == "role" {
			b.roles[id] = []string{id}
		}
	}
	for _, id := range b.of("AWS::IAM::Role") {
		if b.nodes[id] == nil {
			continue
		}
		for _, s := range list(at(b.resources[id].Properties, "AssumeRolePolicyDocument.Statement")) {
			for _, r := range b.refs(at(s, "Principal.AWS")) {
				b.connectAll(b.roles[r], []string{id}, Access, "assumes")
			}
			if at(s, "Principal.Federated") != nil {
				through := b.nodesOf(s)
				b.connectAll([]string{b.outside("users", "outside", "Users", "")}, through, Flow, "sign in")
				b.connectAll(through, []string{id}, Access, "assumes")
			}
		}
	}
	ways := map[[2]string]bool{}
	for _, e := range b.edges {
		ways[[2]string{e.From, e.To}] = true
	}
	grant := func(roles []string, statement any, targets []string) {
		for _, action := range list(at(statement, "Action")) {
			for _, verb := range verbsOf(action) {
				for _, role := range roles {
					for _, from := range b.roles[role] {
						for _, to := range targets {
							polled := verb == "reads" && b.nodes[to].Kind == "queue" && ways[[2]string{to, from}]
							if !ways[[2]string{from, to}] && !polled {
								b.connect(from, to, Access, verb)
							}
						}
					}
				}
			}
		}
	}
	allow := func(roles []string, document any) {
		for _, s := range list(at(document, "Statement")) {
			if at(s, "Effect") == "Allow" {
				grant(roles, s, append(b.nodesOf(at(s, "Resource")), b.named(at(s, "Resource"))...))
			}
		}
	}
	for _, id := range b.ids {
		p := b.resources[id].Properties
		switch b.resources[id].Type {
		case "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy":
			allow(b.refs(p["Roles"]), p["PolicyDocument"])
		case "AWS::IAM::Role":
			for _, policy := range list(p["Policies"]) {
				allow([]string{id}, at(policy, "PolicyDocument"))
			}
		case "AWS::KMS::Key":
			// Who may sign stands in the key's own policy.
			if b.nodes[id] == nil || p["KeyUsage"] != "SIGN_VERIFY" {
				continue
			}
			for _, s := range list(at(p, "KeyPolicy.Statement")) {
				if at(s, "Effect") == "Allow" {
					grant(b.refs(at(s, "Principal.AWS")), s, []string{id})
				}
			}
		}
	}
}

// rolesIn returns what properties with a role's name hold, at any depth. A
// role that stands elsewhere, as in a key's policy or in a function's
// environment, is not one that the resource acts with.
func rolesIn(v any) []any {
	var found []any
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			found = append(found, rolesIn(e)...)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if strings.HasSuffix(name, "Role") || strings.HasSuffix(name, "RoleArn") || strings.HasSuffix(name, "RoleARN") || name == "AssociatedRoles" {
				found = append(found, v[name])
			} else {
				found = append(found, rolesIn(v[name])...)
			}
		}
	}
	return found
}

// named returns the nodes that a policy names by a physical name, where the
// construct knows it and the CDK leaves no reference.
func (b *builder) named(resources any) []string {
	var found []string
	for _, r := range list(resources) {
		arn := text(r)
		for _, id := range b.ids {
			p := b.resources[id].Properties
			var name string
			switch b.resources[id].Type {
			case "AWS::Glue::Database":
				name = text(at(p, "DatabaseInput.Name"))
			case "AWS::Athena::WorkGroup":
				name = text(p["Name"])
			case "AWS::SageMaker::ModelPackageGroup":
				name = text(p["ModelPackageGroupName"])
			}
			if name != "" && slices.Contains(strings.Split(arn, "/"), name) && !slices.Contains(found, id) {
				found = append(found, id)
			}
		}
	}
	return found
}

// verbsOf returns what an action allows, which is several things if it ends in
// a wildcard.
func verbsOf(action any) []string {
	name, _ := action.(string)
	name, wildcard := strings.CutSuffix(name, "*")
	var found []string
	best := ""
	for _, prefix := range slices.Sorted(maps.Keys(verbs)) {
		switch {
		case strings.HasPrefix(name, prefix):
			if len(prefix) > len(best) {
				best = prefix
			}
		case wildcard && strings.HasPrefix(prefix, name):
			found = append(found, verbs[prefix])
		}
	}
	if best != "" {
		found = append(found, verbs[best])
	}
	slices.Sort(found)
	return slices.Compact(found)
}
