package engine

import (
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"
)

// isolate runs this binary again in a network namespace that has loopback
// only, and returns its exit status. It reports false when there is nothing to
// run: inside the namespace, or where the system forbids to make one.
func isolate() (status int, ok bool) {
	switch os.Getenv(isolated) {
	case "probe":
		if err := loopback(); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	case "run":
		loopback()
		return 0, false
	}
	runtime.LockOSThread() // the child dies with the thread that starts it
	defer runtime.UnlockOSThread()

	// Some systems let anyone make a namespace and nobody use it.
	if probe, err := namespaced("probe"); err != nil || probe.Run() != nil {
		return 0, false
	}
	cmd, err := namespaced("run")
	if err != nil {
		return 0, false
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, false
	}
	signals := make(chan os.Signal, 1)
	// go test asks a binary that ran out of time for its stacks by SIGQUIT.
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status >= 0 {
		return status, true
	}
	return 1, true // killed by a signal
}

// namespaced returns the command that runs this binary, with its arguments, in
// a new network namespace.
func namespaced(phase string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), isolated+"="+phase)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		// A user namespace of one's own gives the right to make the other one;
		// the user stays who they are, and may bring the interface up.
		const netAdmin = 12
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{netAdmin}
	}
	return cmd, nil
}

// dieWithParent has the kernel kill the command when the thread that starts it
// ends.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// lock waits for an exclusive lock on the file; the kernel frees it when the
// process dies.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// loopback brings the loopback interface up.
func loopback() error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	// struct ifreq of netdevice(7): a name of 16 bytes, then a union that holds the flags.
	var request struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(socket), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}
