"""The base classes that components derive from."""
