"""Parity: how far models that go on from day to day lie behind full fits."""
