"""Model files: reading their header, their shape, the memory they take, and finding them. No llama.cpp here."""
