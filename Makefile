# `make demo` and `make test` are all a newcomer types; both set everything up first.
SHELL := /bin/sh
.DELETE_ON_ERROR:

CACHE := .cache
VENV := .venv
BIN := $(VENV)/bin
export UV_CACHE_DIR := $(CURDIR)/$(CACHE)/uv
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONDONTWRITEBYTECODE := 1
export MPLCONFIGDIR := $(CURDIR)/$(CACHE)/matplotlib
export XDG_CACHE_HOME := $(CURDIR)/$(CACHE)
export IPYTHONDIR := $(CURDIR)/$(CACHE)/ipython
export JUPYTER_CONFIG_DIR := $(CURDIR)/$(CACHE)/jupyter
export JUPYTER_DATA_DIR := $(CURDIR)/$(CACHE)/jupyter
export JUPYTER_RUNTIME_DIR := $(CURDIR)/$(CACHE)/jupyter/runtime
# Nothing is written outside this folder.
export TMPDIR := $(CURDIR)/$(CACHE)/tmp
PYTEST := $(BIN)/pytest --basetemp=$(CACHE)/tests
# tests MARKERS OPTIONS: most tests wait, for a stall of 5 s or for a server, so more of them run side by side than the
# smallest machine has cores. Those that have the marker `alone` run afterwards, one by one. With --last-failed one of the
# two parts may have nothing to run, and pytest then ends with status 5.
N_WORKERS := 4
# The long tiers keep the tests of a file together, as they share what is costly to make.
DIST := loadfile
test: DIST := worksteal
test: N_WORKERS := 5
define tests
status=0; \
$(PYTEST) -n $(N_WORKERS) --dist $(DIST) -m "$(1) and not alone" $(2) || status=$$?; \
$(PYTEST) -m "$(1) and alone" $(2) || { part=$$?; test $$part = 5 || status=$$part; }; \
test $$status = 5 || exit $$status
endef
PROBE := dnslab/measure/probe/bin/.built

.PHONY: demo test test-cluster test-cluster-iptables test-cluster-dual verify-cluster verify fuzz bench check format setup \
  system sample wheel lock clean

demo: setup  ## compare the usual configurations in the lab, with an emulated race; leaves results/<run>/report.html
	$(BIN)/dnslab run demo.yaml --report

# What only tests need comes the same way as the rest.
test: export DNSLAB_TEST_PACKAGES := tcpdump dnsperf
verify: export DNSLAB_TEST_PACKAGES := tcpdump iptables chromium chromium-driver
bench: export DNSLAB_TEST_PACKAGES := dnsperf
test-cluster test-cluster-iptables test-cluster-dual verify-cluster: export DNSLAB_TEST_PACKAGES := tcpdump containerd \
  runc containernetworking-plugins etcd-server conntrack iptables busybox-static musl openssl

test: setup  ## all tests but the long truth checks
	@$(call tests,not verify)

# on_cluster MARKERS OPTIONS: on a cluster of their own that is started with these options, and ended whatever they say;
# with KUBECONFIG set, on that one as it is.
ifdef KUBECONFIG
on_cluster = @export DNSLAB_TEST_CLUSTER=1; $(call tests,$(1),-rP)
else
define on_cluster
$(BIN)/python -m tests.cluster up $(2)
@export DNSLAB_TEST_CLUSTER=1 KUBECONFIG=$${DNSLAB_CLUSTER_DIR:-$$HOME/.cache/dnslab-cluster}/kubeconfig; \
($(call tests,$(1),-rP)); status=$$?; $(BIN)/python -m tests.cluster down; exit $$status
endef
endif

test-cluster: setup  ## tests against a real Kubernetes, which is built and started for them (tests/cluster)
	$(call on_cluster,cluster and not verify and not dual,3)

test-cluster-iptables: setup  ## those that depend on kube-proxy, once more with its mode iptables (under 4 minutes)
	$(call on_cluster,cluster and proxy,3 --proxy iptables)

test-cluster-dual: setup  ## those that need both IPv4 and IPv6 (under 2 minutes)
	$(call on_cluster,cluster and dual,2 --ip-family dual)

verify-cluster: setup  ## the long truth checks there, and the whole story: find, fix, verify (about half an hour)
	$(call on_cluster,cluster and verify and not proxy,3)

verify: setup  ## the long truth checks (about 20 minutes)
	@$(call tests,verify and not cluster,-rP)

fuzz: setup  ## damaged and hostile input for all that is read, and for the probe (5 minutes)
	$(BIN)/python -m tests.fuzz

bench: setup  ## speed, as ratios in one run
	$(BIN)/python -m bench

check: setup  ## style, types, warnings
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror dnslab/measure/probe/*.c dnslab/measure/probe/*.h bench/*.c
	$(CC) -std=c11 -O2 -Wall -Wextra -Wshadow -Wconversion -Werror -fsyntax-only dnslab/measure/probe/*.c

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i dnslab/measure/probe/*.c dnslab/measure/probe/*.h bench/*.c

setup: system $(VENV)/.installed $(PROBE) $(CACHE)/.compiled

system:
	@mkdir -p $(TMPDIR)
	@sh tools/system.sh

# step WHAT COMMANDS: a line that says what is done while it is done, and then how long it took.
define step
@printf 'setup: %s ... ' '$(1)'; began=$$(date +%s); { $(2); } || { status=$$?; echo 'failed'; exit $$status; }; \
echo "$$(($$(date +%s) - began)) s"
endef

# Compiled at once: where Python may write no bytecode, each start would compile pandas anew, for a second.
$(VENV)/.installed: requirements.txt requirements-uv.txt pyproject.toml
	$(call step,making a Python environment in $(VENV),test -x $(BIN)/python || python3 -m venv $(VENV))
	$(call step,installing uv,$(BIN)/python -m pip install --quiet --require-hashes -r requirements-uv.txt)
	$(call step,downloading and compiling the Python packages,$(BIN)/uv pip sync --quiet --compile-bytecode \
	  --require-hashes --python $(BIN)/python requirements.txt)
	$(call step,installing dnslab and building its probe,$(BIN)/uv pip install --quiet --no-deps --no-build-isolation \
	  --python $(BIN)/python --editable .)
	@touch $@

# Likewise dnslab's own modules.
$(CACHE)/.compiled: $(VENV)/.installed $(shell find dnslab -name '*.py')
	$(call step,compiling dnslab to bytecode,$(BIN)/python -m compileall -q dnslab)
	@touch $@

$(PROBE): $(VENV)/.installed hatch_build.py $(wildcard dnslab/measure/probe/*.c dnslab/measure/probe/*.h)
	$(call step,building the probe for each C library,$(BIN)/python hatch_build.py)
	@touch $@

wheel: setup  ## dist/dnslab-<version>-py3-none-any.whl, to install where kubectl works
	@$(BIN)/uv build --wheel --quiet --no-build-isolation --out-dir dist .
	@ls dist/*.whl

sample: setup  ## measure the run that notebooks show where no lab can be had anew
	rm -rf $(CACHE)/sample
	$(BIN)/dnslab run dnslab/sample/plan.yaml --out $(CACHE)/sample
	rm -rf dnslab/sample $(CACHE)/sample/trials/*/*.ground-truth.json
	mv $(CACHE)/sample dnslab/sample

lock:  ## renew the hashed requirements
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  --extra notebooks --group dev pyproject.toml -o requirements.txt
	echo uv | $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  - -o requirements-uv.txt

clean:  ## all that make made; results stay
	rm -rf $(VENV) $(CACHE) .*_cache dnslab/measure/probe/bin/probe-* $(PROBE) build dist
	find dnslab -name __pycache__ -prune -exec rm -rf {} +
