"""Log drivers, a file each."""
