package leastprivilege

import (
	"fmt"
	"slices"
	"strings"
)

// TLS refuses data in transit in the clear, where that is up to the template.
var TLS = Rule{
	ID:      "tls",
	Refuses: "a bucket, queue or topic whose policy does not deny requests without TLS, and an endpoint that takes or makes them",
	Why:     "S3, SQS and SNS answer plain HTTP unless their policy denies it",
	Source:  "https://docs.aws.amazon.com/wellarchitected/latest/security-pillar/sec_protect_data_transit_encrypt.html",
	judge: func(s *subject) verdict {
		if check, ok := transits[s.Type]; ok {
			return about("it takes TLS only", check(s))
		}
		return verdict{}
	},
}

var transits = map[string]func(*subject) []problem{
	"AWS::S3::Bucket": func(s *subject) []problem { return denied(s, "AWS::S3::BucketPolicy", "Bucket", "s3:GetObject") },
	"AWS::SQS::Queue": func(s *subject) []problem { return denied(s, "AWS::SQS::QueuePolicy", "Queues", "sqs:SendMessage") },
	"AWS::SNS::Topic": func(s *subject) []problem { return denied(s, "AWS::SNS::TopicPolicy", "Topics", "sns:Publish") },
	"AWS::SNS::Subscription": func(s *subject) []problem {
		return refuse(s, "Protocol", "http", "https", "subscribe the address's https form")
	},
	"AWS::CloudFront::Distribution": func(s *subject) []problem {
		var found []problem
		visit("", s.resolved, func(place, text string) {
			switch key := place[strings.LastIndexByte(place, '.')+1:]; {
			case key == "ViewerProtocolPolicy" && text == "allow-all":
				found = append(found, problem{place, text, "https-only or redirect-to-https", "set it"})
			case key == "OriginProtocolPolicy" && text != "https-only":
				found = append(found, problem{place, text, "https-only", "set it"})
			case key == "MinimumProtocolVersion" && !strings.HasPrefix(text, "TLSv1.2") && !strings.HasPrefix(text, "TLSv1.3"):
				found = append(found, problem{place, text, "TLSv1.2_2021 or later", "set it"})
			}
		})
		return found
	},
	"AWS::ApiGateway::DomainName": func(s *subject) []problem {
		policy := s.text("SecurityPolicy")
		return either(s, policy == "TLS_1_2" || strings.HasPrefix(policy, "SecurityPolicy_TLS"), "SecurityPolicy", "TLS_1_2 or later")
	},
	"AWS::ApiGatewayV2::DomainName": func(s *subject) []problem {
		var found []problem
		for _, list := range s.get("DomainNameConfigurations") {
			for i, e := range elements(list) {
				policy := dig(e, []string{"SecurityPolicy"})
				if !slices.Contains(policy, any("TLS_1_2")) {
					found = append(found, problem{fmt.Sprintf("DomainNameConfigurations[%d].SecurityPolicy", i), texts(policy), "TLS_1_2", "set it"})
				}
			}
		}
		return found
	},
	"AWS::ElasticLoadBalancingV2::Listener": func(s *subject) []problem {
		if slices.ContainsFunc(s.get("DefaultActions"), func(v any) bool { return strings.Contains(fmt.Sprint(v), "Type:redirect") }) {
			return nil
		}
		return refuse(s, "Protocol", "HTTP", "HTTPS", "give the listener a certificate")
	},
	"AWS::ElastiCache::ReplicationGroup": flag("TransitEncryptionEnabled"),
	"AWS::OpenSearchService::Domain":     flag("DomainEndpointOptions.EnforceHTTPS"),
	"AWS::DAX::Cluster": func(s *subject) []problem {
		return either(s, s.text("ClusterEndpointEncryptionType") == "TLS", "ClusterEndpointEncryptionType", "TLS")
	},
	"AWS::EFS::FileSystem": func(s *subject) []problem {
		if insecureDenied(s, "elasticfilesystem:ClientMount") {
			return nil
		}
		return []problem{{"FileSystemPolicy", "", "a statement that denies aws:SecureTransport false", "add it"}}
	},
}

// denied finds a resource to which no policy of the type in the template denies
// the action without TLS.
func denied(s *subject, policy, names, action string) []problem {
	for _, other := range s.siblings {
		if !other.is(policy) || !insecureDenied(other, action) {
			continue
		}
		for _, list := range other.get(names) {
			for _, e := range elements(list) {
				if s.sibling(show(e)) == s {
					return nil
				}
			}
		}
	}
	return []problem{{policy, "", "a policy that denies aws:SecureTransport false to everybody", "set EnforceSSL of the CDK's construct, or add the statement"}}
}

// insecureDenied reports whether a statement denies everybody the action
// without TLS.
func insecureDenied(s *subject, action string) bool {
	service, _, _ := strings.Cut(action, ":")
	for _, d := range s.documents {
		for _, st := range d.statements {
			everybody := slices.ContainsFunc(st.principals, func(p value) bool { return p.text == "*" })
			covered := slices.ContainsFunc(st.actions, func(a value) bool {
				return a.text == "*" || a.text == action || strings.EqualFold(a.text, service+":*")
			})
			insecure := len(st.conditions) == 1 && st.conditions[0].operator == "Bool" &&
				st.conditions[0].key == "aws:securetransport" && slices.Equal(st.conditions[0].values, []string{"false"})
			if !st.allow && everybody && covered && insecure {
				return true
			}
		}
	}
	return false
}

func texts(values []any) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = show(v)
	}
	return strings.Join(out, ", ")
}
