"""`bench basics`: prefill and decode beside llama.cpp, and what a session waits for."""
