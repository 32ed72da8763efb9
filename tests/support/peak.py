"""How much memory a program of a test has taken at most."""

PEAK_MB = "next(int(line.split()[1]) // 1024 for line in open('/proc/self/status') if line.startswith('VmHWM'))"
"""To be put into the program's text. Not `ru_maxrss`: a new process begins with what the one that started it had."""
