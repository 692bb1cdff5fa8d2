package test

import (
	"testing"

	"github.com/serverless-go/cdk/stacks"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestFlashSale(t *testing.T) {
	sale := stacks.NewFlashSale(cdktest.NewApp(t), "FlashSale", nil)
	cdktest.Golden(t, sale.Stack())
}

func TestFlashSaleEverything(t *testing.T) {
	sale := stacks.NewFlashSale(cdktest.NewApp(t), "FlashSale", &stacks.FlashSaleProps{
		AlarmEmail: "alarms@example.com",
		Domain: stacks.Domain{
			Name:        "carts.example.com",
			Certificate: "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
		},
		Identity: stacks.Identity{Issuer: "https://id.example.com", Audience: []string{"carts"}},
	})
	cdktest.Golden(t, sale.Stack())
}
