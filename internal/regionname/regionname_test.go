package regionname

import (
	"slices"
	"testing"
)

func TestValid(t *testing.T) {
	for _, text := range []string{"us-east-1", "eu-west-1", "ap-southeast-7", "ap-northeast-3", "ca-west-1", "mx-central-1", "il-central-1", "af-south-1",
		"cn-north-1", "cn-northwest-1", "us-gov-west-1", "us-iso-east-1", "us-isob-east-1", "us-isof-south-1", "eu-isoe-west-1", "eusc-de-east-1"} {
		if !Valid(text) {
			t.Errorf("%s is a region", text)
		}
	}
	for _, text := range []string{"", "eu-wst-1", "eu-west", "eu-west-10", "eu-west-1a", "EU-WEST-1", "Europe", "use1", "us-east1", "eu-west-1 ", "eu--west-1", "global"} {
		if Valid(text) {
			t.Errorf("%q is no region", text)
		}
	}
}

func TestMentioned(t *testing.T) {
	got := Mentioned("arn:aws:sqs:eu-west-1:1:q, https://dynamodb.us-gov-east-1.amazonaws.com; neu-west-1 is none, nor north-west-1x")
	if want := []string{"eu-west-1", "us-gov-east-1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPartition(t *testing.T) {
	for region, want := range map[string]string{"eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov",
		"us-iso-west-1": "aws-iso", "us-isob-east-1": "aws-iso-b", "eu-isoe-west-1": "aws-iso-e", "eusc-de-east-1": "aws-eusc"} {
		if got := Partition(region); got != want {
			t.Errorf("%s: %s, want %s", region, got, want)
		}
	}
}
