"""What passes between core and targets, and what every target promises."""
