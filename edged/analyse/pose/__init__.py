"""Estimates where heads point: 68 landmarks and a crop network, fused."""
