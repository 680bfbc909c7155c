"""From events to a catalogue: cleaned, kept on disk, sent by one process at a time."""
