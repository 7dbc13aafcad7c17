# The command set. Every target that needs packages installs them first, from requirements/*.lock, into .venv.
# Values given by a user reach the shell through `quote`, so a name with spaces, quotes or `;` stays one word.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
TF ?= auto
INSTALLER ?= auto

# Only from the command line: a NAME or a STEPS that a shell happens to export must not steer a training.
ARGUMENTS := STEPS BATCH DATASET FRESH SRC NAME SHA256 ADD RELABEL IMAGE IMAGES OUTPUT MODEL THRESHOLD XML YOLO TO A B PROJECT BUCKET LOCATION TPU_ACCOUNT COMMIT MINUTES WORK_DIR REMOTE PORT HOST
KNOWN := $(ARGUMENTS) PYTHON TF INSTALLER
# A mistyped variable would be ignored in silence. (What a make above this one was given is not ours to judge.)
GIVEN := $(if $(filter 0,$(MAKELEVEL)),$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
ifneq ($(filter PHOTOS,$(GIVEN)),)
$(error PHOTOS is the default now, for photos and drawings alike: leave it out)
endif
ifneq ($(filter-out $(KNOWN),$(GIVEN)),)
$(error $(filter-out $(KNOWN),$(GIVEN)): no such variable; there are $(sort $(KNOWN)))
endif
# Nor is half done of a command with a value that lacks its quotes: IMAGES=a.jpg b.jpg.
COMMANDS := $(shell awk -F: '/^[a-z][a-z-]*:/ { print $$1 }' Makefile)
ifneq ($(filter-out $(COMMANDS) _%,$(MAKECMDGOALS)),)
$(error $(filter-out $(COMMANDS) _%,$(MAKECMDGOALS)): no such command, make alone lists them; values with spaces need quotes)
endif
ifneq ($(and $(filter NAME,$(GIVEN)),$(filter train,$(MAKECMDGOALS))),)
$(error NAME is what make dataset takes: for make train it is DATASET)
endif
ifneq ($(filter FRESH,$(GIVEN)),)
ifeq ($(filter 0 1,$(value FRESH)),)
$(error FRESH is 1, to train from scratch, or 0)
endif
endif
$(foreach name,ADD RELABEL XML YOLO,$(if $(and $(filter $(name),$(GIVEN)),$(if $(filter 0 1,$(value $(name))),,no)),$(error $(name) is 1 or 0)))
$(foreach argument,$(ARGUMENTS),$(if $(filter command,$(origin $(argument))),,$(eval override $(argument) :=)))
# Make would expand a `$` in them on the way into the environment; nothing reads them there.
unexport $(ARGUMENTS) PYTHON TF INSTALLER

define newline


endef
# $(call quote,VARIABLE): its literal value as one word of the shell.
quote = '$(subst $(newline), ,$(subst ','\'',$(value $(1))))'
# $(call option,--flag=,VARIABLE): nothing where the variable is empty.
option = $(if $(value $(2)),$(1)$(call quote,$(2)))

# By name: the make of macOS (3.81) looks for the program of a plain line on the PATH that it was started with.
BIN := .venv/bin
PY := $(BIN)/python

SYSTEM_PATH := $(PATH)
# Of another project, these would have ours import its packages, or not find its own.
unexport PYTHONPATH PYTHONHOME PYTHONSAFEPATH PYTHONPLATLIBDIR
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export TF_CPP_MIN_LOG_LEVEL := 3
export TF_USE_LEGACY_KERAS := 1
export DVC_NO_ANALYTICS := 1
export GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT := false

# One changed parameter makes an experiment, which `dvc exp show` lists; none makes `dvc repro`.
OVERRIDES := $(strip $(call option,--steps=,STEPS) $(call option,--batch=,BATCH) $(call option,--dataset=,DATASET) \
	$(call option,--work-dir=,WORK_DIR))
# The last stages: what they need of the others runs. Without them DVC would draw the sample for a training on other data.
LAST := evaluate parity predict
RUN := $(if $(filter 1,$(value FRESH)),PASSO_FRESH=1 )$(PY) -m tools.pipeline $(if $(OVERRIDES),exp run $(OVERRIDES),repro) $(LAST)

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "make %-17s %s\n", $$1, $$2 }' Makefile

.PHONY: install
install: ## Set up .venv: [TF=cpu|gpu|tpu PYTHON=python3.12]
	@PATH=$(call quote,SYSTEM_PATH) $(call quote,PYTHON) tools/install.py --tf=$(call quote,TF) --with=$(call quote,INSTALLER)

# What DVC needs of git, checked before anything is installed or trained. The repository may be one around this folder.
.PHONY: _repository
_repository:
	@test -e .git || git rev-parse --git-dir >/dev/null 2>&1 || { echo "error: not a git repository (a downloaded zip?), and DVC needs one; run:" \
		"git init && git add . && git commit -m start" >&2; exit 2; }

.PHONY: _experiment
_experiment: _repository
	@git rev-parse --quiet --verify HEAD >/dev/null || { echo "error: this git repository has no commit, and an" \
		"experiment starts from one; run: git add . && git commit -m start" >&2; exit 2; }
	@{ test -n "$${GIT_COMMITTER_NAME:-$$(git config user.name)}" && \
		test -n "$${GIT_COMMITTER_EMAIL:-$$(git config user.email)}"; } || { echo "error: git does not know your name," \
		"and an experiment is a commit; run: git config user.name 'You' && git config user.email you@example.com" >&2; exit 2; }

.PHONY: train
train: $(if $(OVERRIDES),_experiment,_repository) install ## Train, measure, export a detector: [DATASET=pets STEPS=500 BATCH=16]
	@$(PY) -m tools.doctor --fast $(OVERRIDES)
	$(RUN)
	@$(PY) -m tools.report
	@$(PY) -m tools.summary

.PHONY: continue
continue: _repository install ## Let the next training start from a copy of the last model: [NAME=cats]
	@$(PY) -m tools.continue_training $(call option,--name=,NAME)

.PHONY: dataset
dataset: install ## Import labelled photos: SRC=photos.zip|https:|gs:|kaggle: NAME=pets [ADD=1]
	@$(PY) -m tools.dataset $(call option,--src=,SRC) $(call option,--name=,NAME) $(call option,--sha256=,SHA256) \
		$(if $(filter 1,$(value ADD)),--add) $(if $(filter 1,$(value RELABEL)),--relabel)

.PHONY: inspect
inspect: install ## Look at a dataset before training, on one page: [DATASET=pets]
	@$(PY) -m tools.inspect_dataset $(call option,--dataset=,DATASET)

.PHONY: trace
trace: install ## Follow a photo from its source to its detections: IMAGE=cat.12.jpg
	@$(if $(value IMAGE),,echo "error: IMAGE is empty; run: make trace IMAGE=cat.12.jpg" >&2; exit 2;) \
		$(PY) -m tools.trace_photo -- $(call quote,IMAGE)

.PHONY: convert
convert: install ## Copy a dataset for others: TO=coco|yolo|csv|voc [DATASET=pets OUTPUT=folder]
	@$(PY) -m tools.convert $(call option,--to=,TO) $(call option,--dataset=,DATASET) $(call option,--output=,OUTPUT)

.PHONY: tensorboard
tensorboard: install ## Watch trainings in a browser: curves and pictures [BUCKET=my-pets]
	@$(PY) -m tools.tensorboard $(call option,--bucket=,BUCKET)

.PHONY: predict
predict: install ## Detect in IMAGES=folder|file|zip|gs: [OUTPUT= MODEL= THRESHOLD= XML=1 YOLO=1]
	@$(if $(value IMAGES),,echo "error: IMAGES is empty; run: make predict IMAGES=folder" >&2; exit 2;) \
		$(if $(value MODEL),,$(PY) -m tools.cloud.lineage model/export;) $(PY) -m stages.predict $(call option,--output=,OUTPUT) \
		$(call option,--model=,MODEL) $(call option,--bucket=,BUCKET) $(call option,--threshold=,THRESHOLD) \
		$(if $(filter 1,$(value XML)),--xml) $(if $(filter 1,$(value YOLO)),--yolo) -- $(call quote,IMAGES)

.PHONY: openvino
openvino: ## Install OpenVINO, which makes predictions in int8 faster: docs/exports.md
	@PATH=$(call quote,SYSTEM_PATH) $(call quote,PYTHON) tools/install.py --add openvino --tf=$(call quote,TF) --with=$(call quote,INSTALLER)

# The server has an environment of its own: .venv holds nothing of it.
SERVER := .venv-serve/bin/python
INSTALL_SERVER = PATH=$(call quote,SYSTEM_PATH) $(call quote,PYTHON) tools/install.py --for=serve \
	--with=$(call quote,INSTALLER)

.PHONY: serve
serve: ## Detect over HTTP, for programs: [PORT=8000 HOST=127.0.0.1 MODEL=]
	@$(INSTALL_SERVER)
	@$(SERVER) -m tools.serve $(call option,--port=,PORT) $(call option,--host=,HOST) \
		$(call option,--model=,MODEL) $(call option,--threshold=,THRESHOLD)

.PHONY: demo
demo: ## Play with the detector in a browser: photos, video, camera: [PORT=7860]
	@$(INSTALL_SERVER)
	@$(SERVER) -m tools.demo $(call option,--port=,PORT) $(call option,--model=,MODEL) \
		$(call option,--threshold=,THRESHOLD)

.PHONY: prelabel
prelabel: install ## Label photos by the detector, to be corrected: IMAGES=folder [THRESHOLD=0.3]
	@$(if $(value IMAGES),,echo "error: IMAGES is empty; run: make prelabel IMAGES=folder" >&2; exit 2;) \
		$(PY) -m tools.prelabel $(call option,--output=,OUTPUT) $(call option,--threshold=,THRESHOLD) -- $(call quote,IMAGES)

.PHONY: label-errors
label-errors: install ## List labels of the dataset that may be wrong, with pictures
	@$(PY) -m tools.label_errors

.PHONY: compare
compare: _repository install ## Is run B better than run A, or is it chance? A=HEAD [B=exp2]
	@$(if $(value A),,echo "error: A is empty; run: make compare A=HEAD (or an experiment; dvc exp show lists them)" >&2; exit 2;) \
		$(PY) -m tools.compare -- $(call quote,A) $(if $(value B),$(call quote,B))

.PHONY: report
report: install ## Write results/report.html: curves, metrics and pictures on one page
	@$(PY) -m tools.report

.PHONY: summary
summary: install ## Print the metrics, and where model, report and pictures are
	@$(PY) -m tools.summary

.PHONY: status
status: _repository install ## List the stages that are out of date
	@$(BIN)/dvc status

.PHONY: bucket
bucket: install ## Create a private bucket for make push: PROJECT=my-project BUCKET=my-pets
	@$(PY) -m tools.bucket $(call option,--project=,PROJECT) $(call option,--bucket=,BUCKET) \
		$(call option,--location=,LOCATION) $(call option,--accounts=,TPU_ACCOUNT)

.PHONY: bucket-check
bucket-check: install ## Print what is wrong with the bucket, and how to fix it: [BUCKET=my-pets]
	@$(PY) -m tools.bucket --check $(call option,--bucket=,BUCKET)

.PHONY: push-records
push-records: install ## Copy the TFRecords to the bucket, for another trainer: BUCKET=my-pets
	@$(PY) -m tools.push_records $(call option,--bucket=,BUCKET)

.PHONY: doctor
doctor: install ## Find what would stop a training, and print the command that fixes it
	@$(PY) -m tools.doctor $(OVERRIDES)

.PHONY: push
push: _repository install ## Copy data, models, experiments to the bucket and check them: [BUCKET=my-pets]
	@$(PY) -m tools.push $(call option,--bucket=,BUCKET)

.PHONY: pull
pull: _repository install ## Restore what make push has copied: [COMMIT=<40 digits>] [BUCKET=my-pets]
	@$(PY) -m tools.pull $(call option,--commit=,COMMIT) $(call option,--bucket=,BUCKET)

.PHONY: check-data
check-data: _repository install ## Is all data still as it was, here and in the bucket? [REMOTE=1 MINUTES=5]
	@$(PY) -m tools.check_data $(call option,--remote=,REMOTE) $(call option,--minutes=,MINUTES)

.PHONY: test
test: install ## Run the tests: 15 minutes
	@$(INSTALL_SERVER)
	@$(PY) -m pytest -m "not long and not slow" -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: test-long
test-long: install ## Run the README's commands, the notebooks and some trainings: 10 minutes
	@$(INSTALL_SERVER)
	@$(PY) -m pytest -m "long and not slow" -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: test-slow
test-slow: install ## Run the tests that take minutes: real installs and trainings
	@$(PY) -m pytest -m slow

.PHONY: test-kill
test-kill: install ## Kill a training 20 times, and check that its model is the same: 15 minutes
	@$(PY) -m tests.kill.training

.PHONY: test-kill-bucket
test-kill-bucket: install ## The same, but each time a new machine resumes from a bucket: 20 minutes
	@$(PY) -m tests.kill.on_bucket

.PHONY: test-kill-predict
test-kill-predict: install ## Kill a prediction 20 times, and compare its results: 5 minutes
	@$(PY) -m tests.kill.predicting

.PHONY: test-attacks
test-attacks: install ## Try 1,000 hostile names, archives, labels, pictures; print how many held
	@$(PY) -m tests.test_attacks

.PHONY: test-fuzz
test-fuzz: install ## Give damaged files to every reader, for some time: [MINUTES=10]
	@$(PY) -m tests.fuzz.readers $(call option,--minutes=,MINUTES)

.PHONY: test-faults
test-faults: install ## Let each write, rename, open ... of small commands fail once: 15 minutes
	@$(PY) -m tests.faults.every

.PHONY: bench-train
bench-train: install ## Compare our training speed with the Object Detection API's: half an hour
	@$(PY) -m tools.lab.bench_train

.PHONY: bench-predict
bench-predict: install ## What predictions cost, by format and runtime: an hour; installs 6 GB
	@$(PY) -m tools.lab.bench_predict

.PHONY: check
check: install ## Lint, formatting and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

.PHONY: format
format: install ## Format the code
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

.PHONY: lock
lock: ## Update requirements/*.lock from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "error: make lock needs uv; run: python3 -m pip install uv" >&2; exit 2; }
	@for tf in cpu gpu tpu; do uv pip compile pyproject.toml --extra "$$tf" --extra dev --universal --generate-hashes \
		--no-emit-index-url --no-annotate --custom-compile-command "make lock" --quiet -o "requirements/$$tf.lock" || exit; done
	@uv pip compile --group openvino --no-deps --universal --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" --quiet -o requirements/openvino.lock
	@uv pip compile --group serve --constraints requirements/cpu.lock --universal --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --quiet -o requirements/serve.lock

.PHONY: clean
clean: ## Remove caches of tests and linters; never data, models, results or .venv
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find detector stages tools tests -type d -name __pycache__ -prune -exec rm -rf {} +
