"""Read and write pattern files. ``files`` chooses the format; each module knows one."""
