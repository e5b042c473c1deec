"""What BSPump claims about its speed, measured against what one would write by hand. `README.md` explains the rows."""
