"""How much memory a program of a test has taken: at most, and of its own now."""

PEAK_MB = "next(int(line.split()[1]) // 1024 for line in open('/proc/self/status') if line.startswith('VmHWM'))"
"""To be put into the program's text. Not `ru_maxrss`: a new process begins with what the one that started it had."""

ANONYMOUS_MB = PEAK_MB.replace("VmHWM", "RssAnon")
"""What is its own alone: no files, no libraries."""
