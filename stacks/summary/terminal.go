package summary

import (
	"fmt"
	"os"
	"runtime"
)

// Terminal reports whether the file is a terminal that understands control
// characters. Elsewhere, in a file or in a log, they would be noise.
func Terminal(file *os.File) bool {
	info, err := file.Stat()
	term := os.Getenv("TERM")
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && runtime.GOOS != "windows" && term != "" && term != "dumb"
}

// Colour reports whether the file is to be written in colour: it is a
// terminal, and nobody has set NO_COLOR (https://no-color.org).
func Colour(file *os.File) bool { return Terminal(file) && os.Getenv("NO_COLOR") == "" }

// Progress returns what tells of handlers while they are built: which, of how
// many, on one line that is written over. It is nil where the file is no
// terminal.
func Progress(file *os.File) func(built, of int, name string) {
	if !Terminal(file) {
		return nil
	}
	return func(built, of int, name string) {
		fmt.Fprintf(file, "\r\x1b[Kbuilt handler %d of %d: %s", built, of, name)
		if built == of {
			fmt.Fprint(file, "\r\x1b[K")
		}
	}
}
