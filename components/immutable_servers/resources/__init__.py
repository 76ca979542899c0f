"""What our dynamic resources share."""
