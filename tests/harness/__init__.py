"""What tests share: sample projects, worlds, warm interpreters, runners of CI files."""
