"""Secrets of the tests."""

from __future__ import annotations

SECRET_KEY = "the-secret-key-of-the-tests"
