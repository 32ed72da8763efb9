"""Has `driver` in it, as the real one."""
