"""The real NexusLIMS as a process, and what its databases must look like."""
