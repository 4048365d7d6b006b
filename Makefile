# make run    set up; train on toy data and for a minute on drawn faces; measure both and a published model; say what was seen
# make test   set up and run the quick tests    make test-all   all tests, the slow ones too    make lint   the linter
# make test-new   tests of what differs between Keras 2 and Keras 3: make test-new PYTHON=python3.13 VENV=.venv-new
# make docs   build the site of docs/ into site/, in an environment of its own
# make faults try every fault of results/faults.py, of which make test-all takes a sample, and write results/faults/faults.json
# Which Pythons to try, in this order; PYTHON=... on the command line replaces all of them.
PYTHON := python3.11 python3.10 python3.13 python3.12 python3 python \
  $(wildcard $(HOME)/.pyenv/versions/3.1[10]*/bin/python $(HOME)/.pyenv/versions/3.1[32]*/bin/python)
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/ready
QUIET := TF_CPP_MIN_LOG_LEVEL=3
RUN := runs/first
NEW := tests/test_keras.py tests/test_packaging.py tests/test_networks.py tests/test_density.py tests/geometry tests/metrics \
  tests/autoencoder tests/analysis tests/vae tests/training tests/commands/test_audit.py tests/commands/test_report.py

.PHONY: run test test-all test-new lint docs faults setup clean

setup: $(READY)

$(READY): $(wildcard requirements-*.lock) setup.cfg pyproject.toml
	@found=""; \
	for python in $(PYTHON); do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	    found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Of $(PYTHON), none is a Python from 3.10 to 3.13 (with venv). TensorFlow needs one: install it"; \
	  echo "(apt install python3.11 python3.11-venv, pyenv install 3.11, or python.org), and run make again."; exit 1; fi; \
	echo "Setting up $(VENV) with $$("$$found" --version); this takes a minute or two."; \
	"$$found" -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check \
	  -r requirements-$$($(PY) -c 'import sys; print("%d.%d" % sys.version_info[:2])').lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(PY) -m pip --disable-pip-version-check check
	@touch $(READY)

run: $(READY)
	@$(QUIET) $(PY) -m results.first_run $(RUN)

test: $(READY)
	$(QUIET) $(PY) -m pytest -q -n 2 --dist loadgroup --durations=10 -m "not slow"

test-all: $(READY)
	$(QUIET) $(PY) -m pytest -q -n 2 --dist loadgroup --durations=10

test-new: $(READY)
	$(QUIET) $(PY) -m pytest -q -n 2 --dist loadgroup --durations=10 -m "not slow" $(NEW)

faults: $(READY)
	$(QUIET) $(PY) -m results.faults results/faults

lint: $(READY)
	$(VENV)/bin/ruff check .

# Strict: a warning is an error, as for a link that leads nowhere. It needs no TensorFlow.
docs: $(VENV)-docs/ready
	$(VENV)-docs/bin/mkdocs build --strict --quiet
	@echo "The site is in site/index.html."

$(VENV)-docs/ready: $(READY) setup.cfg
	@$(PY) -m venv $(VENV)-docs
	@$(PY) -c 'import configparser; c = configparser.ConfigParser(); c.read("setup.cfg"); \
	  print(c["options.extras_require"]["docs"])' > $(VENV)-docs/requirements.txt
	@$(VENV)-docs/bin/python -m pip install --quiet --disable-pip-version-check -r $(VENV)-docs/requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-docs site build *.egg-info .pytest_cache .ruff_cache
