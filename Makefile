# SPDX-License-Identifier: GPL-3.0-or-later
# make and git are all that must be there: tests/bootstrap installs the rest. ARGS goes to pytest: make test ARGS=-x
.PHONY: test unit lint demo demo-down

test:
	@tests/bootstrap python -m tests.run -- $(ARGS)

unit:
	@tests/bootstrap python -m tests.run unit -- $(ARGS)

lint:
	@tests/bootstrap python -m tests.run checks -- $(ARGS)

demo:
	@tests/bootstrap python -m tests.testbed.demo up

demo-down:
	@tests/bootstrap python -m tests.testbed.demo down
