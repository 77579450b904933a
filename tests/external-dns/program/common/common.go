// Package common is what the programs of all versions of ExternalDNS share: how they are
// started, what they read and what they print. It does not depend on ExternalDNS, because
// two versions of it cannot be in one Go module.
package common

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Instance is one ExternalDNS: its TXT registry, planner and AWS provider. It keeps the
// caches that a process of ExternalDNS keeps from one pass to the next.
type Instance interface {
	// RunOnce makes one pass, as RunOnce of ExternalDNS's controller does. The endpoints are
	// those of the sources, in the JSON that ExternalDNS defines for its Endpoint. It returns
	// what the pass planned to change; an error if it could not read the zone, or if Route 53
	// refused a batch.
	RunOnce(ctx context.Context, endpoints json.RawMessage) ([]string, error)
}

// New creates an instance with ExternalDNS's own command line flags.
type New func(flags []string) (Instance, error)

// The sources are never asked, but ExternalDNS does not start without one.
var required = []string{"--provider=aws", "--source=empty"}

const usage = "usage: %s compare | %s control ENDPOINTS INTERVAL [FLAG…]\n"

// Main runs the program in one of its two modes.
func Main(create New) {
	// ExternalDNS v0.15 ends where it is set: its HTTP client takes no certificates.
	_ = os.Unsetenv("AWS_CA_BUNDLE")
	err := fmt.Errorf(usage, os.Args[0], os.Args[0])
	switch {
	case len(os.Args) == 2 && os.Args[1] == "compare":
		err = compare(create, os.Stdin, os.Stdout)
	case len(os.Args) >= 4 && os.Args[1] == "control":
		err = control(create, os.Args[2], os.Args[3], os.Args[4:])
	}
	if err != nil && err != io.EOF {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func withRequired(flags []string) []string {
	return append(append([]string{}, required...), flags...)
}
