package inspection

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// artifact is one entry of a cloud assembly's manifest
// (https://github.com/aws/aws-cdk-cli/tree/main/packages/@aws-cdk/cloud-assembly-schema).
type artifact struct {
	Type         string
	Environment  string // aws://account/region
	DisplayName  string // the construct path, if it is not the id
	Dependencies []string
	Properties   struct{ TemplateFile, DirectoryName string }
}

// Places returns the stacks of the cloud assembly in the folder and of those
// within it, which stages make. A nested stack is a part of its stack. They
// stand in the CDK's own order, each after those that it depends on.
func Places(folder string) ([]Place, error) {
	var places []Place
	for folders := []string{folder}; len(folders) > 0; folders = folders[1:] {
		folder := folders[0]
		var manifest struct{ Artifacts map[string]artifact }
		file := filepath.Join(folder, "manifest.json")
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, &manifest)
		}
		if err != nil {
			return nil, fmt.Errorf("inspection: %s: %w", file, err)
		}
		order, err := sorted(manifest.Artifacts)
		if err != nil {
			return nil, fmt.Errorf("inspection: %s: %w", file, err)
		}
		for _, id := range order {
			switch a := manifest.Artifacts[id]; a.Type {
			case "cdk:cloud-assembly":
				folders = append(folders, filepath.Join(folder, a.Properties.DirectoryName))
			case "aws:cloudformation:stack":
				account, region, _ := strings.Cut(strings.TrimPrefix(a.Environment, "aws://"), "/")
				places = append(places, Place{
					Path: cmp.Or(a.DisplayName, id), Template: filepath.Join(folder, a.Properties.TemplateFile),
					Region: known(region, "unknown-region"), Account: known(account, "unknown-account"),
				})
			}
		}
	}
	return places, nil
}

// known returns "" for what only the deployment knows.
func known(s, unknown string) string {
	if s == unknown {
		return ""
	}
	return s
}

// sorted returns the ids so that none stands before one that it depends on, in
// alphabetical order where that is open.
func sorted(artifacts map[string]artifact) ([]string, error) {
	var order []string
	placed := map[string]bool{}
	for len(order) < len(artifacts) {
		var ready []string
		for id, a := range artifacts {
			waits := func(other string) bool {
				_, ok := artifacts[other]
				return ok && !placed[other]
			}
			if !placed[id] && !slices.ContainsFunc(a.Dependencies, waits) {
				ready = append(ready, id)
			}
		}
		if len(ready) == 0 {
			return nil, fmt.Errorf("its artifacts depend on each other in a circle")
		}
		slices.Sort(ready)
		for _, id := range ready {
			placed[id] = true
		}
		order = append(order, ready...)
	}
	return order, nil
}
