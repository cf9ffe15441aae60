"""What computes: llama.cpp, and a fake that is verified against it by one contract suite."""
