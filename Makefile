# Two commands matter: `make run` and `make test`. `make help` lists the rest.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
SOURCES := src tests scripts benchmarks

.DEFAULT_GOAL := help
.PHONY: run test check format lock bench setup dev help

run: setup ## Start the server with its database and a fictional region
	@exec $(VENV)/python -m sammanhang.cli run

test: dev ## Run every test
	@$(VENV)/python scripts/test.py all

check: dev ## Formatting, lint, types and the quick tests (under two minutes)
	@$(VENV)/python scripts/test.py quick

format: dev ## Format the code and put imports in order
	@$(VENV)/ruff format $(SOURCES)
	@$(VENV)/ruff check --fix $(SOURCES)

lock: dev ## Write requirements/*.txt and package-lock.json anew (UPGRADE=1 takes newer versions)
	@$(VENV)/python scripts/lock.py $(if $(UPGRADE),--upgrade)

bench: dev ## Run the benchmarks (WHAT=name runs one)
	@$(VENV)/python -m benchmarks $(WHAT)

setup: # What the server needs; quick when nothing has changed
	@$(PYTHON) scripts/bootstrap.py

dev: # What tests and tools need as well
	@$(PYTHON) scripts/bootstrap.py --dev

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
