"""Deliberate faults in the product, each with the tests that have to fail for it."""
