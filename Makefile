# The command set. Every target that needs packages installs them first, from requirements/*.lock, into .venv.
# Values given by a user reach the shell through `quote`, so a name with spaces, quotes or `;` stays one word.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
TF ?= auto
INSTALLER ?= auto

# What a command takes is what its line in `make help` names: train/ train/BATCH train/DATASET ...
HASH := \#
DECLARED := $(shell awk -F ':.*$(HASH)$(HASH) ' '/^[a-z][a-z-]*:.*$(HASH)$(HASH) / { print $$1 "/"; \
	for (text = $$2; match(text, /[A-Z][A-Z0-9_]*=/); text = substr(text, RSTART + RLENGTH)) \
	print $$1 "/" substr(text, RSTART, RLENGTH - 1) }' Makefile)
COMMANDS := $(patsubst %/,%,$(sort $(dir $(DECLARED))))
OF_INSTALL := PYTHON TF INSTALLER
# Only from the command line: a NAME or a STEPS that a shell happens to export must not steer a training.
ARGUMENTS := $(filter-out $(OF_INSTALL),$(sort $(notdir $(DECLARED))))

define newline


endef
# $(call quote,VARIABLE): its literal value as one word of the shell.
quote = '$(subst $(newline), ,$(subst ','\'',$(value $(1))))'
# $(call option,--flag=,VARIABLE): nothing where the variable is empty.
option = $(if $(value $(2)),$(1)$(call quote,$(2)))

# Half of a command with a value that lacks its quotes is not done: IMAGES=a.jpg b.jpg.
ifneq ($(filter-out $(COMMANDS) _%,$(MAKECMDGOALS)),)
$(error $(filter-out $(COMMANDS) _%,$(MAKECMDGOALS)): no such command, make alone lists them; values with spaces need quotes)
endif
# A mistyped variable would be ignored in silence. (What a make above this one was given is not ours to judge.)
GIVEN := $(if $(filter 0,$(MAKELEVEL)),$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
GOALS := $(or $(MAKECMDGOALS),help)
TAKEN := $(strip $(sort $(notdir $(filter $(addsuffix /%,$(GOALS)),$(DECLARED)))) $(OF_INSTALL))
MISTAKE := $(firstword $(filter-out $(TAKEN),$(GIVEN)))
ifneq ($(and $(filter PHOTOS,$(GIVEN)),$(filter train doctor,$(GOALS))),)
$(error PHOTOS is the default now, for photos and drawings alike: leave it out)
endif
ifeq ($(MISTAKE) $(filter train,$(GOALS)),NAME train)
$(error NAME is what make dataset takes: for make train it is DATASET)
endif
ifneq ($(MISTAKE),)
OTHERS := $(patsubst %/,%,$(dir $(filter %/$(MISTAKE),$(DECLARED))))
NEAREST := $(shell $(call quote,PYTHON) -c 'import difflib, re, sys; \
	name = re.sub("(PH|F)OTO", "IMAGE", sys.argv[1].upper()); \
	print(*difflib.get_close_matches(name, sys.argv[2:], 1))' $(call quote,MISTAKE) $(TAKEN) 2>/dev/null)
REASON := $(if $(OTHERS),is for make $(OTHERS);,no such variable;)$(NEAREST:%= did you mean %?)
$(error $(MISTAKE): $(REASON) make $(GOALS) takes $(TAKEN))
endif
ifneq ($(filter FRESH,$(GIVEN)),)
ifeq ($(filter 0 1,$(value FRESH)),)
$(error FRESH is 1, to train from scratch, or 0)
endif
endif
$(foreach name,ADD RELABEL XML YOLO,$(if $(and $(filter $(name),$(GIVEN)),$(if $(filter 0 1,$(value $(name))),,no)),$(error $(name) is 1 or 0)))
$(foreach argument,$(ARGUMENTS),$(if $(filter command,$(origin $(argument))),,$(eval override $(argument) :=)))
# Make would expand a `$` in them on the way into the environment; nothing reads them there.
unexport $(ARGUMENTS) $(OF_INSTALL)

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

# One changed parameter makes an experiment, which `make runs` lists; none makes `dvc repro`.
OVERRIDES := $(strip $(call option,--steps=,STEPS) $(call option,--batch=,BATCH) $(call option,--dataset=,DATASET) \
	$(call option,--work-dir=,WORK_DIR))
# The last stages: what they need of the others runs. Without them DVC would draw the sample for a training on other data.
LAST := evaluate parity predict
RUN := $(if $(filter 1,$(value FRESH)),PASSO_FRESH=1 )$(PY) -m tools.pipeline $(if $(OVERRIDES),exp run $(OVERRIDES),repro) $(LAST)

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

##@ Train

.PHONY: train
train: $(if $(OVERRIDES),_experiment,_repository) install ## Train, measure, export: [DATASET=pets STEPS=500 BATCH=16 FRESH=1 WORK_DIR=folder]
	@$(PY) -m tools.doctor --fast $(OVERRIDES)
	@$(RUN)
	@$(PY) -m tools.report
	@$(PY) -m tools.summary

.PHONY: continue
continue: _repository install ## Start the next training from the last model: [NAME=cats]
	@$(PY) -m tools.continue_training $(call option,--name=,NAME)

.PHONY: tensorboard
tensorboard: install ## Watch trainings in a browser: [BUCKET=my-pets]
	@$(PY) -m tools.tensorboard $(call option,--bucket=,BUCKET)

##@ Photos and their labels

.PHONY: dataset
dataset: install ## Import labelled photos: SRC=photos.zip|https:|gs:|kaggle: NAME=pets [ADD=1 RELABEL=1 SHA256=digest]
	@$(PY) -m tools.dataset $(call option,--src=,SRC) $(call option,--name=,NAME) $(call option,--sha256=,SHA256) \
		$(if $(filter 1,$(value ADD)),--add) $(if $(filter 1,$(value RELABEL)),--relabel)

.PHONY: inspect
inspect: install ## Show a dataset before training: [DATASET=pets]
	@$(PY) -m tools.inspect_dataset $(call option,--dataset=,DATASET)

.PHONY: trace
trace: install ## Follow a photo through all stages: IMAGE=cat.12.jpg
	@$(if $(value IMAGE),,echo "error: IMAGE is empty; run: make trace IMAGE=cat.12.jpg" >&2; exit 2;) \
		$(PY) -m tools.trace_photo -- $(call quote,IMAGE)

.PHONY: convert
convert: install ## Copy a dataset: TO=coco|yolo|csv|voc [DATASET=pets OUTPUT=folder]
	@$(PY) -m tools.convert $(call option,--to=,TO) $(call option,--dataset=,DATASET) $(call option,--output=,OUTPUT)

##@ Detect

.PHONY: predict
predict: install ## Detect in IMAGES=folder|file|zip|gs: [OUTPUT=folder MODEL=folder|zip|https:|gs:|running BUCKET=my-pets THRESHOLD=0.3 XML=1 YOLO=1]
	@$(if $(value IMAGES),,echo "error: IMAGES is empty; run: make predict IMAGES=folder" >&2; exit 2;) \
		$(if $(value MODEL),,$(PY) -m tools.cloud.lineage model/export;) $(PY) -m stages.predict $(call option,--output=,OUTPUT) \
		$(call option,--model=,MODEL) $(call option,--bucket=,BUCKET) $(call option,--threshold=,THRESHOLD) \
		$(if $(filter 1,$(value XML)),--xml) $(if $(filter 1,$(value YOLO)),--yolo) -- $(call quote,IMAGES)

.PHONY: openvino
openvino: ## Install OpenVINO, for faster int8: docs/exports.md
	@PATH=$(call quote,SYSTEM_PATH) $(call quote,PYTHON) tools/install.py --add openvino --tf=$(call quote,TF) --with=$(call quote,INSTALLER)

# The server has an environment of its own: .venv holds nothing of it.
SERVER := .venv-serve/bin/python
INSTALL_SERVER = PATH=$(call quote,SYSTEM_PATH) $(call quote,PYTHON) tools/install.py --for=serve \
	--with=$(call quote,INSTALLER)

# Before 300 MB are installed for nothing.
HAS_MODEL = $(if $(value MODEL),,test -e model/export || { echo "error: model/export: no model yet; run: make train" \
	"(or make pull, for a model that was trained before)" >&2; exit 2; };)

.PHONY: serve
serve: ## Detect over HTTP, for programs: [PORT=8000 HOST=127.0.0.1 MODEL=folder THRESHOLD=0.3]
	@$(HAS_MODEL) $(INSTALL_SERVER)
	@$(SERVER) -m tools.serve $(call option,--port=,PORT) $(call option,--host=,HOST) \
		$(call option,--model=,MODEL) $(call option,--threshold=,THRESHOLD)

.PHONY: demo
demo: ## Play with the detector in a browser: [PORT=7860 MODEL=folder THRESHOLD=0.3]
	@$(HAS_MODEL) $(INSTALL_SERVER)
	@$(SERVER) -m tools.demo $(call option,--port=,PORT) $(call option,--model=,MODEL) \
		$(call option,--threshold=,THRESHOLD)

.PHONY: prelabel
prelabel: install ## Label photos by the detector: IMAGES=folder [THRESHOLD=0.3 OUTPUT=folder]
	@$(if $(value IMAGES),,echo "error: IMAGES is empty; run: make prelabel IMAGES=folder" >&2; exit 2;) \
		$(PY) -m tools.prelabel $(call option,--output=,OUTPUT) $(call option,--threshold=,THRESHOLD) -- $(call quote,IMAGES)

.PHONY: label-errors
label-errors: install ## List labels that may be wrong, with pictures
	@$(PY) -m tools.label_errors

##@ Results

.PHONY: runs
runs: _repository install ## List all runs: data, steps, AP, better than HEAD?
	@$(PY) -m tools.runs

.PHONY: compare
compare: _repository install ## Is run B better than A, or is it chance? A=HEAD [B=exp2]
	@$(if $(value A),,echo "error: A is empty; run: make compare A=HEAD (or an experiment; make runs lists them)" >&2; exit 2;) \
		$(PY) -m tools.compare -- $(call quote,A) $(if $(value B),$(call quote,B))

.PHONY: report
report: install ## Write results/report.html: curves, metrics, pictures
	@$(PY) -m tools.report

.PHONY: summary
summary: install ## Print the metrics, and where everything is
	@$(PY) -m tools.summary

##@ This computer

.PHONY: install
install: ## Set up .venv: [TF=cpu|gpu|tpu PYTHON=python3.12 INSTALLER=uv|pip]
	@PATH=$(call quote,SYSTEM_PATH) $(call quote,PYTHON) tools/install.py --tf=$(call quote,TF) --with=$(call quote,INSTALLER)

.PHONY: doctor
doctor: install ## Find what would stop a training, and its fix: [DATASET=pets STEPS=500 BATCH=16 WORK_DIR=folder]
	@$(PY) -m tools.doctor $(OVERRIDES)

.PHONY: status
status: _repository install ## List the stages that are out of date
	@$(BIN)/dvc status

.PHONY: help
help: ## List the commands, and what each takes
	@awk -F ':.*## ' '/^##@ / { printf "%s%s\n", between, substr($$0, 5); between = "\n" } \
		/^[a-z][a-z-]*:.*## / { line = sprintf("make %-17s", $$1); count = split($$2, words, " "); \
		for (k = 1; k <= count; k++) { if (length(line " " words[k]) > 80) { print line; line = sprintf("%22s", "") } \
		line = line " " words[k] } print line }' Makefile

##@ Buckets

.PHONY: bucket
bucket: install ## Create a bucket for make push: PROJECT=my-project BUCKET=my-pets [LOCATION=us-central1 TPU_ACCOUNT=address]
	@$(PY) -m tools.bucket $(call option,--project=,PROJECT) $(call option,--bucket=,BUCKET) \
		$(call option,--location=,LOCATION) $(call option,--accounts=,TPU_ACCOUNT)

.PHONY: bucket-check
bucket-check: install ## Find what is wrong with the bucket: [BUCKET=my-pets]
	@$(PY) -m tools.bucket --check $(call option,--bucket=,BUCKET)

.PHONY: push-records
push-records: install ## Copy the TFRecords to the bucket: BUCKET=my-pets
	@$(PY) -m tools.push_records $(call option,--bucket=,BUCKET)

.PHONY: push
push: _repository install ## Copy data, models, runs to the bucket: [BUCKET=my-pets]
	@$(PY) -m tools.push $(call option,--bucket=,BUCKET)

.PHONY: pull
pull: _repository install ## Restore what push copied: [COMMIT=digits BUCKET=my-pets]
	@$(PY) -m tools.pull $(call option,--commit=,COMMIT) $(call option,--bucket=,BUCKET)

.PHONY: check-data
check-data: _repository install ## Is all data still as it was? [REMOTE=1 MINUTES=5]
	@$(PY) -m tools.check_data $(call option,--remote=,REMOTE) $(call option,--minutes=,MINUTES)

##@ To work on Passo itself

.PHONY: test
test: install ## Run the tests: 15 minutes
	@$(INSTALL_SERVER)
	@$(PY) -m pytest -m "not long and not slow" -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: test-long
test-long: install ## Run the README's commands and trainings: 10 minutes
	@$(INSTALL_SERVER)
	@$(PY) -m pytest -m "long and not slow" -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: test-slow
test-slow: install ## Run what takes minutes: real installs, trainings
	@$(PY) -m pytest -m slow

.PHONY: test-kill
test-kill: install ## Kill a training 20 times, compare models: 15 minutes
	@$(PY) -m tests.kill.training

.PHONY: test-kill-bucket
test-kill-bucket: install ## The same, resumed from a bucket: 20 minutes
	@$(PY) -m tests.kill.on_bucket

.PHONY: test-kill-predict
test-kill-predict: install ## Kill a prediction 20 times: 5 minutes
	@$(PY) -m tests.kill.predicting

.PHONY: test-attacks
test-attacks: install ## Try 1,000 hostile names, archives, labels, pictures
	@$(PY) -m tests.test_attacks

.PHONY: test-fuzz
test-fuzz: install ## Give damaged files to every reader: [MINUTES=10]
	@$(PY) -m tests.fuzz.readers $(call option,--minutes=,MINUTES)

.PHONY: test-faults
test-faults: install ## Let each write, rename ... fail once: 15 minutes
	@$(PY) -m tests.faults.every

.PHONY: bench-train
bench-train: install ## Our training speed and the API's: half an hour
	@$(PY) -m tools.lab.bench_train

.PHONY: bench-predict
bench-predict: install ## What predictions cost: an hour; installs 6 GB
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
lock: ## Lock the packages again (needs uv)
	@command -v uv >/dev/null || { echo "error: make lock needs uv; run: python3 -m pip install uv" >&2; exit 2; }
	@for tf in cpu gpu tpu; do uv pip compile pyproject.toml --extra "$$tf" --extra dev --universal --generate-hashes \
		--no-emit-index-url --no-annotate --custom-compile-command "make lock" --quiet -o "requirements/$$tf.lock" || exit; done
	@uv pip compile --group openvino --no-deps --universal --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" --quiet -o requirements/openvino.lock
	@uv pip compile --group serve --constraints requirements/cpu.lock --universal --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --quiet -o requirements/serve.lock

.PHONY: clean
clean: ## Remove caches; never data, models, results, .venv
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find detector stages tools tests -type d -name __pycache__ -prune -exec rm -rf {} +
