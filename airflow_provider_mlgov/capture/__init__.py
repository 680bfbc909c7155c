"""What surrounds a training: code, packages, artefacts."""
