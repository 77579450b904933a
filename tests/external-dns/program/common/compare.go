package common

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// A pass to make: a line of the standard input.
type pass struct {
	// The flags of a new instance. Without them, the instance of the pass before goes on.
	Flags *[]string `json:"flags"`
	// The zone's name with its trailing dot.
	Zone string `json:"zone"`
	// The zone's record sets, as the AWS CLI lists them.
	RecordSets []RecordSet `json:"recordSets"`
	// The endpoints of the sources.
	Endpoints json.RawMessage `json:"endpoints"`
}

// What a pass did: a line of the standard output.
type outcome struct {
	// The batches in the order in which they were sent.
	Batches []Batch `json:"batches"`
	// Why the pass failed; empty if it did not.
	Error string `json:"error"`
}

// compare makes the passes of the input, each on a zone of its own that is in memory.
func compare(create New, input io.Reader, output io.Writer) error {
	server, err := startServer()
	if err != nil {
		return err
	}
	environment := map[string]string{
		"AWS_ENDPOINT_URL":            server.url,
		"AWS_REGION":                  "us-east-1",
		"AWS_ACCESS_KEY_ID":           "compare",
		"AWS_SECRET_ACCESS_KEY":       "compare",
		"AWS_EC2_METADATA_DISABLED":   "true",
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	}
	for name, value := range environment {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}

	var instance Instance
	passes, outcomes := json.NewDecoder(input), json.NewEncoder(output)
	for {
		var pass pass
		if err := passes.Decode(&pass); err != nil {
			return err
		}
		if pass.Flags != nil {
			if instance, err = create(withRequired(*pass.Flags)); err != nil {
				return err
			}
		}
		if instance == nil {
			return fmt.Errorf("expected flags in the first pass, found none")
		}
		server.load(pass.Zone, pass.RecordSets)
		var outcome outcome
		if _, err := instance.RunOnce(context.Background(), pass.Endpoints); err != nil {
			outcome.Error = err.Error()
		}
		outcome.Batches = server.batches()
		if err := outcomes.Encode(outcome); err != nil {
			return err
		}
	}
}
