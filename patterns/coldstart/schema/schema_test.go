package schema

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestParsePing(t *testing.T) {
	tests := []struct {
		name    string
		payload string
		want    Ping
		ok      bool
	}{
		{"ours", string(Ping{Hold: 75}.Payload()), Ping{75}, true},
		{"no hold", `{"coldstart.ping":{}}`, Ping{}, true},
		{"white space", "\n { \"coldstart.ping\" : { \"hold\" : 1 } } ", Ping{1}, true},

		{"empty", "", Ping{}, false},
		{"null", "null", Ping{}, false},
		{"an event", `{"source":"aws.s3"}`, Ping{}, false},
		{"an event with another member", `{"coldstart.ping":{"hold":1},"source":"aws.s3"}`, Ping{}, false},
		{"an event that speaks of it", `{"text":"coldstart.ping"}`, Ping{}, false},
		{"a string", `"coldstart.ping"`, Ping{}, false},
		{"a list", `[{"coldstart.ping":{}}]`, Ping{}, false},
		{"no ping in it", `{"coldstart.ping":null}`, Ping{}, false},
		{"a wrong hold", `{"coldstart.ping":{"hold":"1s"}}`, Ping{}, false},
		{"cut off", `{"coldstart.ping":{`, Ping{}, false},
		{"a large event", `{"coldstart.ping":{"hold":1` + strings.Repeat(" ", maxPing) + `}}`, Ping{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := ParsePing([]byte(tt.payload)); got != tt.want || ok != tt.ok {
				t.Errorf("ParsePing = %v, %v, want %v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
	if got := (Ping{Hold: -1}).HoldTime(); got != 0 {
		t.Errorf("a negative hold is %v", got)
	}
	if got := (Ping{Hold: 1500}).HoldTime(); got != 1500*time.Millisecond {
		t.Errorf("a hold is %v", got)
	}
}

// A real event of 6 MB, Lambda's largest, costs nothing to tell from a ping.
func BenchmarkParseEvent(b *testing.B) {
	event := append([]byte(`{"body":"`), append(bytes.Repeat([]byte("x"), 6<<20), `"}`...)...)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := ParsePing(event); ok {
			b.Fatal("an event was taken for a ping")
		}
	}
}
