package leastprivilege

import (
	"slices"
	"strings"
)

// PublicAccess refuses doors without a lock.
var PublicAccess = Rule{
	ID:      "public-access",
	Refuses: "a function URL, API route, layer, bucket, queue, topic, bus, table, key, database or identity pool that anybody can reach",
	Why:     "what is open to the world is found within hours; who means it says why",
	Source:  "https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-concepts.html",
	judge: func(s *subject) verdict {
		if check, ok := doors[s.Type]; ok {
			return about("it is not open to the world", append(check(s), everybody(s)...))
		}
		return verdict{looked: len(s.documents) > 0, right: "nobody is everybody", problems: everybody(s)}
	},
}

// callers are the keys whose value tells one caller from another.
var callers = append([]string{
	"aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths", "aws:sourceip", "aws:sourceowner",
	"aws:sourcevpc", "aws:sourcevpce", "aws:vpceaccount", "aws:vpceorgid", "kms:calleraccount", "s3:dataaccesspointaccount",
}, sources...)

// everybody finds statements that allow something to every principal.
func everybody(s *subject) []problem {
	var found []problem
	s.allowing(func(d document, st statement) {
		if d.kind == endpointPolicy {
			return // it grants nothing; whoever calls through it needs a grant, too
		}
		for _, p := range st.principals {
			if p.text == "*" && !st.limited(callers...) {
				found = append(found, problem{p.place, p.text, "a principal, or a condition on who calls",
					"name the principal, or add aws:SourceAccount, aws:SourceArn or aws:PrincipalOrgID"})
			}
		}
	})
	return found
}

// doors judges the resources that can be opened by a property.
var doors = map[string]func(*subject) []problem{
	"AWS::Lambda::Url": func(s *subject) []problem {
		return refuse(s, "AuthType", "NONE", "AWS_IAM", "let callers sign their requests, or put an API with an authorizer before it")
	},
	"AWS::Lambda::Permission": func(s *subject) []problem {
		named := s.has("SourceArn") && !slices.ContainsFunc(s.get("SourceArn"), func(v any) bool { return anyAccount(show(v)) })
		if s.text("Principal") != "*" || named || s.has("SourceAccount") || s.has("PrincipalOrgID") {
			return nil
		}
		return []problem{{"Principal", "*", "a service or an account", "name who invokes the function"}}
	},
	"AWS::Lambda::LayerVersionPermission": func(s *subject) []problem {
		if s.has("OrganizationId") {
			return nil
		}
		return refuse(s, "Principal", "*", "an account, or OrganizationId beside it", "name who may use the layer, which holds your code")
	},
	"AWS::Events::EventBusPolicy": func(s *subject) []problem {
		organization := condition{operator: s.text("Condition.Type"), key: strings.ToLower(s.text("Condition.Key"))}
		for _, v := range s.get("Condition.Value") {
			organization.values = append(organization.values, show(v))
		}
		if s.has("Condition") && organization.confines(callers...) {
			return nil
		}
		return refuse(s, "Principal", "*", "an account, or Condition with aws:PrincipalOrgID", "name who may send events")
	},
	"AWS::ApiGateway::RestApi": openOperations,
	"AWS::ApiGatewayV2::Api": func(s *subject) []problem {
		found := openOperations(s)
		if s.has("Target") { // quick create: a route without an authorizer
			found = append(found, problem{"Target", s.text("Target"), "none", "make routes with an authorizer"})
		}
		return found
	},
	"AWS::ApiGatewayV2::Route": func(s *subject) []problem {
		// Of a web socket's routes, the one that connects asks who calls.
		api := s.sibling(s.text("ApiId"))
		if api != nil && api.text("ProtocolType") == "WEBSOCKET" && s.text("RouteKey") != "$connect" {
			return nil
		}
		return open(s, "AuthorizationType")
	},
	"AWS::ApiGateway::Method": func(s *subject) []problem {
		if s.text("HttpMethod") == "OPTIONS" { // a preflight carries no credentials
			return nil
		}
		return open(s, "AuthorizationType")
	},
	"AWS::AppSync::GraphQLApi": func(s *subject) []problem {
		const allowed, fix = "AWS_IAM, AMAZON_COGNITO_USER_POOLS, OPENID_CONNECT or AWS_LAMBDA", "an API key is no secret of one caller"
		found := refuse(s, "AuthenticationType", "API_KEY", allowed, fix)
		for _, list := range s.get("AdditionalAuthenticationProviders") {
			for _, provider := range elements(list) {
				for _, kind := range dig(provider, []string{"AuthenticationType"}) {
					if kind == any("API_KEY") {
						found = append(found, problem{"AdditionalAuthenticationProviders.AuthenticationType", "API_KEY", allowed, fix})
					}
				}
			}
		}
		return found
	},
	"AWS::Cognito::IdentityPool": func(s *subject) []problem {
		return refuse(s, "AllowUnauthenticatedIdentities", "true", "false", "let callers sign in")
	},
	"AWS::S3::Bucket": func(s *subject) []problem {
		var found []problem
		for _, block := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			if place := "PublicAccessBlockConfiguration." + block; !s.set(place) {
				found = append(found, problem{place, s.text(place), "true", "block public access; share through CloudFront with an origin access control"})
			}
		}
		if acl := s.text("AccessControl"); strings.HasPrefix(acl, "Public") || acl == "AuthenticatedRead" {
			found = append(found, problem{"AccessControl", acl, "none", "remove it"})
		}
		return found
	},
	"AWS::RDS::DBInstance":           func(s *subject) []problem { return private(s, "PubliclyAccessible") },
	"AWS::Neptune::DBInstance":       func(s *subject) []problem { return private(s, "PubliclyAccessible") },
	"AWS::Redshift::Cluster":         func(s *subject) []problem { return private(s, "PubliclyAccessible") },
	"AWS::NeptuneGraph::Graph":       func(s *subject) []problem { return private(s, "PublicConnectivity") },
	"AWS::EC2::SecurityGroupIngress": func(s *subject) []problem { return worldwide("", s.resolved) },
	"AWS::EC2::SecurityGroup": func(s *subject) []problem {
		var found []problem
		for _, list := range s.get("SecurityGroupIngress") {
			for _, e := range elements(list) {
				rule, _ := e.(map[string]any)
				found = append(found, worldwide("SecurityGroupIngress.", rule)...)
			}
		}
		return found
	},
}

// refuse finds the value at the place.
func refuse(s *subject, place, value, allowed, fix string) []problem {
	if !slices.ContainsFunc(s.get(place), func(v any) bool { return show(v) == value }) {
		return nil
	}
	return []problem{{place, value, allowed, fix}}
}

// open finds a route that asks nobody who they are.
func open(s *subject, place string) []problem {
	if s.has(place) && !slices.Contains(s.get(place), any("NONE")) {
		return nil
	}
	return []problem{{place, "NONE", "AWS_IAM, JWT, CUSTOM or COGNITO_USER_POOLS", "give the route an authorizer"}}
}

func private(s *subject, place string) []problem {
	return refuse(s, place, "true", "false", "keep it in the network, behind a function or an API")
}

func worldwide(place string, rule map[string]any) []problem {
	for key, world := range map[string]string{"CidrIp": "0.0.0.0/0", "CidrIpv6": "::/0"} {
		if slices.Contains(dig(rule, []string{key}), any(world)) {
			return []problem{{place + key, world, "a security group or a range of your own", "name who connects"}}
		}
	}
	return nil
}
