"""Local outputs: lamps, buzzers, voices and doors that notify the people on the spot, without network, disk or broker."""
