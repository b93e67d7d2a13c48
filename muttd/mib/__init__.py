"""Names for object identifiers: the index that gives traps their names, and the compiler that makes one from MIBs."""
