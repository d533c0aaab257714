package node

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/sctp"
)

// sctpConfig makes the settings of SCTP.
func sctpConfig(cfg config.SCTP) sctp.Config {
	kinds := map[string]sctp.Kind{"auto": sctp.Auto, "kernel": sctp.Kernel, "userland": sctp.UDP, "raw": sctp.Raw}
	return sctp.Config{
		Kind: kinds[cfg.Provider], UDPPort: cfg.UDPPort, PeerUDPPort: cfg.PeerUDPPort,
		PingInterval: cfg.Ping, Retransmissions: cfg.Retransmissions,
	}
}

// mendSCTP says what to do when there is no SCTP to listen with.
func mendSCTP(cfg config.SCTP, err error) string {
	switch {
	case errors.Is(err, sctp.ErrNoKernel):
		return "load its module (modprobe sctp), or set sctp.provider to userland"
	case errors.Is(err, os.ErrPermission):
		return "give the process CAP_NET_RAW, or set sctp.provider to userland"
	case cfg.Provider == "raw":
		return "set sctp.provider to kernel, or to userland"
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf("stop the program that has the port, or set sctp.udp_port to another than %d where SCTP is carried over UDP", cfg.UDPPort)
	}
	return "give another address or port, or stop the program that has it"
}
