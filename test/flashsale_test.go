package test

import (
	"testing"
	"time"

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
		TimeZone: "Europe/Paris",
		Sale: stacks.Sale{
			Opens:        time.Date(2037, 11, 27, 7, 0, 0, 0, time.UTC),
			Closes:       time.Date(2037, 11, 27, 23, 0, 0, 0, time.UTC),
			Environments: 100,
		},
		Identity: stacks.Identity{Issuer: "https://id.example.com", Audience: []string{"carts"}},
	})
	cdktest.Golden(t, sale.Stack())
}
