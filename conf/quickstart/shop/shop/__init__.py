# SPDX-License-Identifier: Apache-2.0
"""A small shop: a Django project that is its own application."""
