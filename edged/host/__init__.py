"""The machine that edged runs on: its clock, identity, memory, thermal state and power, and systemd."""
