"""The running daemon: its threads, what watches over them, and the one place that wires everything together (`app`)."""
