"""Names for object identifiers: the index that traps are named with, and the compiler that makes one from MIBs."""
