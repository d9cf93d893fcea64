"""A second opinion on Core ML packages: the program read from the file, translated for Apple's own Core AI runtime, and run there."""
