"""Published methods that exist to compare ours with. `edged.readers` loads one only when the config or a command names it."""
