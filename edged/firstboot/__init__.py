"""Sets up a box without a screen: one file, edged.toml, on a stick or the boot partition, taken whole or not at all."""
