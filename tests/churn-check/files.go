package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Operation is a line of history.jsonl.
type Operation struct {
	Client   int     `json:"client"`
	Kind     string  `json:"kind"`
	Key      string  `json:"key"`
	Value    *string `json:"value"`
	Expected *string `json:"expected"`
	Found    *string `json:"found"`
	Outcome  string  `json:"outcome"`
	Call     int64   `json:"call"`
	Return   int64   `json:"return"`
}

// Change is a line of watch-*.jsonl.
type Change struct {
	Revision int64  `json:"revision"`
	Key      string `json:"key"`
	Value    string `json:"value"`
}

func readLines[T any](path string) ([]T, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var all []T
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var one T
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", filepath.Base(path), len(all)+1, err)
		}
		all = append(all, one)
	}
	return all, lines.Err()
}
