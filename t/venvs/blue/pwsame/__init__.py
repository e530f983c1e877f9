# SPDX-License-Identifier: Apache-2.0
"""A package that two applications have in two versions."""

__version__ = "2.0"
colour = "blue"
seen = []
