package main

import "fmt"

// complete checks that a stream has every revision from its first to its last:
// the clients are the only writers, and each of their writes is one revision.
func complete(changes []Change) error {
	for i := 1; i < len(changes); i++ {
		if changes[i].Revision != changes[i-1].Revision+1 {
			return fmt.Errorf("revision %d follows revision %d", changes[i].Revision, changes[i-1].Revision)
		}
	}
	return nil
}

// same checks that a stream is what etcd itself has.
func same(seen, truth []Change) error {
	for i, change := range seen {
		if i >= len(truth) {
			// Something that was under way took effect after the comparison was made.
			break
		}
		if change != truth[i] {
			return fmt.Errorf("change %d is %+v, but etcd has %+v", i, change, truth[i])
		}
	}
	if len(seen) < len(truth) {
		return fmt.Errorf("it ends at change %d of %d", len(seen), len(truth))
	}
	return nil
}

// written checks that every acknowledged write is in etcd's history exactly
// once, and none that was refused.
func written(operations []Operation, truth []Change) error {
	times := make(map[[2]string]int, len(truth))
	for _, change := range truth {
		times[[2]string{change.Key, change.Value}]++
	}
	acknowledged := 0
	for _, operation := range operations {
		if operation.Value == nil {
			continue
		}
		count := times[[2]string{operation.Key, *operation.Value}]
		switch {
		case operation.Outcome == "ok" && count != 1:
			return fmt.Errorf("%s=%s was acknowledged and is in etcd's history %d times", operation.Key, *operation.Value, count)
		case operation.Outcome == "refused" && count != 0:
			return fmt.Errorf("%s=%s was refused and is in etcd's history", operation.Key, *operation.Value)
		case count > 1:
			return fmt.Errorf("%s=%s is in etcd's history %d times", operation.Key, *operation.Value, count)
		}
		if operation.Outcome == "ok" {
			acknowledged++
		}
	}
	fmt.Printf("%d acknowledged writes are in etcd's history, each once\n", acknowledged)
	return nil
}
