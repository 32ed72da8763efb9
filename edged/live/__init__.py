"""Live pictures for those who look at a camera just now: made only then, faces hidden."""
