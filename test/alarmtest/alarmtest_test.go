package alarmtest

import (
	"strings"
	"testing"
)

func TestProblems(t *testing.T) {
	made := []string{"S/Store/Bus", "S/Store/View/Lag", "S/Store/View/Rebuild/Failed", "S/Store2/Bus", "S/Handler/Errors"}
	for name, tt := range map[string]struct {
		returned map[string][]string
		want     string
	}{
		"right": {map[string][]string{
			"S/Store": {"S/Store/Bus"}, "S/Store/View": {"S/Store/View/Rebuild/Failed", "S/Store/View/Lag"}, "S/Quiet": {}}, ""},
		"one is missing": {map[string][]string{"S/Store/View": {"S/Store/View/Lag"}},
			`S/Store/View returns the alarms ["S/Store/View/Lag"], and those below it are ["S/Store/View/Lag" "S/Store/View/Rebuild/Failed"]`},
		"one is twice": {map[string][]string{"S/Store2": {"S/Store2/Bus", "S/Store2/Bus"}},
			`S/Store2 returns the alarms ["S/Store2/Bus" "S/Store2/Bus"], and those below it are ["S/Store2/Bus"]`},
		"one is another's": {map[string][]string{"S/Store2": {"S/Handler/Errors", "S/Store2/Bus"}},
			`S/Store2 returns the alarms ["S/Handler/Errors" "S/Store2/Bus"], and those below it are ["S/Store2/Bus"]`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(problems(made, tt.returned), "; "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
