package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func value(text string) *string { return &text }

func verdict(t *testing.T, operations ...Operation) error {
	t.Helper()
	for i := range operations {
		operations[i].Key = "k"
		operations[i].Client = i
	}
	return linearizable(operations, time.Minute, filepath.Join(t.TempDir(), "picture.html"))
}

func TestAReadSeesTheLatestWrite(t *testing.T) {
	put := Operation{Kind: "put", Value: value("1"), Outcome: "ok", Call: 1, Return: 2}
	fresh := Operation{Kind: "get", Found: value("1"), Outcome: "ok", Call: 3, Return: 4}
	stale := Operation{Kind: "get", Outcome: "ok", Call: 3, Return: 4}
	if err := verdict(t, put, fresh); err != nil {
		t.Error(err)
	}
	if verdict(t, put, stale) == nil {
		t.Error("a stale read was accepted")
	}
}

func TestAnUnknownWriteMayTakeEffectLaterOrNever(t *testing.T) {
	put := Operation{Kind: "put", Value: value("1"), Outcome: "unknown", Call: 1, Return: 2}
	before := Operation{Kind: "get", Outcome: "ok", Call: 3, Return: 4}
	after := Operation{Kind: "get", Found: value("1"), Outcome: "ok", Call: 5, Return: 6}
	if err := verdict(t, put, before, after); err != nil {
		t.Error(err)
	}
	again := Operation{Kind: "get", Outcome: "ok", Call: 7, Return: 8}
	if verdict(t, put, before, after, again) == nil {
		t.Error("a value that vanished was accepted")
	}
}

func TestOnlyOneOfTwoSwapsSucceeds(t *testing.T) {
	swap := func(to, outcome string) Operation {
		return Operation{Kind: "cas", Value: value(to), Outcome: outcome, Call: 1, Return: 9}
	}
	if err := verdict(t, swap("1", "ok"), swap("2", "refused")); err != nil {
		t.Error(err)
	}
	if verdict(t, swap("1", "ok"), swap("2", "ok")) == nil {
		t.Error("both swaps from the same value were accepted")
	}
}

func TestAGapInAWatchStreamIsFound(t *testing.T) {
	truth := []Change{{1, "a", "1"}, {2, "a", "2"}, {3, "b", "3"}}
	if err := same(truth, truth); err != nil {
		t.Error(err)
	}
	gap := []Change{truth[0], truth[2]}
	if same(gap, truth) == nil || complete(gap) == nil {
		t.Error("a gap was accepted")
	}
	if err := same(truth[:2], truth); err == nil || !strings.Contains(err.Error(), "ends") {
		t.Errorf("a stream that ends early: %v", err)
	}
}

func TestALostWriteIsFound(t *testing.T) {
	truth := []Change{{1, "a", "1"}}
	kept := Operation{Kind: "put", Key: "a", Value: value("1"), Outcome: "ok"}
	lost := Operation{Kind: "put", Key: "a", Value: value("2"), Outcome: "ok"}
	if err := written([]Operation{kept}, truth); err != nil {
		t.Error(err)
	}
	if written([]Operation{kept, lost}, truth) == nil {
		t.Error("a lost write was accepted")
	}
}
