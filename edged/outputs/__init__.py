"""Local outputs: lamps, buzzers, voices and doors that tell the people on the spot, without network, disk or broker."""
