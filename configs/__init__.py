"""Settings files that come with Stanchion; `reference.yaml` documents every key."""
