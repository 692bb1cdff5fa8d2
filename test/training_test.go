package test

import (
	"testing"

	"github.com/serverless-go/cdk/stacks"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestTraining(t *testing.T) {
	training := stacks.NewTraining(cdktest.NewApp(t), "Training", nil)
	cdktest.Golden(t, training.Stack())
}

func TestTrainingEverything(t *testing.T) {
	training := stacks.NewTraining(cdktest.NewApp(t), "Training", &stacks.TrainingProps{
		AlarmEmail: "alarms@example.com",
		TimeZone:   "Europe/Paris",
		Domain: stacks.Domain{
			Name:        "approvals.example.com",
			Certificate: "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
		},
		Identity: stacks.Identity{Issuer: "https://id.example.com", Audience: []string{"approvals"}},
	})
	cdktest.Golden(t, training.Stack())
}
