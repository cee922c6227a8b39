// Command churn-check judges what the clients of a churn run saw: whether their
// history is linearizable, and whether every watch stream is complete.
//
// usage: churn-check FOLDER
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	limit := flag.Duration("limit", 5*time.Minute, "how long to look for a linearization")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: churn-check [-limit DURATION] FOLDER")
		os.Exit(2)
	}
	if err := check(flag.Arg(0), *limit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(folder string, limit time.Duration) error {
	operations, err := readLines[Operation](filepath.Join(folder, "history.jsonl"))
	if err != nil {
		return err
	}
	truth, err := readLines[Change](filepath.Join(folder, "watch-truth.jsonl"))
	if err != nil {
		return err
	}
	if err := complete(truth); err != nil {
		return fmt.Errorf("etcd's own history: %w", err)
	}
	streams, err := filepath.Glob(filepath.Join(folder, "watch-[0-9]*.jsonl"))
	if err != nil {
		return err
	}
	for _, path := range streams {
		seen, err := readLines[Change](path)
		if err != nil {
			return err
		}
		if err := same(seen, truth); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	fmt.Printf("%d watch streams saw each of %d changes once and in order\n", len(streams), len(truth))
	if err := written(operations, truth); err != nil {
		return err
	}
	return linearizable(operations, limit, filepath.Join(folder, "linearization.html"))
}
