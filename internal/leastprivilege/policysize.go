package leastprivilege

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// PolicySize refuses policies that IAM does not take.
var PolicySize = Rule{
	ID:      "policy-size",
	Refuses: "a role, user or group whose inline policies are together larger than IAM takes",
	Why:     "the deployment would fail, and only after the resources before it were made",
	Source:  "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html",
	judge: func(s *subject) verdict {
		most, is := maxInline[s.Type]
		if !is {
			return verdict{}
		}
		size := largest(s.get("Policies"), func(policies any) (sum int) {
			list, _ := policies.([]any)
			for _, p := range list {
				sum += largest(alternatives(p), documentSize)
			}
			return sum
		})
		for _, other := range s.siblings {
			if other.is("AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::UserPolicy", "AWS::IAM::GroupPolicy") && other.attachedTo(s.ID) {
				size += documentSize(other.resolved)
			}
		}
		var found []problem
		if size > most {
			found = append(found, problem{"the size of its inline policies", fmt.Sprintf("at least %d characters", size), fmt.Sprintf("%d", most),
				"grant less, or part of it after the role is made: the CDK moves what is too much of a role's own policy into managed policies"})
		}
		return about("its inline policies are small enough", found)
	},
}

// maxInline are IAM's quotas, in characters without white space.
var maxInline = map[string]int{"AWS::IAM::Role": 10_240, "AWS::IAM::Group": 5_120, "AWS::IAM::User": 2_048}

// attachedTo reports whether a policy is that of the resource with the id.
func (s *subject) attachedTo(id string) bool {
	for _, place := range []string{"Roles", "RoleName", "Users", "UserName", "Groups", "GroupName"} {
		for _, names := range s.get(place) {
			if slices.Contains(elements(names), any("${"+id+"}")) {
				return true
			}
		}
	}
	return false
}

// largest returns the largest size of what a condition decides between.
func largest(all []any, size func(any) int) int {
	most := 0
	for _, v := range all {
		most = max(most, size(v))
	}
	return most
}

// documentSize returns how many characters the document of a policy has at
// least: what is known at deployment only is taken to be short.
func documentSize(policy any) int {
	return largest(dig(policy, []string{"PolicyDocument"}), func(document any) int {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(document); err != nil {
			panic(err) // it was read as JSON
		}
		size := text.Len() - len("\n")
		for _, reference := range placeholder.FindAllString(text.String(), -1) {
			size -= len(reference) - fewest(reference)
		}
		return size
	})
}

// fewest is how many characters a reference becomes at least.
func fewest(reference string) int {
	switch reference {
	case "${AWS::Partition}":
		return len("aws")
	case "${AWS::Region}":
		return len("us-east-1")
	case "${AWS::AccountId}":
		return 12
	case "${AWS::URLSuffix}":
		return len("amazonaws.com")
	}
	if strings.HasSuffix(reference, ".Arn}") {
		return len("arn:aws:s3:::abc")
	}
	return 1
}
