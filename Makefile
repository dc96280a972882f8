# Everything runs in .venv, which the first command makes. `make help` lists the commands.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DIGITS := data/certify/digits/cnn
RADII := 0 0.25 0.5 0.75 1 1.5 2
# Sphinx repeats no warning of a page that it does not read again: after a failure it forgets all.
BUILD := $(BIN)/jupyter-book build . -q -W -n --keep-going
TEX := texlive-xetex texlive-latex-recommended texlive-latex-extra texlive-fonts-recommended \
  texlive-plain-generic latexmk tex-gyre fonts-freefont-otf

# What a stored output may depend on: one list, which tools/notebooks.py reads, too.
include tools/chapters.env
export $(shell sed -n 's/=.*//p' tools/chapters.env)

.PHONY: help book plain student test test-slow notebooks certificates unit clean-book lab serve run lint verify bench mutants tex pdf repo clean
.DEFAULT_GOAL := help

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv; $(PYTHON) -m venv .venv; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[test]'
	touch $(READY)

book: $(READY) ## build the book from the stored outputs; nothing is executed
	$(BIN)/python tools/notebooks.py check
	$(BIN)/python tools/ledger.py check
	$(BUILD) || { rm -rf _build/.doctrees; exit 1; }
	@echo "Open _build/html/index.html in a browser, or run: make serve"

test: notebooks certificates unit clean-book lint ## everything that fits in ten minutes

notebooks: $(READY) ## execute every chapter and compare its outputs with the stored ones
	$(BIN)/python tools/notebooks.py check
	$(BIN)/python -m pytest --nbval --nbval-current-env -n 2 --dist loadfile book

certificates: $(READY) ## certify 20 digits afresh, verify every certificate file, print the table
	$(BIN)/python tools/recertify.py
	$(BIN)/rslib verify data/certify
	$(BIN)/rslib analyze $(DIGITS)/sigma_*.tsv --radii $(RADII)

unit: $(READY) ## unit, statistical and doc tests
	$(BIN)/python -m pytest -m "not slow" --doctest-modules -n 2 --dist loadfile tests rslib

clean-book: $(READY) ## build the book from nothing, warnings as errors, and check its links
	$(BIN)/python tools/notebooks.py check
	$(BIN)/python tools/ledger.py check
	rm -rf _build/html _build/.doctrees
	$(BUILD)
	$(BIN)/python tools/linkcheck.py _build/html

test-slow: book ## the tests that take longer: browser, JupyterLab, interrupted runs, mutants
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile -rs --durations 25 tests

plain: $(READY) ## write the chapters as notebooks for JupyterLab and Colab
	$(BIN)/python tools/plain.py

lab: plain ## open them in JupyterLab
	$(BIN)/jupyter lab _build/notebooks

student: $(READY) ## write the chapters without solutions, to be handed out
	$(BIN)/python tools/plain.py --student

serve: book ## serve the built book at http://127.0.0.1:8000
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

run: $(READY) ## execute a chapter and store its outputs: make run CH=08 (all without CH)
	$(BIN)/python tools/notebooks.py run $(CH)

lint: $(READY) ## style, imports and types of the code, form of the notebooks, schemas
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy
	$(BIN)/python tools/notebooks.py check
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

verify: $(READY) ## recompute every radius in data/ from its counts
	$(BIN)/rslib verify data

bench: $(READY) ## time certification beside a plain loop and a peer, into data/bench
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks

mutants: $(READY) ## put mistakes into the library, one at a time, and see the tests fail
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile -v tests/test_mutants.py tests/test_mutants_second_half.py
	$(BIN)/python tools/mutants.py

tex: ## install what make pdf needs, on Debian or Ubuntu: 350 MB
	sudo apt-get update -q && sudo apt-get install -q -y --no-install-recommends $(TEX)

pdf: $(READY) ## typeset the book with xelatex
	@command -v latexmk && command -v xelatex || { echo "make pdf needs TeX. On Debian: make tex"; exit 1; }
	LATEXMKOPTS="-interaction=nonstopmode -halt-on-error" $(BIN)/jupyter-book build . -q -n --builder pdflatex
	@echo "Open _build/latex/randomized-smoothing.pdf"

repo: $(READY) ## name another home of the project everywhere: make repo URL=https://github.com/you/course
	@test -n "$(URL)" || { echo "make repo needs an address: make repo URL=https://github.com/you/course"; exit 1; }
	$(BIN)/python tools/repository.py "$(URL)"

clean: ## remove what was built; .venv stays
	rm -rf _build
