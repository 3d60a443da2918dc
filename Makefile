# Two commands do it all: `make train` runs the main job, `make test` passes the tests.
# Settings go through ARGS:  make train ARGS='"my movie.zarr" net.kind=patch_mlp'
# A build of torch other than PyPI's: make train TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
ARGS ?=
TORCH_INDEX ?=
PY := .venv/bin/python
READY := .venv/.installed
# modules of packages that name only what they lend, which pdoc leaves out unless told
MODULES = $(subst /,.,$(basename $(filter-out %__init__.py %__main__.py,$(wildcard slime/*/*.py baselines/*.py foundations/*.py))))
PACKAGES := slime baselines foundations benchmarks scripts tests

.PHONY: train test check verify docs bench gpu contest gallery format clean

train: $(READY)
	$(PY) scripts/train_slime.py $(ARGS)

test: $(READY)
	$(PY) -m pytest -m "not slow" -n auto --maxprocesses 8

check: $(READY)
	$(PY) -m ruff check $(PACKAGES)
	$(PY) -m ruff format --check $(PACKAGES)
	.venv/bin/basedpyright
	.venv/bin/lint-imports

# The long half: slow tests (documented commands, kills, reproduced figures) and the notebooks.
verify: $(READY)
	$(PY) -m pytest -m slow -n auto --maxprocesses 4 --timeout=1500
	$(PY) -m pytest -o addopts=-q --nbmake --nbmake-timeout=600 -n auto --maxprocesses 4 notebooks

# The docstrings of every module as pages: build/api/index.html.
docs: $(READY)
	.venv/bin/pdoc --docformat google --output-directory build/api slime baselines foundations $(MODULES)

# Speed and memory beside peers and limits; about 16 minutes on two idle cores.
bench: .venv/.bench
	$(PY) -m benchmarks $(ARGS)

# What must hold on a GPU: losses as the CPU's, resident frames, steps that do not wait, speed.
gpu: $(READY)
	$(PY) -m benchmarks.gpu $(ARGS)

# slime against The Well's nets at equal CPU-seconds, in an environment of its own.
contest: .venv-well/.installed
	.venv-well/bin/python -m benchmarks.contest configs/study_contest.yaml $(ARGS)

# Every world filmed briefly, on one page: gallery/index.html; a few minutes.
gallery: $(READY)
	$(PY) scripts/gallery.py $(ARGS)

format: $(READY)
	$(PY) -m ruff check --fix $(PACKAGES)
	$(PY) -m ruff format $(PACKAGES)

$(READY): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python %d.%d: slime runs on 3.11 to 3.13 (make PYTHON=python3.11)" % v)'
	$(PYTHON) -m venv .venv
	test -z "$(TORCH_INDEX)" || $(PY) -m pip install --index-url "$(TORCH_INDEX)" $$(grep "^torch==" requirements.lock)
	$(PY) -m pip install --quiet --constraint requirements.lock --editable ".[dev]"
	# without its bound on numpy: tests set scripts/sweep.py beside wandb's own sweeps
	$(PY) -m pip install --quiet --no-deps "sweeps==0.3.0"
	touch $(READY)

.venv/.bench: $(READY)
	$(PY) -m pip install --quiet --constraint requirements.lock --editable ".[dev,bench]"
	$(PY) -m pip install --quiet --no-deps "the_well==1.2.0" "loss-landscapes==3.0.6" \
	    "loss-landscape-3d==0.1.3" "landscaper==1.3.1"
	touch .venv/.bench

# without what the_well pins: its one release of fsspec is older than xarray's
.venv-well/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv-well
	test -z "$(TORCH_INDEX)" || .venv-well/bin/python -m pip install --index-url "$(TORCH_INDEX)" $$(grep "^torch==" requirements.lock)
	.venv-well/bin/python -m pip install --quiet --constraint requirements.lock --editable "."
	.venv-well/bin/python -m pip install --quiet --no-deps "the_well==1.2.0" "neuraloperator==0.3.0"
	.venv-well/bin/python -m pip install --quiet --constraint requirements.lock h5py "huggingface_hub<1" \
	    tensorly tensorly-torch opt_einsum configmypy "torch_harmonics>=0.6,<0.7" \
	    "triton; sys_platform == 'linux'"
	touch .venv-well/.installed

clean:
	rm -rf .venv .venv-well build *.egg-info
