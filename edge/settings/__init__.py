"""The YAML file, parsed once into frozen values."""
