package main

import (
	"fmt"
	"math"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// state is a key's value; absent keys have none.
type state struct {
	present bool
	value   string
}

// register is one key: put, compare-and-swap, read.
var register = porcupine.Model{
	Partition: byKey,
	Init:      func() any { return state{} },
	Step: func(before, input, output any) (bool, any) {
		return step(before.(state), input.(Operation), output.(Operation))
	},
	DescribeOperation: func(input, _ any) string { return describe(input.(Operation)) },
	DescribeState:     func(s any) string { return text(s.(state)) },
}

func step(before state, _, operation Operation) (bool, any) {
	switch operation.Kind {
	case "get":
		return before == of(operation.Found), before
	case "put":
		return true, of(operation.Value)
	}
	holds := before == of(operation.Expected)
	switch operation.Outcome {
	case "ok":
		return holds, of(operation.Value)
	case "refused":
		return !holds, before
	}
	if holds {
		return true, of(operation.Value)
	}
	return true, before
}

func of(value *string) state {
	if value == nil {
		return state{}
	}
	return state{present: true, value: *value}
}

func text(s state) string {
	if !s.present {
		return "absent"
	}
	return s.value
}

func describe(operation Operation) string {
	switch operation.Kind {
	case "get":
		return fmt.Sprintf("get = %s", text(of(operation.Found)))
	case "put":
		return fmt.Sprintf("put %s: %s", *operation.Value, operation.Outcome)
	}
	return fmt.Sprintf("cas %s to %s: %s", text(of(operation.Expected)), *operation.Value, operation.Outcome)
}

func byKey(history []porcupine.Operation) [][]porcupine.Operation {
	keys := map[string][]porcupine.Operation{}
	for _, operation := range history {
		key := operation.Input.(Operation).Key
		keys[key] = append(keys[key], operation)
	}
	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	sort.Strings(names)
	parts := make([][]porcupine.Operation, 0, len(keys))
	for _, name := range names {
		parts = append(parts, keys[name])
	}
	return parts
}

// linearizable looks for an order of the operations that explains what every
// client saw. An operation of unknown outcome may take effect at any later time.
func linearizable(operations []Operation, limit time.Duration, picture string) error {
	history := make([]porcupine.Operation, 0, len(operations))
	for _, operation := range operations {
		end := operation.Return
		if operation.Outcome == "unknown" {
			end = math.MaxInt64
		}
		history = append(history, porcupine.Operation{
			ClientId: operation.Client, Input: operation, Output: operation, Call: operation.Call, Return: end,
		})
	}
	result, info := porcupine.CheckOperationsVerbose(register, history, limit)
	switch result {
	case porcupine.Ok:
		fmt.Printf("the history of %d operations on %d keys is linearizable\n", len(history), len(byKey(history)))
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("no answer on linearizability within %s", limit)
	}
	if file, err := os.Create(picture); err == nil {
		defer file.Close()
		if err := porcupine.Visualize(register, info, file); err == nil {
			return fmt.Errorf("the history is not linearizable; see %s", picture)
		}
	}
	return fmt.Errorf("the history is not linearizable")
}
