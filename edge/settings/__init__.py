"""The settings file, parsed once into frozen values."""
