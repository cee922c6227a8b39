# What can be done here. `make help` lists it.
#
# SCENARIO=name[,name]   e2e: only these scenarios (default: the main suite)
# SUITE=main|hard|all|ci e2e: which suite, when no scenario is named (ci: what `make test` runs)
# ETCD=version           e2e: pinned, newest-3.5, newest-3.6, or a version; faults: also mixed, all
# CASE=name[,name]       faults: only these cases, or all of a step (join-added) or story (join)
# JOBS=n                 e2e: scenarios at a time, where they do not disturb each other; faults: cases
# MINUTES=n SEED=n       churn: how long, and which schedule
# BED=keep|down          after e2e, bench, churn: leave the bed, or remove it
#                        (default: as it was found; `make test` removes it)

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

SCENARIO ?=
SUITE ?= main
ETCD ?=
CASE ?=
JOBS ?= 1
FAULT_JOBS := $(if $(filter-out file,$(origin JOBS)),$(JOBS),4)
MINUTES ?= 5
SEED ?= 1
BED ?= as-found
export BED

testbed := tests/testbed/testbed
e2e := target/debug/muster-e2e
comma := ,
say = @printf '\n==> %s\n' "$(strip $(1))"

##@ The two to begin with

.PHONY: demo
demo: ## a local Kubernetes, and a cluster of 3 scaled to 5 and back to 3 (Linux, root)
	@hack/demo.sh

.PHONY: test
test: prerequisites ## verify, unit, faults-quick, the e2e suite ci, 3 minutes of churn (Linux, root; the bed is removed at the end)
	$(call say,test: checks$(comma) unit tests$(comma) faults$(comma) then end to end on a real Kubernetes)
	@$(MAKE) verify
	@$(MAKE) bed-build
	@$(MAKE) unit
	@$(MAKE) faults-quick
	@{ $(MAKE) e2e BED=keep SUITE=ci JOBS=2 && $(MAKE) churn BED=down MINUTES=3; } \
		|| { $(testbed) down; exit 1; }

##@ While you work

.PHONY: check
check: verify-format verify-clippy verify-tidy ## format, clippy, style, the core's tests and scenarios: the loop to work in
	$(call say,check: the core's tests and golden scenarios)
	cargo test --locked -q -p muster-reasons -p muster-membership

.PHONY: fix
fix: generate ## format the code and write the generated files
	cargo fmt --all

.PHONY: generate
generate: ## write deploy/ (the definition, the manifests, the chart) and the list of reasons in docs/operations.md
	cargo run --locked -q -p muster-operator -- generate --dir deploy

.PHONY: golden
golden: ## write the golden scenarios of the core anew; read the difference before you commit it
	UPDATE_GOLDEN=1 cargo test --locked -q -p muster-membership --test golden
	git diff --stat -- membership/tests/golden

##@ Checks that change nothing

.PHONY: verify
verify: verify-format verify-clippy verify-tidy verify-docs verify-generated verify-shell ## format, clippy, style, links of rustdoc, generated files, shell scripts

.PHONY: verify-format
verify-format:
	$(call say,verify: format)
	cargo fmt --all -- --check

.PHONY: verify-clippy
verify-clippy:
	$(call say,verify: clippy)
	cargo clippy --locked --workspace --all-targets -- -D warnings

.PHONY: verify-tidy
verify-tidy:
	$(call say,verify: style)
	cargo test --locked -q -p muster-tidy

# The pages are for people who work on the code, so they have private items, and links to them.
.PHONY: verify-docs
verify-docs:
	$(call say,verify: links of rustdoc)
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" \
		cargo doc --locked -q --workspace --no-deps --document-private-items --keep-going

.PHONY: verify-generated
verify-generated:
	$(call say,verify: generated files)
	cargo run --locked -q -p muster-operator -- generate --dir deploy --check

.PHONY: verify-shell
verify-shell:
	$(call say,verify: shell scripts)
	cd tests/testbed && shellcheck -x testbed lib/cni-bridge
	shellcheck -x hack/*.sh images/*.sh .ci/run

.PHONY: deny
deny: ## advisories, licences and sources of the dependencies, by deny.toml (needs the network and cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny --locked check

##@ Tests

.PHONY: unit
unit: ## all unit tests, the golden scenarios, the short searches of the model
	$(call say,unit: the workspace)
	cargo test --locked --workspace
	$(call say,unit: the checker of churn histories)
	cd tests/churn-check && go test ./...

.PHONY: model
model: ## the long searches of the protocol's model, and its deliberate bugs (twenty minutes)
	$(call say,model: the long searches (about twenty minutes on one core))
	cargo run --locked -q --profile model -p muster-membership-model -- table
	$(call say,model: each deliberate bug$(comma) with its counterexample)
	cargo run --locked -q --profile model -p muster-membership-model -- bugs

.PHONY: faults
faults: ## every fault at every step: real agents and etcd, no Kubernetes (CASE= ETCD= JOBS=; Linux, root)
	$(call say,faults: $(or $(CASE),every step with every fault)$(if $(ETCD),$(comma) etcd $(ETCD)))
	@cargo build --locked -q -p muster-agent -p muster-faults
	@target/debug/muster-faults run --jobs $(FAULT_JOBS) $(if $(ETCD),--etcd $(ETCD)) $(subst $(comma), ,$(CASE))

.PHONY: faults-quick
faults-quick: ## 21 of these cases, in which each story and each fault occurs once or more
	$(call say,faults: each story$(comma) each fault)
	@cargo build --locked -q -p muster-agent -p muster-faults
	@target/debug/muster-faults run --jobs $(FAULT_JOBS) --quick

.PHONY: e2e
e2e: ## scenarios on a real Kubernetes (SCENARIO= SUITE= ETCD= JOBS=; Linux, root)
	$(call say,e2e: $(or $(SCENARIO),the $(SUITE) suite)$(if $(ETCD), with etcd $(ETCD)))
	@hack/on-bed.sh $(e2e) run --suite $(SUITE) --jobs $(JOBS) $(if $(ETCD),--etcd $(ETCD)) $(subst $(comma), ,$(SCENARIO))

.PHONY: e2e-list
e2e-list: ## the names of the scenarios and their suites
	@cargo run --locked -q -p muster-e2e -- list

.PHONY: churn
churn: ## random scaling and faults; the clients' history is checked afterwards (MINUTES= SEED= ETCD=)
	$(call say,churn: $(MINUTES) minutes$(comma) seed $(SEED))
	@hack/on-bed.sh $(e2e) churn --minutes $(MINUTES) --seed $(SEED) $(if $(ETCD),--etcd $(ETCD))

.PHONY: bench
bench: ## the time of each step, beside the same pods without Muster
	$(call say,bench)
	@hack/on-bed.sh $(e2e) bench $(if $(ETCD),--etcd $(ETCD))

##@ Images and the test bed

.PHONY: images
images: ## build out/images/agent.tar and out/images/operator.tar (Linux)
	images/build.sh

.PHONY: bed-build
bed-build: ## build the test bed's Kubernetes and etcd from source, once for this machine
	$(call say,the test bed's programs (a first build takes a quarter of an hour on 2 cores))
	@$(testbed) build

.PHONY: bed-up
bed-up: prerequisites ## start a local Kubernetes, load the images and run the operator
	@hack/install.sh

.PHONY: bed-down
bed-down: ## remove the local Kubernetes
	@$(testbed) down

.PHONY: clean-up
clean-up: bed-down ## remove the local Kubernetes and out/ (compiled programs stay)
	rm -rf out

.PHONY: prerequisites
prerequisites: ## install what this machine lacks, or name it
	@hack/prerequisites.sh

.PHONY: help
help: ## print this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile
	@printf '\nSettings are described at the top of the Makefile.\n'
