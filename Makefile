# The two commands a fresh machine needs are `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

.PHONY: demo test exhaustive check bench simulation docs pictures clean browser services widgets proxies

demo: $(VENV)/.demo
	$(BIN)/caputchin-gate demo

# The tests start servers by the hundred: what these import is compiled once, whatever the environment says.
test: check browser services widgets
	$(BIN)/python -m compileall -q caputchin_gate tests examples
	$(BIN)/pytest -n auto --dist loadfile

# What takes too long to run after each change: simulated attacks, and each example by its own tests.
exhaustive: browser services widgets $(VENV)/.test
	$(BIN)/pytest -m exhaustive

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.bench services widgets proxies
	$(BIN)/python -m benchmarks

# Attacks on a simulated site: writes docs/choosing.md and its picture.
simulation: $(VENV)/.bench
	$(BIN)/python -m benchmarks.simulation

# The documentation: the generated settings reference, and the site in docs/_build/html.
docs: $(VENV)/.test
	$(BIN)/python docs/make_settings.py
	$(BIN)/sphinx-build -nW --keep-going -q docs docs/_build/html

# The pictures of the documentation, which are kept in git: anew when what they show has changed. Takes two minutes.
pictures: $(VENV)/.test browser
	$(BIN)/python docs/make_pictures.py

# The tests drive a real Chromium. Playwright's own download is not needed: a system Chromium is used.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || command -v chromium-browser >/dev/null || { \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	  else \
	    echo "The browser tests need Chromium: install the package 'chromium' of your system."; \
	    exit 1; \
	  fi; }

# The tests start servers of their own, and shells; a running service is not touched. nginx is often outside of a
# user's PATH.
SERVICES = redis-server nginx caddy zsh fish

services:
	@export PATH="$$PATH:/usr/sbin"; for service in $(SERVICES); do \
	  command -v $$service >/dev/null || missing="$$missing $$service"; \
	done; \
	! command -v apt-get >/dev/null || command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	[ -z "$$missing" ] || { \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	  else \
	    echo "The tests need Redis, nginx, Caddy, zsh and fish: install the packages$$missing of your system."; \
	    exit 1; \
	  fi; }

# The benchmark of the sidecar runs beside other proxies.
proxies:
	@command -v nginx >/dev/null && command -v caddy >/dev/null && command -v wrk >/dev/null || { \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx-light caddy wrk >/dev/null; \
	  else \
	    echo "The benchmark of the sidecar needs nginx, caddy and wrk: install the packages of your system."; \
	    exit 1; \
	  fi; }

# The providers' own packages, unmodified: widgets for the browser tests, clients of siteverify, and what the benchmarks
# compare with.
PACKAGES = @cap.js/widget@0.1.57 @cap.js/wasm@0.0.6 @cap.js/server@4.0.5 altcha@3.2.2 altcha-2@npm:altcha@2.3.0 \
  @cloudflare/pages-plugin-turnstile@1.0.2 @friendlycaptcha/server-sdk@0.3.0 express-turnstile@1.0.8 htmx.org@2.0.4

widgets: .widgets/.installed

.widgets/.installed: Makefile
	@mkdir -p .widgets
	@command -v npm >/dev/null || { \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq npm >/dev/null; \
	  else \
	    echo "The tests of other providers' widgets need npm, which comes with Node.js."; \
	    exit 1; \
	  fi; }
	npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error --prefix .widgets $(PACKAGES)
	@touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# A stamp for each set of extras, so that the demo does not wait for the test tools.
$(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	@touch $@

clean:
	rm -rf $(VENV) .widgets build docs/_build dist *.egg-info
