package common

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// A pass that was made: a line of the standard output.
type made struct {
	// What the pass planned to change.
	Changes []string `json:"changes"`
	// Why the pass failed; empty if it did not.
	Error string `json:"error"`
}

// control makes passes until the standard input ends, as the process that started this one
// ends it, even if it is killed. Each pass reads the endpoints from a file.
func control(create New, path, interval string, flags []string) error {
	pause, err := time.ParseDuration(interval)
	if err != nil {
		return err
	}
	instance, err := create(withRequired(flags))
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	output := json.NewEncoder(os.Stdout)
	for {
		endpoints, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("failed to read the endpoints: %w", err)
		}
		made := made{Changes: []string{}}
		changes, err := instance.RunOnce(context.Background(), endpoints)
		made.Changes = append(made.Changes, changes...)
		if err != nil {
			made.Error = err.Error()
		}
		if err := output.Encode(made); err != nil {
			return err
		}
		select {
		case <-ended:
			return nil
		case <-time.After(pause):
		}
	}
}
