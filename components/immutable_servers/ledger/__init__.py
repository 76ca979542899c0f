"""The record of a service's generations and its pin, as the stack exports them."""
