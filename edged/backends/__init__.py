"""Which backend runs each model: engines prepared in child processes, checked, measured, swapped in between two frames."""
