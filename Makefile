# Every target sets up what it needs in $(VENV). Only Python (with venv) and make are asked for; uv is used when present.
PYTHON ?= python3
VENV ?= .venv
ONCE ?=
ONLY ?=
FRAMES ?= 10000000
SEED ?= 0
SECONDS_EACH ?= 600
BIN := $(VENV)/bin
LOCKED := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -c requirements.lock
READY := $(VENV)/.ready

.PHONY: demo test nightly check check-deploy format interop interop-kubernetes fuzz bench protos lock clean
.DEFAULT_GOAL := test

$(READY): requirements.lock pyproject.toml
	.ci/venv "$(PYTHON)" "$(VENV)"
	@touch $@

demo: $(READY)
	$(BIN)/authorizer demo $(if $(ONCE),--once)

test: $(READY)
	$(BIN)/python -m pytest -m "not interop and not interop_kubernetes" -n auto --dist loadfile $(ARGS)

nightly: $(READY)
	NIGHTLY=1 $(BIN)/python -m pytest tests/policy_oracle $(ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check

check-deploy: $(READY)
	.ci/check-deploy "$(BIN)"

interop: $(READY)
	.ci/interop "$(BIN)"
	.ci/h2spec "$(BIN)"

interop-kubernetes: $(READY)
	.ci/kubernetes/build
	.ci/deploy-tools/build "$(BIN)/python"
	$(BIN)/python -m pytest -m interop_kubernetes -n 2 --dist loadfile $(ARGS)

fuzz: $(READY)
	$(BIN)/python -m tests.http2.fuzz $(FRAMES) $(SEED)
	@mkdir -p build/fuzz/http2
	$(BIN)/python -m tests.http2.fuzz_atheris build/fuzz/http2 -max_len=4096 -max_total_time=$(SECONDS_EACH) -artifact_prefix=build/fuzz/

bench: $(READY)
	$(BIN)/python -m tests.bench $(ONLY)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: $(READY)
	$(BIN)/python protos/generate.py

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --all-extras --group dev pyproject.toml -o requirements.lock
	uv pip compile $(LOCKED) --extra fast --extra rego --extra redis --extra postgres pyproject.toml -o deploy/requirements.lock
	printf 'hatchling>=1.27\npip>=26\n' | uv pip compile $(LOCKED) - -o deploy/build-requirements.lock

clean:
	rm -rf $(VENV) build dist
