"""Where entities live: a real Atlas, the embedded catalogue, or the embedded one served over HTTP."""
