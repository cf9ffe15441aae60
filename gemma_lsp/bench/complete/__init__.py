"""`bench complete`: are completions right, and is the repository worth its place?"""
