# Every target is `./dev TARGET`; the list and what each does is in tools/dev.py (`make help`).
.PHONY: help setup check test test-long test-vm bench demo
.DEFAULT_GOAL := help

help setup check test test-long test-vm bench demo:
	@./dev $@ $(ARGS)
