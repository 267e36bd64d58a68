"""What the package survives: kills, full disks, crowds, hostile environments, damaged files."""
