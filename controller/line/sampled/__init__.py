"""The sampled mode: several nodes that share nothing. Its door is `controller.line.sampled.view.SampledView`.

Nothing else in the controller imports from this package. `docs/decisions/0007-sampled-mode.md` says what it costs.
"""
