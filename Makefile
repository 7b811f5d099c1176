# SPDX-License-Identifier: GPL-3.0-or-later
# Requires make and git; tests/bootstrap installs the rest. pytest gets ARGS: make test ARGS=-x
.PHONY: test unit lint mutants experiments docs demo demo-down

test:
	@tests/bootstrap python -m tests.run -- $(ARGS)

unit:
	@tests/bootstrap python -m tests.run unit -- $(ARGS)

lint:
	@tests/bootstrap python -m tests.run checks -- $(ARGS)

experiments:
	@tests/bootstrap python -m tests.run experiments -- $(ARGS)

docs:
	@tests/bootstrap python -m tests.documentation $(ARGS)

mutants:
	@tests/bootstrap python -m tests.mutants $(ARGS)

demo:
	@TESTS_REQUIREMENTS=tests/testbed/requirements.txt tests/bootstrap python -m tests.testbed.demo up

demo-down:
	@TESTS_REQUIREMENTS=tests/testbed/requirements.txt tests/bootstrap python -m tests.testbed.demo down
