"""Tests in a browser, which have a stack of their own for as long as they run."""
