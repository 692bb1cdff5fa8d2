package alerts

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/patterns/edge/schema"
)

func TestLevelsFromEnv(t *testing.T) {
	const topics = schema.EnvAlertsTopics + "=arn:one,arn:two"
	levels, err := levelsFromEnv(aws.Config{}, []string{"PATH=/bin", schema.EnvAlertsWebhook + "1_Pager=arn:secret https://example.com/a=b", topics}, 2)
	if err != nil || len(levels) != 2 || len(levels[0]) != 1 || len(levels[1]) != 2 {
		t.Fatalf("levels are %v, error %v", levels, err)
	}
	hook, ok := levels[1][1].(*Webhook)
	if !ok || hook.URL != "https://example.com/a=b" || hook.Name() != "webhook Pager" || levels[0][0].Name() != "arn:one" {
		t.Errorf("levels are %v", levels)
	}
	for name, environ := range map[string][]string{
		"a topic too few": {schema.EnvAlertsTopics + "=arn:one"},
		"no secret":       {topics, schema.EnvAlertsWebhook + "0_P=https://example.com"},
		"no such level":   {topics, schema.EnvAlertsWebhook + "2_P=arn https://example.com"},
		"no level":        {topics, schema.EnvAlertsWebhook + "x_P=arn https://example.com"},
	} {
		if _, err := levelsFromEnv(aws.Config{}, environ, 2); err == nil || !strings.Contains(err.Error(), "ALERTS_") {
			t.Errorf("%s: error %v, want one that names the variable", name, err)
		}
	}
}
