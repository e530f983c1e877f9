# SPDX-License-Identifier: Apache-2.0
"""A Django project that is its own application."""
