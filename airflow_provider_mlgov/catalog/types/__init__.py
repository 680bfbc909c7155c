"""Type definitions: ours, the built-in ones as recorded from a server, and how ours get onto a server."""
