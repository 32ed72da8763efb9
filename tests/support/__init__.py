"""Stand-ins for the outside world that several tests share."""
