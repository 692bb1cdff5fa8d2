package summary

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// leastPrivilegeReport is the file that the least-privilege check writes beside
// the templates.
const leastPrivilegeReport = "least-privilege-report.json"

// accepted is a finding of the least-privilege check that somebody accepted.
type accepted struct {
	Stack     string
	LogicalID string
	Path      string
	Rule      string
	Message   string
	Outcome   string
	Reason    string
}

// acceptedFindings returns what the check accepted, by stack; false where
// there is no report, because the app has no such check.
func acceptedFindings(dir string) (map[string][]accepted, bool, error) {
	var findings []accepted
	err := readJSON(filepath.Join(dir, leastPrivilegeReport), &findings)
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	byStack := map[string][]accepted{}
	for _, f := range findings {
		if f.Outcome == "acknowledged" {
			byStack[f.Stack] = append(byStack[f.Stack], f)
		}
	}
	return byStack, true, err
}

// of returns those of the stack, whose name may be followed by the one that it
// has in AWS.
func of(byStack map[string][]accepted, name string) []accepted {
	name, _, _ = strings.Cut(name, " (")
	return byStack[name]
}
