"""The terminal: lines, colours, questions and live displays."""
