//go:build !linux

package sctp

// KernelSpeaks tells whether the kernel has SCTP that can be used from here.
func KernelSpeaks() bool { return false }

// openKernel fails.
func openKernel(Config) (Provider, error) { return nil, ErrNoKernel }
