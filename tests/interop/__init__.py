"""Both programs on one file: this package and the real NexusLIMS, each in its own processes."""
