package eventlog_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
	"github.com/serverless-go/cdk/test/engine"
)

// canned answers every request of a client with the same bytes: what is
// measured is ours and the SDK's.
type canned []byte

func (c canned) Do(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:       io.NopCloser(bytes.NewReader(c)),
	}, nil
}

func cannedLog(b *testing.B, answer string) *eventlog.Log {
	cfg := engine.Endpoint{URL: "http://127.0.0.1:1"}.Config()
	cfg.HTTPClient = canned(answer)
	log, err := eventlog.New(cfg, eventlog.Options{Table: "events", Registry: carts})
	if err != nil {
		b.Fatal(err)
	}
	return log
}

// page returns the answer to a Query with n events.
func page(n int) string {
	data := base64.StdEncoding.EncodeToString([]byte(`{"sku":"kettle","cents":2999}`))
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(`{"stream":{"S":"cart-7"},"version":{"N":"%d"},"position":{"S":"cart-7#%[1]d"},
			"id":{"S":"0198c0de-0000-7000-8000-%012[1]d"},"type":{"S":"ItemAdded"},"typeVersion":{"N":"1"},
			"time":{"S":"2026-05-01T12:00:00.000000000Z"},"causation":{"S":"request"},"correlation":{"S":"request"},
			"hops":{"N":"0"},"origin":{"S":""},"subject":{"S":""},"data":{"B":"%s"},"ref":{"S":""}}`, i+1, data)
	}
	return fmt.Sprintf(`{"Count":%d,"Items":[%s]}`, n, strings.Join(items, ","))
}

// Fold of a stream without the network, the work of this process alone.
func BenchmarkFold(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			log := cannedLog(b, page(n))
			b.ReportAllocs()
			for b.Loop() {
				cart, version, err := eventlog.Fold(log.Load(b.Context(), "cart-7", 0), Cart{}, Cart.Apply)
				if err != nil || version != int64(n) || cart.Cents != n*2999 {
					b.Fatal(cart, version, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
		})
	}
}

// Append of a transaction without the network.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			log := cannedLog(b, `{"Responses":[]}`)
			events := repeat(ItemAdded{SKU: "kettle", Cents: 2999}, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := log.Append(b.Context(), "cart-7", eventlog.NoStream, events...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
		})
	}
}

// Append and Load against DynamoDB Local, whose own time is most of it.
func BenchmarkDynamoDBLocal(b *testing.B) {
	store := eventlogtest.New(b, carts)
	opened := eventlog.Of(CartOpened{Customer: "c-1", Email: "ada@example.com"})
	item := eventlog.Of(ItemAdded{SKU: "kettle", Cents: 2999})
	i := 0
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			i++
			if _, err := store.Log.Append(b.Context(), fmt.Sprint("cart-", i), eventlog.NoStream, opened, item); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Load", func(b *testing.B) {
		for v := range 10 {
			if _, err := store.Log.Append(b.Context(), "long", int64(v*100), repeat(item.Payload, 100)...); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
		for b.Loop() {
			_, version, err := eventlog.Fold(store.Log.Load(b.Context(), "long", 0), Cart{}, Cart.Apply)
			if err != nil || version != 1000 {
				b.Fatal(version, err)
			}
		}
	})
	b.Run("Update", func(b *testing.B) {
		cart := eventlog.Aggregate[Cart]{Log: store.Log, Apply: Cart.Apply}
		b.ReportAllocs()
		for b.Loop() {
			i++
			_, err := cart.Update(b.Context(), fmt.Sprint("cart-", i), func(Cart) ([]eventlog.Event, error) {
				return []eventlog.Event{opened, item}, nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
