package benchmark

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// watch follows the process and its descendants until stop is closed and
// returns the sum of their peaks, in bytes: of each process, the most memory
// that it had resident at a time. The sum is at most what they had together,
// for they need not peak at the same moment and share the pages of a program
// that runs twice.
func watch(pid int, stop <-chan struct{}) int64 {
	peaks := map[int]int64{}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			var sum int64
			for _, kilobytes := range peaks {
				sum += kilobytes << 10
			}
			return sum
		case <-tick.C:
			sample(peaks, pid)
		}
	}
}

// sample notes the peaks until now, which Linux keeps itself.
func sample(peaks map[int]int64, pid int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); n == 1 {
			peaks[pid] = kilobytes // before its exec a child has its parent's, which may be larger
		}
	}
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range children {
		list, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(list)) {
			if child, err := strconv.Atoi(field); err == nil {
				sample(peaks, child)
			}
		}
	}
}
