"""Fails to load, for test_gate.c."""

raise ValueError("this script never loads")
