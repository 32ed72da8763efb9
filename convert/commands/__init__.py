"""The commands of `python -m convert`, one module a task; each command imports its libraries only when it runs."""
