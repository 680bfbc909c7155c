"""Places that entities go to."""
